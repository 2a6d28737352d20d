// SPDX-License-Identifier: LGPL-2.1-or-later
// libvirt's daemon dies between two calls, and in the middle of one: with a session daemon of our
// own, killed for it.

#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include "common.h"
#include <sandbox/error.h>

#define SESSION_URI "qemu:///session"
#define NOBODY      65534

static char *home;

static pid_t
daemon_pid (void)
{
  g_autofree char *path = g_build_filename (home, "run", "libvirt", "libvirtd.pid", NULL);
  g_autofree char *text = NULL;
  guint64 pid = 0;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return 0;
  g_strstrip (text);
  g_assert_true (g_ascii_string_to_unsigned (text, 10, 2, G_MAXINT, &pid, NULL));
  return pid;
}

static void
kill_daemon (void)
{
  pid_t pid = daemon_pid ();

  if (pid == 0)
    return;
  kill (pid, SIGKILL);
  for (int i = 0; i < 500 && kill (pid, 0) == 0; i++)
    g_usleep (10000);
}

static void
assert_works (SandboxVirt *virt)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) domains = _sandbox_virt_list_domains (virt, "", &error);

  g_assert_no_error (error);
  g_assert_nonnull (domains);
}

/* The client starts the session's daemon again by itself. */
static void
test_between (void)
{
  g_autoptr (SandboxVirt) virt = connect_to (SESSION_URI);
  pid_t first = daemon_pid ();

  g_assert_cmpint (first, >, 1);
  assert_works (virt);
  for (int i = 0; i < 3; i++)
    {
      kill_daemon ();
      assert_works (virt);
    }
  g_assert_cmpint (daemon_pid (), !=, first);
}

static gpointer
kill_soon (gpointer data)
{
  g_usleep (200000);
  kill_daemon ();
  return NULL;
}

/* In the middle of many calls: each succeeds or says that the daemon went, none hangs, and SIGPIPE
 * does not kill us. */
static void
test_during (void)
{
  g_autoptr (SandboxVirt) virt = connect_to (SESSION_URI);
  GThread *thread = g_thread_new ("kill", kill_soon, NULL);
  gint64 end = g_get_monotonic_time () + G_USEC_PER_SEC;

  while (g_get_monotonic_time () < end)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (GPtrArray) domains = _sandbox_virt_list_domains (virt, "", &error);

      if (!domains)
        {
          g_test_message ("%s", error->message);
          g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_HOST);
        }
    }
  g_thread_join (thread);
  assert_works (virt);
}

/* When @parent has stopped itself. */
static void
kill_when_stopped (pid_t parent)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/status", (int)parent);

  for (int i = 0; i < 1000; i++)
    {
      g_autofree char *text = NULL;

      if (g_file_get_contents (path, &text, NULL, NULL) && strstr (text, "State:\tT"))
        break;
      g_usleep (10000);
    }
  kill_daemon ();
  kill (parent, SIGCONT);
  _exit (0);
}

/* Between the two calls by which a machine is stopped and goes on. */
static void
test_still (void)
{
  g_autoptr (SandboxVirt) virt = connect_to (SESSION_URI);
  g_autofree char *name = own_name ("still"), *xml = domain_xml (name, NULL);
  SandboxVirtState state = SANDBOX_VIRT_STOPPED;
  pid_t parent = getpid (), pid;
  g_autoptr (GError) error = NULL;
  gboolean goes_on = FALSE;

  g_assert_true (_sandbox_virt_domain_define (virt, xml, &error));
  g_assert_no_error (error);
  g_assert_true (_sandbox_virt_domain_start (virt, name, &error));
  g_assert_no_error (error);
  pid = fork ();
  if (pid == 0)
    kill_when_stopped (parent);
  g_setenv ("SANDBOX_FAULT", "layers:merge:still:stop", TRUE);
  g_assert_true (_sandbox_virt_domain_write_out (virt, name, &goes_on, &error));
  g_unsetenv ("SANDBOX_FAULT");
  g_assert_no_error (error);
  g_assert_true (goes_on);
  g_assert_true (_sandbox_virt_domain_state (virt, name, NULL, &state, NULL));
  g_assert_cmpint (state, ==, SANDBOX_VIRT_RUNNING);
  g_assert_cmpint (waitpid (pid, NULL, 0), ==, pid);
  remove_domain (virt, name);
}

/* Gone for good: no socket, and nothing that starts it. */
static void
test_gone (void)
{
  g_autofree char *socket = g_build_filename (home, "run", "libvirt", "libvirt-sock", NULL);
  g_autofree char *uri = NULL;
  g_autoptr (SandboxVirt) first = connect_to (SESSION_URI);
  g_autoptr (SandboxVirt) virt = NULL;
  g_autoptr (GPtrArray) domains = NULL;
  g_autoptr (GError) error = NULL;

  uri = g_strconcat ("qemu+unix:///session?socket=", socket, "&mode=legacy", NULL);
  virt = connect_to (uri);
  assert_works (virt);
  kill_daemon ();
  domains = _sandbox_virt_list_domains (virt, "", &error);
  g_test_message ("%s", error ? error->message : "no error");
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_HOST);
  g_assert_nonnull (strstr (error->message, "start libvirt"));
}

int
main (int argc, char **argv)
{
  g_autofree char *run = NULL;
  g_autoptr (SandboxVirt) virt = NULL;
  g_autoptr (GError) error = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  // root's session is the system's daemon, which is not ours to kill
  if (geteuid () == 0)
    {
      g_assert_cmpint (setgroups (0, NULL), ==, 0);
      g_assert_cmpint (setresgid (NOBODY, NOBODY, NOBODY), ==, 0);
      g_assert_cmpint (setresuid (NOBODY, NOBODY, NOBODY), ==, 0);
    }
  // everything of that daemon below one directory
  home = g_dir_make_tmp ("sandbox-test-virt-XXXXXX", NULL);
  run = g_build_filename (home, "run", NULL);
  g_assert_cmpint (g_mkdir (run, 0700), ==, 0);
  g_setenv ("XDG_RUNTIME_DIR", run, TRUE);
  g_setenv ("HOME", home, TRUE);
  g_setenv ("XDG_CONFIG_HOME", home, TRUE);
  g_setenv ("XDG_CACHE_HOME", home, TRUE);
  g_setenv ("XDG_DATA_HOME", home, TRUE);
  virt = _sandbox_virt_open (SESSION_URI, NULL, &error);
  if (!virt && !g_getenv ("VMS_TESTS_MUST_RUN"))
    {
      printf ("1..0 # SKIP no libvirt daemon for this user: %s\n", error->message);
      return 0;
    }
  g_assert_no_error (error);
  g_test_add_func ("/virt/restart/between", test_between);
  g_test_add_func ("/virt/restart/during", test_during);
  g_test_add_func ("/virt/restart/still", test_still);
  g_test_add_func ("/virt/restart/gone", test_gone);
  status = g_test_run ();
  kill_daemon ();
  g_spawn_sync (NULL, (char *[]){ "rm", "-rf", home, NULL }, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                NULL, NULL, NULL, NULL);
  g_free (home);
  return status;
}
