// SPDX-License-Identifier: LGPL-2.1-or-later
// What the self-test finds out about this host by itself: its addresses, and which process is QEMU.
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../plan/support.h"
#include "facade/verify-private.h"

/* Addresses in a network of its own: what is beyond the limit is counted. */
static void
find_many (void)
{
  g_autoptr (SandboxPlan) plan = support_plan ("[network]\nmode=nat\n");
  SandboxVerifyScene scene;
  g_autoptr (GError) error = NULL;

  _sandbox_verify_scene_init (&scene, plan);
  g_assert_true (_sandbox_verify_find_addresses (&scene, &error));
  g_assert_cmpuint (scene.host_addresses->len, ==, SANDBOX_VERIFY_ADDRESSES_MAX);
  g_assert_cmpuint (scene.n_untried, ==, 40 - SANDBOX_VERIFY_ADDRESSES_MAX);
  g_assert_cmpuint (scene.host_addresses6->len, ==, SANDBOX_VERIFY_ADDRESSES6_MAX);
  g_assert_cmpuint (scene.n_untried6, ==, 10 - SANDBOX_VERIFY_ADDRESSES6_MAX);
  _sandbox_verify_scene_clear (&scene);
}

static void
test_many_addresses (void)
{
  static const char *const command =
      "ip link add many0 type bridge && ip link set many0 up && for i in $(seq 40); do "
      "ip addr add 198.51.100.$i/24 dev many0 || exit; done; for i in $(seq 10); do "
      "ip addr add 2001:db8::$i/64 dev many0 nodad || exit; done";

  if (g_test_subprocess ())
    {
      g_assert_cmpint (unshare (CLONE_NEWNET), ==, 0);
      g_assert_cmpint (system (command), ==, 0);
      find_many ();
      return;
    }
  if (geteuid () != 0)
    {
      g_test_skip ("only root makes a network of its own");
      return;
    }
  g_test_trap_subprocess (NULL, 30 * G_USEC_PER_SEC, G_TEST_SUBPROCESS_DEFAULT);
  g_test_trap_assert_passed ();
}

static const char *
seccomp_of (const char *object)
{
  g_autoptr (GPtrArray) findings =
      g_ptr_array_new_with_free_func ((GDestroyNotify)sandbox_finding_free);

  _sandbox_verify_check_domain ("<domain><devices><emulator>/usr/bin/qemu-system-x86_64</emulator>"
                                "</devices></domain>",
                                object, "", "machine", findings);
  for (guint i = 0; i < findings->len; i++)
    {
      const SandboxFinding *finding = findings->pdata[i];

      if (strcmp (finding->id, "seccomp") == 0)
        return sandbox_verdict_to_string (finding->verdict);
    }
  return NULL;
}

/* A program of user @uid that calls itself the QEMU of @object, until its input ends. */
static pid_t
pretend (uid_t uid, const char *object, int input)
{
  g_autofree char *guest = g_strdup_printf ("guest=%s,debug-threads=on", object);
  pid_t pid = fork ();

  if (pid == 0)
    {
      if (dup2 (input, STDIN_FILENO) < 0 || setresuid (uid, uid, uid) < 0)
        _exit (1);
      execl ("/bin/sh", "/usr/bin/qemu-system-x86_64", "-c", "read x", "qemu", "-name", guest,
             NULL);
      _exit (1);
    }
  g_assert_cmpint (pid, >, 0);
  return pid;
}

/* Another user's process is not judged in QEMU's place; one of a system user is. */
static void
test_pretended (void)
{
  static const struct
  {
    uid_t uid;
    const char *verdict;
  } users[] = { { 12345, "unknown" }, { 64055, "fail" } };

  if (geteuid () != 0)
    {
      g_test_skip ("only root has processes of other users");
      return;
    }
  for (gsize i = 0; i < G_N_ELEMENTS (users); i++)
    {
      g_autofree char *object = g_strdup_printf ("vms-test-%08x", g_random_int ());
      const char *verdict = "unknown";
      int fds[2];
      pid_t pid;

      g_assert_cmpint (pipe2 (fds, O_CLOEXEC), ==, 0);
      pid = pretend (users[i].uid, object, fds[0]);
      /* until it has become what it pretends to be; the one that is not believed gets a second */
      for (guint k = 0; k < 50 && strcmp (verdict, "unknown") == 0; k++)
        {
          g_usleep (20000);
          verdict = seccomp_of (object);
        }
      g_assert_cmpstr (verdict, ==, users[i].verdict);
      close (fds[0]);
      close (fds[1]);
      g_assert_cmpint (waitpid (pid, NULL, 0), ==, pid);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/verify/host/many-addresses", test_many_addresses);
  g_test_add_func ("/verify/host/pretended", test_pretended);
  return g_test_run ();
}
