// SPDX-License-Identifier: LGPL-2.1-or-later
// The ssh client's arguments, judged by ssh itself (-G), and the quoting of commands, judged by
// real shells.
#include "fixture.h"

#include "base/error.h"
#include "base/file.h"

#include <string.h>
#include <unistd.h>

static char *
effective (Fixture *fixture, gboolean pty, gboolean master)
{
  g_autoptr (GPtrArray) argv = _sandbox_ssh_argv (fixture->ssh, pty, master);
  char *text;
  int status = -1;

  g_ptr_array_insert (argv, 1, g_strdup ("-G"));
  g_ptr_array_add (argv, NULL);
  text = fixture_run ((const char *const *)argv->pdata, &status);
  g_assert_cmpint (status, ==, 0);
  return text;
}

static void
assert_line (const char *text, const char *line)
{
  g_autofree char *whole = g_strconcat ("\n", text, NULL);
  g_autofree char *wanted = g_strconcat ("\n", line, "\n", NULL);

  if (!strstr (whole, wanted))
    g_error ("ssh -G does not say \"%s\" but\n%s", line, text);
}

static guint
count (const char *text, const char *prefix)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  guint n = 0;

  for (guint i = 0; lines[i]; i++)
    n += g_str_has_prefix (lines[i], prefix);
  return n;
}

static void
test_effective (void)
{
  static const char *const lines[] = {
    "hostname 127.0.0.1",
    "stricthostkeychecking true",
    "checkhostip no",
    "updatehostkeys false",
    "verifyhostkeydns false",
    "identitiesonly yes",
    "identityagent none",
    "certificatefile none",
    "globalknownhostsfile /dev/null",
    "hostkeyalias vms-6ba7b810-9dad-51d1-80b4-00c04fd430c8",
    "preferredauthentications publickey",
    "passwordauthentication no",
    "kbdinteractiveauthentication no",
    "hostbasedauthentication no",
    "gssapiauthentication no",
    "batchmode yes",
    "forwardagent no",
    "forwardx11 no",
    "tunnel false",
    "permitlocalcommand no",
    "clearallforwardings yes",
    "controlmaster false",
    "compression no",
    "addkeystoagent false",
    "escapechar none",
    "requesttty false",
  };
  Fixture fixture;
  g_autofree char *text = NULL;
  g_autofree char *identity = NULL;
  g_autofree char *known_hosts = NULL;

  fixture_set_up (&fixture);
  text = effective (&fixture, FALSE, FALSE);
  for (gsize i = 0; i < G_N_ELEMENTS (lines); i++)
    assert_line (text, lines[i]);
  g_assert_cmpint (count (text, "sendenv"), ==, 0);
  g_assert_cmpint (count (text, "setenv"), ==, 0);
  g_assert_cmpint (count (text, "identityfile "), ==, 1);
  g_assert_cmpint (count (text, "proxycommand "), ==, 0);
  known_hosts = g_strdup_printf ("userknownhostsfile %s/known_hosts", fixture.path);
  assert_line (text, known_hosts);
  fixture_tear_down (&fixture);
}

static void
test_pty_and_master (void)
{
  Fixture fixture;
  g_autofree char *with = NULL;
  g_autofree char *without = NULL;

  fixture_set_up (&fixture);
  with = effective (&fixture, TRUE, TRUE);
  without = effective (&fixture, FALSE, FALSE);
  assert_line (with, "requesttty force");
  g_assert_cmpint (count (with, "controlpath "), ==, 1);
  g_assert_cmpint (count (without, "controlpath "), ==, 0);
  fixture_tear_down (&fixture);
}

static void
test_socket_fits (void)
{
  g_autofree char *fits = g_strnfill (90 - strlen ("/ssh.sock"), 'a');
  g_autofree char *longer = g_strconcat (fits, "a", NULL);
  g_autoptr (SandboxSsh) good = _sandbox_ssh_new (fits, "u", "127.0.0.1", "dev");
  g_autoptr (SandboxSsh) bad = _sandbox_ssh_new (longer, "u", "127.0.0.1", "dev");
  g_autoptr (GError) error = NULL;

  g_assert_true (_sandbox_ssh_socket_fits (good, &error));
  g_assert_no_error (error);
  g_assert_false (_sandbox_ssh_socket_fits (bad, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  g_assert_false (_sandbox_ssh_master_alive (bad));
}

/* A word as ugly as a random generator makes it. */
static char *
random_word (void)
{
  static const char ugly[] = "'\"\\$`!*?[]{}()<>|&;~#%^=-+ \t\nab\xc3\xa9\xff\x01\x7f";
  gsize length = (gsize)g_test_rand_int_range (0, 12);
  GString *word = g_string_new (NULL);

  for (gsize i = 0; i < length; i++)
    g_string_append_c (word, ugly[g_test_rand_int_range (0, sizeof ugly - 1)]);
  return g_string_free (word, FALSE);
}

static char *
run_shell (const char *shell, const char *command, int *ret_status)
{
  const char *argv[] = { shell, "-c", command, NULL };

  return fixture_run (argv, ret_status);
}

/* What the shell runs is what was given: program, arguments, environment. */
static void
test_quoting (void)
{
  static const char *const shells[] = { "/bin/sh", "/bin/bash" };

  for (int round = 0; round < 150; round++)
    for (gsize i = 0; i < G_N_ELEMENTS (shells); i++)
      {
        g_autofree char *one = random_word ();
        g_autofree char *two = random_word ();
        g_autofree char *env_word = random_word ();
        g_autofree char *variable = g_strconcat ("SANDBOX_X=", env_word, NULL);
        const char *argv[] = {
          "/bin/sh",
          "-c",
          "printf '%s\\0' \"$1\" \"$2\" \"$SANDBOX_X\" | od -An -v -tx1 | tr -d ' \\n'",
          "x",
          one,
          two,
          NULL
        };
        const char *env[] = { variable, NULL };
        g_autofree char *command = _sandbox_ssh_command (argv, "/", TRUE);
        g_autofree char *passed = _sandbox_ssh_env (env);
        g_autoptr (GString) expected = g_string_new (NULL);
        g_autofree char *got = NULL;
        const char *words[] = { one, two, env_word };
        int status = -1;

        for (gsize w = 0; w < 3; w++)
          for (const char *c = words[w];; c++)
            {
              g_string_append_printf (expected, "%02x", (guchar)*c);
              if (!*c)
                break;
            }
        g_setenv (SANDBOX_SSH_ENV, strchr (passed, '=') + 1, TRUE);
        got = run_shell (shells[i], command, &status);
        g_unsetenv (SANDBOX_SSH_ENV);
        g_assert_cmpint (status, ==, 0);
        g_assert_cmpstr (got, ==, expected->str);
      }
}

static void
check_status (const char *const *argv, const char *cwd, int expected, const char *output)
{
  g_autofree char *command = _sandbox_ssh_command (argv, cwd, FALSE);
  g_autofree char *got = NULL;
  int status = -1;

  got = run_shell ("/bin/bash", command, &status);
  g_assert_cmpint (status, ==, expected);
  if (output)
    g_assert_cmpstr (got, ==, output);
}

static void
test_status (void)
{
  const char *killed[] = { "sh", "-c", "kill -9 $$", NULL };
  const char *term[] = { "sh", "-c", "kill -15 $$", NULL };
  const char *seven[] = { "sh", "-c", "echo out; echo err >&2; exit 7", NULL };
  const char *builtin[] = { "exit", "3", NULL };
  const char *equals[] = { "A=b", NULL };
  const char *pwd[] = { "pwd", NULL };

  check_status (killed, NULL, 128 + 9, "");
  check_status (term, NULL, 128 + 15, "");
  check_status (seven, NULL, 7, "out\nerr\n");
  /* a program of that name, not the shell's own */
  check_status (builtin, NULL, 127, NULL);
  check_status (equals, NULL, 127, NULL);
  check_status (pwd, "/usr", 0, "/usr\n");
  check_status (pwd, "/no such place", 125, NULL);
  check_status (pwd, "-", 125, NULL);
}

static void
test_known_hosts (void)
{
  Fixture fixture;
  g_autofree char *text = NULL;
  g_autofree char *public = NULL;
  g_autofree char *expected = NULL;

  fixture_set_up (&fixture);
  g_assert_true (sandbox_file_read_at (fixture.fd, "known_hosts", 4096, &text, NULL, NULL));
  public = _sandbox_key_public (fixture.fd, "host_key", NULL);
  expected = g_strdup_printf ("vms-6ba7b810-9dad-51d1-80b4-00c04fd430c8 %s\n", public);
  g_assert_cmpstr (text, ==, expected);
  fixture_tear_down (&fixture);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/guest/ssh/effective", test_effective);
  g_test_add_func ("/guest/ssh/pty-and-master", test_pty_and_master);
  g_test_add_func ("/guest/ssh/socket-fits", test_socket_fits);
  g_test_add_func ("/guest/ssh/quoting", test_quoting);
  g_test_add_func ("/guest/ssh/status", test_status);
  g_test_add_func ("/guest/ssh/known-hosts", test_known_hosts);
  return g_test_run ();
}
