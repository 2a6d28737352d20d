// SPDX-License-Identifier: LGPL-2.1-or-later
// How many machines a second one core plans: from profile, facts and identity to all three XML
// documents.
#include "../golden/cases.h"

#include "xml/xml-private.h"

#include <stdlib.h>

#define NEEDED_PER_SECOND 5000.0
#define RUN_USEC          (2 * G_USEC_PER_SEC)

static void
plan_once (GoldenCase *golden)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxPlan) plan = golden_case_resolve (golden, &error);
  g_autofree char *domain = NULL, *network = NULL, *volume = NULL;

  g_assert_no_error (error);
  domain = _sandbox_xml_domain (plan);
  network = _sandbox_xml_network (plan);
  volume = _sandbox_xml_disk_volume (plan);
}

/* CPU time of this thread: what else runs on the machine does not count. */
static double
cpu_seconds (void)
{
  struct timespec now;

  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A host with a hundred machines already: each has a network that a new one must keep clear of. */
static void
add_networks (SandboxFacts *facts)
{
  for (guint i = 0; i < 100; i++)
    {
      SandboxCidr cidr = { 0x0ad50000 + i * 8, 29 };

      sandbox_facts_add_net (facts, &cidr, "vmsffffffffff");
    }
}

int
main (int argc, char **argv)
{
  g_autofree char *dir = NULL;
  g_autoptr (GoldenCase) golden = NULL;
  gint64 end = g_get_monotonic_time () + RUN_USEC;
  double begin, seconds, rate;
  guint n = 0;

  g_test_init (&argc, &argv, NULL);
  dir = golden_dir ();
  golden = golden_case_load (dir, "work-debian-12-kvm");
  add_networks (golden->facts);
  begin = cpu_seconds ();
  for (; n == 0 || g_get_monotonic_time () < end; n++)
    plan_once (golden);
  seconds = cpu_seconds () - begin;
  rate = n / seconds;
  g_print ("plans per second on one core: %.0f (%u in %.2f s of CPU time; needed: %.0f)\n", rate, n,
           seconds, NEEDED_PER_SECOND);
  return rate >= NEEDED_PER_SECOND ? EXIT_SUCCESS : EXIT_FAILURE;
}
