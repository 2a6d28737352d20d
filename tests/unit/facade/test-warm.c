// SPDX-License-Identifier: LGPL-2.1-or-later
// Kept memory: what makes another one necessary, what does not, the names of its volumes, and the
// definition that it goes on with.
#include "../plan/support.h"

#include "facade/warm.h"
#include "xml/warm.h"

#include <glib/gstdio.h>
#include <string.h>
#include <utime.h>

#define BASE   "[profile]\ninherits=base\n"
#define DIGEST "0123456789abcdef0123456789abcdef"

static char *
digest_with (SandboxPlan *plan, const char *seed, const SandboxFacts *facts, const char *computer)
{
  g_autoptr (GBytes) bytes = g_bytes_new (seed, strlen (seed));
  g_autoptr (GError) error = NULL;
  char *digest = _sandbox_warm_digest (plan, bytes, facts, computer, &error);

  g_assert_no_error (error);
  g_assert_cmpuint (strlen (digest), ==, 32);
  return digest;
}

static char *
digest_of (SandboxPlan *plan)
{
  g_autoptr (SandboxFacts) facts = support_facts ();

  return digest_with (plan, "seed", facts, "computer");
}

static char *
digest_of_profile (const char *profile)
{
  g_autoptr (SandboxPlan) plan = support_plan (profile);

  return digest_of (plan);
}

static void
test_profiles (void)
{
  static const struct
  {
    const char *profile;
    gboolean same;
  } rows[] = {
    { BASE, TRUE },
    { BASE "[machine]\nstart-on-exec=no\n", TRUE },
    { "[profile]\ninherits=base\nsummary=other words\n", TRUE },
    { BASE "[network]\nforward=3000\n", TRUE },
    { BASE "[machine]\nmemory=2GiB\n", FALSE },
    { BASE "[machine]\ncpus=3\n", FALSE },
    { BASE "[machine]\ndisk=20GiB\n", FALSE },
    { BASE "[machine]\naccel=tcg\n", FALSE },
  };
  g_autofree char *base = digest_of_profile (BASE);

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *digest = digest_of_profile (rows[i].profile);

      if (rows[i].same)
        g_assert_cmpstr (digest, ==, base);
      else
        g_assert_cmpstr (digest, !=, base);
    }
}

/* Each field of the plan that the boot depended on. */
static void
test_plan (void)
{
  g_autofree char *base = digest_of_profile (BASE);
  const char *other_layers[] = { "/pool/layer.qcow2", NULL };
  gsize offsets[] = {
    G_STRUCT_OFFSET (SandboxPlan, image_id),     G_STRUCT_OFFSET (SandboxPlan, image_disk),
    G_STRUCT_OFFSET (SandboxPlan, image_kernel), G_STRUCT_OFFSET (SandboxPlan, image_initrd),
    G_STRUCT_OFFSET (SandboxPlan, cmdline),      G_STRUCT_OFFSET (SandboxPlan, object),
    G_STRUCT_OFFSET (SandboxPlan, machine),      G_STRUCT_OFFSET (SandboxPlan, emulator)
  };

  for (guint i = 0; i < G_N_ELEMENTS (offsets); i++)
    {
      g_autoptr (SandboxPlan) plan = support_plan (BASE);
      char **field = G_STRUCT_MEMBER_P (plan, offsets[i]);
      g_autofree char *digest = NULL;

      g_free (*field);
      *field = g_strdup ("another");
      digest = digest_of (plan);
      g_assert_cmpstr (digest, !=, base);
    }
  {
    g_autoptr (SandboxPlan) plan = support_plan (BASE);
    g_autofree char *uuid = NULL, *layers = NULL, *disk = NULL;

    /* the disk that it would write to is none of what was kept */
    g_free (plan->disk_volume);
    plan->disk_volume = g_strdup ("vms-1000-work.7.qcow2");
    disk = digest_of (plan);
    g_assert_cmpstr (disk, ==, base);
    g_strfreev (plan->layers);
    plan->layers = g_strdupv ((char **)other_layers);
    layers = digest_of (plan);
    g_assert_cmpstr (layers, !=, base);
    plan->uuid[0] = plan->uuid[0] == 'a' ? 'b' : 'a';
    uuid = digest_of (plan);
    g_assert_cmpstr (uuid, !=, layers);
  }
}

static void
test_rest (void)
{
  g_autoptr (SandboxPlan) plan = support_plan (BASE);
  g_autoptr (SandboxFacts) facts = support_facts ();
  g_autofree char *base = digest_of (plan), *libvirt = NULL, *qemu = NULL;
  g_autofree char *seed = digest_with (plan, "other", facts, "computer");
  g_autofree char *computer = digest_with (plan, "seed", facts, "other");

  g_assert_cmpstr (seed, !=, base);
  g_assert_cmpstr (computer, !=, base);
  facts->libvirt_version++;
  libvirt = digest_with (plan, "seed", facts, "computer");
  g_assert_cmpstr (libvirt, !=, base);
  facts->libvirt_version--;
  facts->qemu_version++;
  qemu = digest_with (plan, "seed", facts, "computer");
  g_assert_cmpstr (qemu, !=, base);
}

/* What the kernel says of two processors. */
#define CPUINFO                                                                                    \
  "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\n"                   \
  "model name\t: Some Processor\nstepping\t: 8\nmicrocode\t: 0x2b\ncpu MHz\t\t: 2100.000\n"        \
  "flags\t\t: fpu vme sse2\nbogomips\t: 4200.00\n\n"

static char *
computer_with (const char *from, const char *to)
{
  struct utsname kernel = { .release = "6.12.0", .version = "#1 SMP", .machine = "x86_64" };
  g_autofree char *text = g_strdup (CPUINFO CPUINFO);
  char *place = strstr (text, from);
  g_autoptr (GString) changed = g_string_new (text);

  g_assert_nonnull (place);
  g_string_erase (changed, place - text, (gssize)strlen (from));
  g_string_insert (changed, place - text, to);
  return _sandbox_warm_computer_text (&kernel, "/nowhere", changed->str);
}

/* Each line by itself: where one is left out, memory meets a processor that it was not made for. */
static void
test_processor (void)
{
  static const struct
  {
    const char *from, *to;
    gboolean same;
  } rows[] = {
    { "GenuineIntel", "AuthenticAMD", FALSE },
    { "family\t: 6", "family\t: 7", FALSE },
    { "model\t\t: 143", "model\t\t: 144", FALSE },
    { "Some Processor", "Other Processor", FALSE },
    { "stepping\t: 8", "stepping\t: 9", FALSE },
    { "0x2b", "0x2c", FALSE },
    { "vme sse2", "sse2", FALSE },
    { "2100.000", "800.000", TRUE },
    { "4200.00", "4199.98", TRUE },
    { CPUINFO CPUINFO, CPUINFO, TRUE },
  };
  g_autofree char *base = computer_with ("fpu", "fpu");

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *computer = computer_with (rows[i].from, rows[i].to);

      g_assert_true (g_str_equal (computer, base) == rows[i].same);
    }
}

static void
test_kernel (void)
{
  static const struct utsname kernels[] = {
    { .release = "6.12.0", .version = "#1 SMP", .machine = "x86_64" },
    { .release = "6.12.1", .version = "#1 SMP", .machine = "x86_64" },
    { .release = "6.12.0", .version = "#2 SMP", .machine = "x86_64" },
    { .release = "6.12.0", .version = "#1 SMP", .machine = "i686" },
  };
  g_autofree char *base = _sandbox_warm_computer_text (&kernels[0], "/nowhere", CPUINFO);
  struct utsname renamed = kernels[0];
  g_autofree char *elsewhere = NULL;

  for (guint i = 1; i < G_N_ELEMENTS (kernels); i++)
    {
      g_autofree char *computer = _sandbox_warm_computer_text (&kernels[i], "/nowhere", CPUINFO);

      g_assert_cmpstr (computer, !=, base);
    }
  strcpy (renamed.nodename, "elsewhere");
  elsewhere = _sandbox_warm_computer_text (&renamed, "/nowhere", CPUINFO);
  g_assert_cmpstr (elsewhere, ==, base);
}

/* One that was updated, to the same size or on the same day. */
static void
test_emulator (void)
{
  const struct utsname kernel = { .release = "6.12.0" };
  g_autofree char *dir = g_dir_make_tmp ("test-warm-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (dir, "emulator", NULL);
  g_autofree char *base = NULL, *touched = NULL, *larger = NULL;
  struct utimbuf times = { 1000000000, 1000000000 };

  g_assert_true (g_file_set_contents (path, "one", -1, NULL));
  g_assert_cmpint (g_utime (path, &times), ==, 0);
  base = _sandbox_warm_computer_text (&kernel, path, CPUINFO);
  g_assert_true (g_file_set_contents (path, "three", -1, NULL));
  g_assert_cmpint (g_utime (path, &times), ==, 0);
  larger = _sandbox_warm_computer_text (&kernel, path, CPUINFO);
  g_assert_cmpstr (larger, !=, base);
  times.modtime++;
  g_assert_cmpint (g_utime (path, &times), ==, 0);
  touched = _sandbox_warm_computer_text (&kernel, path, CPUINFO);
  g_assert_cmpstr (touched, !=, larger);
  g_assert_cmpint (g_unlink (path), ==, 0);
  g_assert_cmpint (g_rmdir (dir), ==, 0);
}

/* What is handed in is this computer's. */
static void
test_computer (void)
{
  g_autofree char *computer = _sandbox_warm_computer ("/bin/sh");
  g_autofree char *want = NULL, *cpuinfo = NULL;
  struct utsname kernel;

  g_assert_cmpint (uname (&kernel), ==, 0);
  g_assert_true (g_file_get_contents ("/proc/cpuinfo", &cpuinfo, NULL, NULL));
  want = _sandbox_warm_computer_text (&kernel, "/bin/sh", cpuinfo);
  g_assert_cmpstr (computer, ==, want);
  g_assert_nonnull (strstr (computer, "flags"));
  g_assert_nonnull (strstr (computer, kernel.release));
}

static void
test_names (void)
{
  static const struct
  {
    const char *name, *id, *object;
  } rows[] = {
    { "/pool/warm.vms-7-work." DIGEST "-20261121T031500.qcow2",
      "vms-7-work." DIGEST "-20261121T031500", "vms-7-work" },
    { "warm.vms-7-tool.work." DIGEST "-20261121T031500.mem",
      "vms-7-tool.work." DIGEST "-20261121T031500", "vms-7-tool.work" },
    { "warm.vms-7-work." DIGEST "-20261121T031500.json", "vms-7-work." DIGEST "-20261121T031500",
      "vms-7-work" },
    { "warm.vms-7-work." DIGEST "-20261121T031500", NULL, NULL },
    { "warm." DIGEST "-20261121T031500.mem", NULL, NULL },
    { "warm..mem", NULL, NULL },
    { "warm.vms-7-work." DIGEST "-2026112xT031500.mem", NULL, NULL },
    { "layer." DIGEST "-20261121T031500.qcow2", NULL, NULL },
    { "vms-7-work.qcow2", NULL, NULL },
    { "", NULL, NULL },
    { NULL, NULL, NULL },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *id = _sandbox_warm_id_of_path (rows[i].name);
      g_autofree char *object = id != NULL ? _sandbox_warm_object (id) : NULL;

      g_assert_cmpstr (id, ==, rows[i].id);
      g_assert_cmpstr (object, ==, rows[i].object);
    }
}

/* Another disk, the shares of now, and a note; all else is what was saved. */
static void
test_restored (void)
{
  g_autoptr (SandboxPlan) plan = support_plan (BASE);
  g_autoptr (SandboxPlan) now = support_plan (BASE "[share:a]\nsource=~/a\ntarget=~/a\n");
  g_autofree char *saved = _sandbox_xml_domain (plan), *xml = NULL, *path = NULL;
  g_autofree char *before = NULL, *after = NULL;
  g_autoptr (SandboxDomainMeta) meta = NULL;
  g_autoptr (GError) error = NULL;

  g_free (now->disk_volume);
  now->disk_volume = g_strdup ("vms-1000-work.3.qcow2");
  xml = _sandbox_xml_restored (saved, now, &error);
  g_assert_no_error (error);
  path = _sandbox_xml_disk_path (xml);
  g_assert_cmpstr (path, ==, "/var/lib/libvirt/images/vms/vms-1000-work.3.qcow2");
  meta = _sandbox_xml_read_domain (xml, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (meta->shares->len, ==, 1);
  g_assert_cmpstr (meta->started, ==, "warm");
  before = _sandbox_xml_without_names (saved, NULL);
  after = _sandbox_xml_without_names (xml, NULL);
  g_assert_cmpstr (before, ==, after);
  g_assert_null (_sandbox_xml_restored ("<domain/>", now, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/warm/profiles", test_profiles);
  g_test_add_func ("/warm/plan", test_plan);
  g_test_add_func ("/warm/rest", test_rest);
  g_test_add_func ("/warm/processor", test_processor);
  g_test_add_func ("/warm/kernel", test_kernel);
  g_test_add_func ("/warm/emulator", test_emulator);
  g_test_add_func ("/warm/computer", test_computer);
  g_test_add_func ("/warm/names", test_names);
  g_test_add_func ("/warm/restored", test_restored);
  return g_test_run ();
}
