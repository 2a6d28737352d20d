// SPDX-License-Identifier: LGPL-2.1-or-later
// What the tests of the guest layer share.
#include "fixture.h"

#include "base/child.h"
#include "base/file.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define UUID "6ba7b810-9dad-51d1-80b4-00c04fd430c8"

void
fixture_set_up (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;

  memset (fixture, 0, sizeof *fixture);
  /* a name that has to be quoted */
  fixture->path = g_dir_make_tmp ("sandbox it's %h XXXXXX", &error);
  g_assert_no_error (error);
  fixture->fd = sandbox_dir_open (fixture->path, FALSE, &error);
  g_assert_no_error (error);
  _sandbox_keys_ensure (fixture->fd, "vms-0-test", NULL, NULL, &error);
  g_assert_no_error (error);
  _sandbox_ssh_write_known_hosts (fixture->fd, UUID, &error);
  g_assert_no_error (error);
  fixture->guest = g_dir_make_tmp ("sandbox-guest-XXXXXX", &error);
  g_assert_no_error (error);
  fixture->log = g_build_filename (fixture->guest, "sshd.log", NULL);
  fixture->ssh = _sandbox_ssh_new (fixture->path, UUID, "127.0.0.1", g_get_user_name ());
  {
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint (bind (fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    g_assert_cmpint (getsockname (fd, (struct sockaddr *)&address, &length), ==, 0);
    fixture->ssh->port = ntohs (address.sin_port);
    close (fd);
  }
}

static void
wait_for_port (Fixture *fixture)
{
  for (int i = 0; i < 200; i++)
    {
      int saved_errno;
      int fd = _sandbox_tcp_connect ("127.0.0.1", fixture->ssh->port, 100000, &saved_errno);

      if (fd >= 0)
        {
          close (fd);
          return;
        }
      g_usleep (20000);
    }
  g_error ("sshd did not come up");
}

static void
copy_key (Fixture *fixture, const char *from, const char *to)
{
  g_autofree char *path = g_build_filename (fixture->guest, to, NULL);
  g_autofree char *text = NULL;
  gsize length = 0;

  g_assert_true (sandbox_file_read_at (fixture->fd, from, 4096, &text, &length, NULL));
  g_assert_true (g_file_set_contents_full (path, text, (gssize)length, 0, 0600, NULL));
}

gboolean
fixture_start_sshd (Fixture *fixture, const char *more)
{
  static const char *const program = "/usr/sbin/sshd";
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  g_autofree char *config = g_build_filename (fixture->guest, "sshd_config", NULL);
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  const char *argv[] = { program, "-D", "-E", fixture->log, "-f", config, NULL };

  if (access (program, X_OK) < 0)
    {
      g_test_skip ("no /usr/sbin/sshd: install openssh-server");
      return FALSE;
    }
  if (geteuid () == 0)
    g_mkdir ("/run/sshd", 0755);
  copy_key (fixture, "host_key", "host_key");
  copy_key (fixture, "user_key.pub", "authorized_keys");
  text = g_strdup_printf (
      "Port %u\nListenAddress 127.0.0.1\nHostKey %s/host_key\n"
      "AuthorizedKeysFile %s/authorized_keys\nPidFile none\nStrictModes no\nUsePAM no\n"
      "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n"
      "AcceptEnv %s\nAllowAgentForwarding yes\nX11Forwarding yes\nLogLevel DEBUG3\n%s",
      fixture->ssh->port, fixture->guest, fixture->guest,
      fixture->accept_env ? fixture->accept_env : "*", more ? more : "");
  g_file_set_contents (config, text, -1, &error);
  g_assert_no_error (error);
  options.argv = argv;
  sandbox_child_spawn (&options, &fixture->sshd, &error);
  g_assert_no_error (error);
  wait_for_port (fixture);
  return TRUE;
}

void
fixture_kill (pid_t pid)
{
  if (!pid)
    return;
  kill (pid, SIGTERM);
  sandbox_child_wait (pid, FALSE, 0, NULL, NULL, NULL);
}

void
fixture_stop_sshd (Fixture *fixture)
{
  fixture_kill (fixture->sshd);
  fixture->sshd = 0;
}

char *
fixture_log (Fixture *fixture)
{
  char *text = NULL;

  if (!g_file_get_contents (fixture->log, &text, NULL, NULL))
    return g_strdup ("");
  return text;
}

static void
remove_directory (const char *path)
{
  g_autofree char *parent = g_path_get_dirname (path);
  g_autofree char *name = g_path_get_basename (path);
  int fd = open (parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  /* what ran in the "guest" may still be at its end, and write */
  for (guint i = 0; i < 100 && !sandbox_remove_at (fd, name, NULL); i++)
    g_usleep (100 * 1000);
  g_assert_cmpint (faccessat (fd, name, F_OK, AT_SYMLINK_NOFOLLOW), ==, -1);
  close (fd);
}

void
fixture_tear_down (Fixture *fixture)
{
  fixture_stop_sshd (fixture);
  remove_directory (fixture->path);
  remove_directory (fixture->guest);
  close (fixture->fd);
  _sandbox_ssh_free (fixture->ssh);
  g_free (fixture->log);
  g_free (fixture->guest);
  g_free (fixture->path);
}

pid_t
fixture_start_master (Fixture *fixture)
{
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  g_autoptr (GPtrArray) argv = _sandbox_ssh_master_argv (fixture->ssh, NULL);
  g_autoptr (GError) error = NULL;
  pid_t pid = 0;

  g_ptr_array_add (argv, NULL);
  options.argv = (const char *const *)argv->pdata;
  sandbox_child_spawn (&options, &pid, &error);
  g_assert_no_error (error);
  for (int i = 0; i < 500 && !_sandbox_ssh_master_alive (fixture->ssh); i++)
    g_usleep (10000);
  g_assert_true (_sandbox_ssh_master_alive (fixture->ssh));
  return pid;
}

char *
fixture_run (const char *const *argv, int *ret_status)
{
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  g_autoptr (GError) error = NULL;
  g_autofree char *out = NULL;
  g_autofree char *err = NULL;

  options.argv = argv;
  sandbox_child_run (&options, 60 * G_USEC_PER_SEC, 1024 * 1024, NULL, &out, &err, ret_status,
                     &error);
  g_assert_no_error (error);
  return g_strconcat (out, err, NULL);
}

static void
share_free (gpointer data)
{
  SandboxPlanShare *share = data;

  g_free (share->tag);
  g_free (share->source);
  g_free (share->target);
  g_free (share->shadow);
  g_free (share);
}

SandboxPlan *
fixture_plan (void)
{
  SandboxPlan *plan = g_new0 (SandboxPlan, 1);

  plan->name = g_strdup ("work");
  plan->profile = g_strdup ("work");
  plan->forbid = g_new0 (char *, 1);
  plan->object = g_strdup ("vms-1000-work");
  g_strlcpy (plan->uuid, UUID, sizeof plan->uuid);
  plan->machine_id = g_strdup ("6ba7b8109dad51d180b400c04fd430c8");
  plan->user = g_strdup ("dev");
  plan->uid = 1000;
  plan->gid = 1001;
  plan->network_mode = g_strdup ("nat");
  plan->gateway = g_strdup ("10.213.4.1");
  plan->address = g_strdup ("10.213.4.2");
  plan->subnet = (SandboxCidr){ 0x0ad50400, 29 };
  plan->shares = g_ptr_array_new_with_free_func (share_free);
  return plan;
}

SandboxPlanShare *
fixture_plan_add_share (SandboxPlan *plan, const char *tag, const char *target)
{
  SandboxPlanShare *share = g_new0 (SandboxPlanShare, 1);

  share->tag = g_strdup (tag);
  share->source = g_strdup ("/nowhere");
  share->target = g_strdup (target);
  share->mode = SANDBOX_SHARE_RW;
  share->shadow = g_strdup ("");
  g_ptr_array_add (plan->shares, share);
  return share;
}

void
fixture_plan_free (SandboxPlan *plan)
{
  g_free (plan->name);
  g_free (plan->profile);
  g_strfreev (plan->forbid);
  g_free (plan->object);
  g_free (plan->machine_id);
  g_free (plan->user);
  g_free (plan->network_mode);
  g_free (plan->gateway);
  g_free (plan->address);
  g_ptr_array_unref (plan->shares);
  g_free (plan);
}
