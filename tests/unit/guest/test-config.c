// SPDX-License-Identifier: LGPL-2.1-or-later
// `ssh NAME` under a user's own configuration that gives everything away: a recording sshd sees
// nothing of it.
#include "fixture.h"

#include "base/child.h"
#include "base/error.h"
#include "base/file.h"

#include <string.h>
#include <unistd.h>

#define HOSTILE                                                                                    \
  "Host *\n"                                                                                       \
  "  IdentityFile %s/evil\n  CertificateFile %s/evil-cert.pub\n  IdentityAgent SSH_AUTH_SOCK\n"    \
  "  ProxyJump nobody@jump.invalid\n  SendEnv SANDBOX_* LANG LC_*\n  SetEnv SANDBOX_SET=1\n"       \
  "  ForwardAgent yes\n  ForwardX11 yes\n  ForwardX11Trusted yes\n  Tunnel no\n"                   \
  "  PermitLocalCommand yes\n  LocalCommand touch %s/local-command\n"                              \
  "  PKCS11Provider %s/evil.so\n  SecurityKeyProvider %s/evil.so\n  AddKeysToAgent yes\n"          \
  "  HostbasedAuthentication yes\n  GSSAPIAuthentication yes\n  PasswordAuthentication yes\n"      \
  "  KnownHostsCommand /bin/false\n  UserKnownHostsFile /dev/null\n  StrictHostKeyChecking no\n"   \
  "  RemoteCommand id\n  RequestTTY force\n  User other\n  Port 22\n  HostName 198.51.100.9\n"     \
  "  ControlMaster auto\n  ControlPath none\n  Compression yes\n"

static char *
path_in (Fixture *fixture, const char *name)
{
  return g_build_filename (fixture->guest, name, NULL);
}

/* The user's configuration, ours included at its top; returns its path. */
static char *
write_config (Fixture *fixture, const char *more)
{
  const char *dir = fixture->guest;
  g_autofree char *block_path = path_in (fixture, "block");
  g_autofree char *block = _sandbox_ssh_config_block (fixture->ssh, "work");
  g_autofree char *text =
      g_strdup_printf ("Include %s\n" HOSTILE "%s", block_path, dir, dir, dir, dir, dir, more);
  char *path = path_in (fixture, "config");

  g_assert_true (g_file_set_contents (block_path, block, -1, NULL));
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  return path;
}

static void
make_evil_key (Fixture *fixture)
{
  g_autofree char *path = path_in (fixture, "evil");
  const char *argv[] = { "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path, NULL };
  g_autofree char *output = NULL;
  int status = -1;

  output = fixture_run (argv, &status);
  g_assert_cmpint (status, ==, 0);
}

/* The program that the block asks is not there in these tests, or stands in for it. */
static void
set_ready (Fixture *fixture, const char *script)
{
  g_autofree char *path = path_in (fixture, "sandbox-keeper");

  g_setenv ("SANDBOX_LIBEXEC_DIR", fixture->guest, TRUE);
  if (script)
    g_assert_true (g_file_set_contents_full (path, script, -1, 0, 0755, NULL));
}

static char *
run_ssh (const char *config, const char *option, const char *command, int *ret_status)
{
  const char *argv[] = { "ssh",  "-F",    config, "-o", option ? option : "LogLevel=ERROR",
                         "work", command, NULL };

  return fixture_run (argv, ret_status);
}

static void
test_with_master (void)
{
  Fixture fixture;

  fixture_set_up (&fixture);
  if (fixture_start_sshd (&fixture, NULL))
    {
      g_autofree char *config = NULL;
      g_autofree char *output = NULL;
      g_autofree char *local_command = path_in (&fixture, "local-command");
      g_autofree char *log = NULL;
      pid_t master = fixture_start_master (&fixture);
      int status = -1;

      make_evil_key (&fixture);
      set_ready (&fixture, "#!/bin/sh\nexit 0\n");
      config = write_config (&fixture, "");
      output = run_ssh (config, NULL,
                        "echo ${SANDBOX_SECRET-no} ${SANDBOX_SET-no} ${SSH_AUTH_SOCK-no} "
                        "${DISPLAY-no} ${VMS-no}; exit 5",
                        &status);
      g_assert_cmpstr (output, ==, "no no no no no\n");
      g_assert_cmpint (status, ==, 5);
      g_assert_false (g_file_test (local_command, G_FILE_TEST_EXISTS));
      /* the keeper's connection and no other; the environment did not even ask to be let in */
      log = fixture_log (&fixture);
      g_assert_cmpint (g_regex_match_simple ("Accepted publickey.*Connection from.*Connection from",
                                             log, G_REGEX_DOTALL, 0),
                       ==, FALSE);
      g_assert_null (strstr (log, "SANDBOX_"));
      g_assert_null (strstr (log, "req auth-agent-req"));
      g_assert_null (strstr (log, "req x11-req"));
      fixture_kill (master);
    }
  fixture_tear_down (&fixture);
}

static void
test_without_master (void)
{
  Fixture fixture;

  fixture_set_up (&fixture);
  if (fixture_start_sshd (&fixture, NULL))
    {
      g_autofree char *config = NULL;
      g_autofree char *output = NULL;
      g_autofree char *log = NULL;
      int status = -1;

      make_evil_key (&fixture);
      set_ready (&fixture, NULL);
      config = write_config (&fixture, "");
      output = run_ssh (config, NULL, "echo in", &status);
      g_assert_cmpint (status, ==, 255);
      g_assert_nonnull (strstr (output, "see to it with: vms start"));
      g_assert_null (strstr (output, "jump.invalid"));
      /* nobody is asked at an address that nobody of ours has now */
      log = fixture_log (&fixture);
      g_assert_null (strstr (log, "userauth-request"));
    }
  fixture_tear_down (&fixture);
}

/* Another host's key: refused before anything was said, whatever the user's configuration wishes.
 */
static void
test_host_key (void)
{
  Fixture fixture;

  fixture_set_up (&fixture);
  if (fixture_start_sshd (&fixture, NULL))
    {
      g_autofree char *config = NULL;
      g_autofree char *output = NULL;
      g_autofree char *log = NULL;
      int status = -1;

      unlinkat (fixture.fd, "host_key", 0);
      g_assert_true (_sandbox_keys_ensure (fixture.fd, "other", NULL, NULL, NULL));
      g_assert_true (_sandbox_ssh_write_known_hosts (fixture.fd, fixture.ssh->uuid, NULL));
      make_evil_key (&fixture);
      set_ready (&fixture, NULL);
      config = write_config (&fixture, "");
      output = run_ssh (config, NULL, "echo in", &status);
      g_assert_cmpint (status, ==, 255);
      g_assert_nonnull (strstr (output, "see to it with"));
      log = fixture_log (&fixture);
      g_assert_null (strstr (log, "userauth-request"));
    }
  fixture_tear_down (&fixture);
}

static guint
free_port (void)
{
  Fixture other;
  guint port;

  fixture_set_up (&other);
  port = other.ssh->port;
  fixture_tear_down (&other);
  return port;
}

static gboolean
listens (guint port)
{
  int saved_errno;
  int fd = _sandbox_tcp_connect ("127.0.0.1", port, G_USEC_PER_SEC, &saved_errno);

  sandbox_close_fd (&fd);
  return fd >= 0 || saved_errno == 0;
}

/* Forwards of `Host *` reach no machine; those of the command line do, as long as the helper says
 * yes. */
static void
test_forwards (void)
{
  Fixture fixture;

  fixture_set_up (&fixture);
  if (fixture_start_sshd (&fixture, NULL))
    {
      guint local = free_port (), remote = free_port (), asked = free_port ();
      g_autofree char *more = g_strdup_printf (
          "  LocalForward %u 127.0.0.1:22\n  RemoteForward %u 127.0.0.1:22\n", local, remote);
      g_autofree char *forward =
          g_strdup_printf ("LocalForward=%u 127.0.0.1:%u", asked, fixture.ssh->port);
      g_autofree char *config = NULL;
      g_autofree char *plain = NULL;
      g_autofree char *output = NULL;
      g_autofree char *output2 = NULL;
      pid_t master = fixture_start_master (&fixture);
      int status = -1;

      set_ready (&fixture, "#!/bin/sh\nexit 1\n");
      config = write_config (&fixture, more);
      output = run_ssh (config, NULL, "true", &status);
      g_assert_cmpint (status, ==, 0);
      g_assert_false (listens (local));
      g_assert_false (listens (remote));
      set_ready (&fixture, "#!/bin/sh\nexit 0\n");
      plain = write_config (&fixture, "");
      output2 = run_ssh (plain, forward, "true", &status);
      g_assert_cmpint (status, ==, 0);
      g_assert_true (listens (asked));
      fixture_kill (master);
    }
  fixture_tear_down (&fixture);
}

/* The block is what ssh takes it for, under the ugliest of directories. */
static void
test_block (void)
{
  Fixture fixture;
  g_autofree char *config = NULL;
  g_autofree char *text = NULL;
  g_autofree char *control_path = NULL;
  const char *argv[] = { "ssh", "-G", "-F", NULL, "work", NULL };
  static const char *const lines[] = {
    "\nhostname 127.0.0.1\n",   "\npubkeyauthentication false\n",
    "\nforwardagent no\n",      "\nforwardx11 no\n",
    "\nidentityagent none\n",   "\npasswordauthentication no\n",
    "\ntunnel false\n",         "\npermitlocalcommand no\n",
    "\ncontrolmaster false\n",  "\nstricthostkeychecking true\n",
    "\nupdatehostkeys false\n", "\nclearallforwardings yes\n",
  };
  int status = -1;

  fixture_set_up (&fixture);
  set_ready (&fixture, "#!/bin/sh\nexit 1\n");
  config = write_config (&fixture, "");
  argv[3] = config;
  text = fixture_run (argv, &status);
  g_assert_cmpint (status, ==, 0);
  for (gsize i = 0; i < G_N_ELEMENTS (lines); i++)
    if (!strstr (text, lines[i]))
      g_error ("no line %s in %s", lines[i], text);
  control_path = g_strdup_printf ("\ncontrolpath %s/ssh.sock\n", fixture.path);
  g_assert_nonnull (strstr (text, control_path));
  g_assert_null (strstr (text, "jump.invalid"));
  g_assert_null (strstr (text, "remotecommand"));
  fixture_tear_down (&fixture);
}

int
main (int argc, char **argv)
{
  g_setenv ("SANDBOX_SECRET", "1", TRUE);
  g_setenv ("DISPLAY", ":77", TRUE);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/guest/config/block", test_block);
  g_test_add_func ("/guest/config/with-master", test_with_master);
  g_test_add_func ("/guest/config/without-master", test_without_master);
  g_test_add_func ("/guest/config/host-key", test_host_key);
  g_test_add_func ("/guest/config/forwards", test_forwards);
  return g_test_run ();
}
