// SPDX-License-Identifier: LGPL-2.1-or-later
// The user's own ssh configuration: one line is added, nothing is lost, and no host that is there
// already is taken over.
#include "../../driver/facade-driver.h"

static char *
config_path (void)
{
  return g_build_filename (g_get_home_dir (), ".ssh", "config", NULL);
}

static void
write_config (const char *text)
{
  g_autofree char *path = config_path (), *dir = g_path_get_dirname (path);

  g_assert_cmpint (g_mkdir_with_parents (dir, 0700), ==, 0);
  g_unlink (path);
  if (text != NULL)
    g_assert_true (g_file_set_contents_full (path, text, -1, G_FILE_SET_CONTENTS_NONE, 0644, NULL));
}

static char *
read_config (void)
{
  g_autofree char *path = config_path ();
  char *text = NULL;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  return text;
}

/* As start leaves it: the machine's directory with its block. */
static void
add_block (SandboxHost *host, const char *name)
{
  g_autofree char *dir = g_build_filename (host->state_dir, name, NULL);
  g_autofree char *file = g_build_filename (dir, "ssh_config", NULL);
  g_autofree char *text = g_strdup_printf ("Host %s\n  Port 22\n", name);

  g_assert_cmpint (g_mkdir_with_parents (dir, 0700), ==, 0);
  g_assert_true (g_file_set_contents (file, text, -1, NULL));
}

static void
remove_block (SandboxHost *host, const char *name)
{
  sandbox_autofd int fd = _sandbox_host_state_fd (host, TRUE, NULL);

  g_assert_true (sandbox_remove_at (fd, name, NULL));
}

static void
test_install (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autofree char *line = g_strdup_printf ("Include \"%s/ssh_config\"\n", host->state_dir);
  static const char *const before[] = { NULL, "", "Host github.com\n  User git\n", "# mine",
                                        "Host *\r\n  Port 22\r\n" };

  for (gsize i = 0; i < G_N_ELEMENTS (before); i++)
    {
      g_autofree char *once = NULL, *twice = NULL, *path = config_path ();
      g_autoptr (GError) error = NULL;
      gboolean changed = FALSE;
      GStatBuf info;

      write_config (before[i]);
      g_assert_true (sandbox_host_ssh_config_install (host, &changed, &error));
      g_assert_no_error (error);
      g_assert_true (changed);
      once = read_config ();
      g_assert_true (g_str_has_prefix (once, line));
      if (before[i] != NULL)
        g_assert_true (g_str_has_suffix (once, before[i]));
      g_assert_cmpint (g_stat (path, &info), ==, 0);
      g_assert_cmpuint (info.st_mode & 0777, ==, 0600);
      g_assert_true (sandbox_host_ssh_config_install (host, &changed, &error));
      g_assert_false (changed);
      twice = read_config ();
      g_assert_cmpstr (once, ==, twice);
    }
}

static void
test_link (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autofree char *path = config_path (),
                  *real = g_build_filename (g_get_home_dir (), "dotfiles-config", NULL);
  g_autofree char *text = NULL;
  gboolean changed;

  write_config (NULL);
  g_assert_true (g_file_set_contents (real, "Host a\n", -1, NULL));
  g_assert_cmpint (symlink (real, path), ==, 0);
  g_assert_true (sandbox_host_ssh_config_install (host, &changed, NULL));
  g_assert_true (g_file_test (path, G_FILE_TEST_IS_SYMLINK));
  g_assert_true (g_file_get_contents (real, &text, NULL, NULL));
  g_assert_nonnull (strstr (text, "Include"));
  g_assert_nonnull (strstr (text, "Host a"));
}

static void
test_aliases (void)
{
  static const struct
  {
    const char *config;
    gboolean taken;
  } cases[] = {
    { "Host work\n", TRUE },
    { "host work\n", TRUE },
    { "  HOST\tother work # x\n", TRUE },
    { "Host=work\n", TRUE },
    { "Host = \"work\"\n", TRUE },
    { "Host other\n  HostName work\n", FALSE },
    { "Host *\n", FALSE },
    { "Host w*\n", FALSE },
    { "# Host work\n", FALSE },
    { "Match host work\n", FALSE },
    { "Include more-config\n", TRUE },
    { "Include ~/.ssh/more-*\n", TRUE },
    { "Include absent/*\n", FALSE },
  };
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autofree char *more = g_build_filename (g_get_home_dir (), ".ssh", "more-config", NULL);

  write_config ("");
  g_assert_true (g_file_set_contents (more, "Host work\n", -1, NULL));
  add_block (host, "work");
  add_block (host, "personal");
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *text = NULL, *path = NULL, *after = NULL;
      gboolean changed = FALSE, installed;

      g_test_message ("%s", cases[i].config);
      write_config (cases[i].config);
      text = sandbox_host_ssh_config (host, &path, &error);
      g_assert_no_error (error);
      g_assert_cmpint (strstr (text, "\nHost work\n") == NULL, ==, cases[i].taken);
      g_assert_nonnull (strstr (text, "\nHost personal\n"));
      installed = sandbox_host_ssh_config_install (host, &changed, &error);
      g_assert_cmpint (installed, ==, !cases[i].taken);
      if (!cases[i].taken)
        continue;
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_EXISTS);
      after = read_config ();
      g_assert_cmpstr (after, ==, cases[i].config);
    }
  remove_block (host, "work");
  remove_block (host, "personal");
}

/* Include that leads to itself. */
static void
test_include_loop (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autofree char *text = NULL;

  write_config ("Include config config config\nHost work\n");
  text = sandbox_host_ssh_config (host, NULL, NULL);
  g_assert_nonnull (text);
}

/* Nothing that stands in the way of the user's configuration holds up a start, and nothing in it is
 * lost. */
static void
test_odd_files (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autofree char *path = config_path (), *fifo = g_strconcat (path, ".fifo", NULL);
  g_autofree char *text = NULL, *after = NULL;
  static const char with_nul[] = "Host a\0b\n  User x\n";
  g_autoptr (GError) error = NULL;
  gsize length = 0;

  write_config ("Include config.fifo\nHost github.com\n");
  g_assert_cmpint (mkfifo (fifo, 0600), ==, 0);
  text = sandbox_host_ssh_config (host, NULL, NULL);
  g_assert_nonnull (text);
  write_config (NULL);
  g_assert_true (g_file_set_contents_full (path, with_nul, sizeof with_nul,
                                           G_FILE_SET_CONTENTS_NONE, 0600, NULL));
  g_assert_false (sandbox_host_ssh_config_install (host, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  g_assert_true (g_file_get_contents (path, &after, &length, NULL));
  g_assert_cmpmem (after, length, with_nul, sizeof with_nul);
  g_unlink (fifo);
}

int
main (int argc, char **argv)
{
  g_autofree char *home = driver_test_home ();
  int result;

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ssh-config/install", test_install);
  g_test_add_func ("/ssh-config/link", test_link);
  g_test_add_func ("/ssh-config/aliases", test_aliases);
  g_test_add_func ("/ssh-config/include-loop", test_include_loop);
  g_test_add_func ("/ssh-config/odd-files", test_odd_files);
  result = g_test_run ();
  driver_test_remove_home (home);
  return result;
}
