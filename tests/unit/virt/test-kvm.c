// SPDX-License-Identifier: LGPL-2.1-or-later
// The KVM probe on this machine, without a /dev/kvm, and for a user who may not open it.

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>
#include "virt/virt.h"

/* Far more than it takes, far less than a hang. */
#define LONGEST_USEC (2 * G_USEC_PER_SEC)
#define FAST_ENOUGH  20e6

static guint
count_fds (void)
{
  g_autoptr (GDir) dir = g_dir_open ("/proc/self/fd", 0, NULL);
  guint count = 0;

  while (g_dir_read_name (dir))
    count++;
  return count;
}

static gboolean
probe (char **ret_reason, double *ret_speed)
{
  gint64 start = g_get_monotonic_time ();
  gboolean usable = _sandbox_kvm_probe (ret_reason, ret_speed);

  g_assert_cmpint (g_get_monotonic_time () - start, <, LONGEST_USEC);
  g_assert_nonnull (*ret_reason);
  g_assert_true (g_utf8_validate (*ret_reason, -1, NULL));
  g_test_message ("%d: %s", usable, *ret_reason);
  return usable;
}

static void
test_here (void)
{
  g_autofree char *reason = NULL;
  double speed = -1;
  gboolean usable = probe (&reason, &speed);

  g_assert_cmpfloat (speed, >=, 0);
  if (speed > 0)
    g_assert_cmpint (usable, ==, speed >= FAST_ENOUGH);
  // both outputs may be left out
  g_assert_cmpint (_sandbox_kvm_probe (NULL, NULL), ==, usable);
}

/* Where KVM is fast the answer does not depend on luck, and where it is not neither. */
static void
test_steady (void)
{
  guint fds = count_fds ();
  int usable = -1;

  for (int i = 0; i < 20; i++)
    {
      g_autofree char *reason = NULL;
      double speed;
      gboolean now = probe (&reason, &speed);

      if (usable >= 0)
        g_assert_cmpint (now, ==, usable);
      usable = now;
    }
  g_assert_cmpuint (count_fds (), ==, fds);
}

static void
enter_nobody (void)
{
  g_assert_cmpint (setgroups (0, NULL), ==, 0);
  g_assert_cmpint (setresgid (65534, 65534, 65534), ==, 0);
  g_assert_cmpint (setresuid (65534, 65534, 65534), ==, 0);
}

static gboolean
processor_says (void)
{
  g_autofree char *text = NULL;

  g_assert_true (g_file_get_contents ("/proc/cpuinfo", &text, NULL, NULL));
  return strstr (text, " vmx") || strstr (text, " svm ");
}

static void
child_denied (void)
{
  g_autofree char *reason = NULL;
  double speed = -1;
  int fd;

  enter_nobody ();
  fd = open ("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (fd >= 0 || errno != EACCES)
    {
      g_test_skip ("/dev/kvm is not there or open to everybody");
      return;
    }
  g_assert_cmpint (probe (&reason, &speed), ==, processor_says ());
  g_assert_cmpfloat (speed, ==, 0);
  g_assert_nonnull (strstr (reason, "may not open"));
}

static void
test_denied (void)
{
  if (geteuid () != 0)
    {
      g_test_skip ("needs root, to become another user");
      return;
    }
  g_test_trap_subprocess ("/virt/kvm/subprocess/denied", 0, 0);
  g_test_trap_assert_passed ();
}

static void
child_missing (void)
{
  g_autofree char *reason = NULL;
  double speed = -1;

  if (unshare (CLONE_NEWNS) < 0 || mount ("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0
      || mount ("none", "/dev", "tmpfs", 0, NULL) < 0)
    {
      g_test_skip ("no mount namespaces here");
      return;
    }
  g_assert_false (probe (&reason, &speed));
  g_assert_cmpfloat (speed, ==, 0);
  g_assert_nonnull (strstr (reason, "there is no /dev/kvm"));
}

static void
test_missing (void)
{
  if (geteuid () != 0)
    {
      g_test_skip ("needs root, to hide /dev");
      return;
    }
  g_test_trap_subprocess ("/virt/kvm/subprocess/missing", 0, 0);
  g_test_trap_assert_passed ();
}

/* A /dev/kvm that is something else altogether. */
static void
child_wrong (void)
{
  g_autofree char *reason = NULL;
  double speed = -1;

  if (unshare (CLONE_NEWNS) < 0 || mount ("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0
      || mount ("none", "/dev", "tmpfs", 0, NULL) < 0)
    {
      g_test_skip ("no mount namespaces here");
      return;
    }
  g_assert_true (g_file_set_contents ("/dev/kvm", "", 0, NULL));
  g_assert_false (probe (&reason, &speed));
  g_assert_nonnull (strstr (reason, "does not make a machine"));
}

static void
test_wrong (void)
{
  if (geteuid () != 0)
    {
      g_test_skip ("needs root, to replace /dev");
      return;
    }
  g_test_trap_subprocess ("/virt/kvm/subprocess/wrong", 0, 0);
  g_test_trap_assert_passed ();
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/virt/kvm/here", test_here);
  g_test_add_func ("/virt/kvm/steady", test_steady);
  g_test_add_func ("/virt/kvm/denied", test_denied);
  g_test_add_func ("/virt/kvm/subprocess/denied", child_denied);
  g_test_add_func ("/virt/kvm/missing", test_missing);
  g_test_add_func ("/virt/kvm/subprocess/missing", child_missing);
  g_test_add_func ("/virt/kvm/wrong", test_wrong);
  g_test_add_func ("/virt/kvm/subprocess/wrong", child_wrong);
  return g_test_run ();
}
