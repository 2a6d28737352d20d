// SPDX-License-Identifier: LGPL-2.1-or-later
// Fixes as data: how they are shown, that they run without a shell, and that a diagnosis ends.
#include "facade/doctor.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

static SandboxCheck *
make_check (SandboxDoctor *doctor)
{
  return _sandbox_doctor_add (doctor, "a", SANDBOX_CHECK_WARNING, "%s", "text");
}

static void
doctor_clear (SandboxDoctor *doctor)
{
  g_clear_pointer (&doctor->checks, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SandboxDoctor, doctor_clear)

static SandboxDoctor
make_doctor (void)
{
  return (SandboxDoctor){
    .checks = g_ptr_array_new_with_free_func ((GDestroyNotify)sandbox_check_free),
  };
}

static void
test_shown (void)
{
  g_auto (SandboxDoctor) doctor = make_doctor ();
  SandboxCheck *check = make_check (&doctor);
  gboolean root = geteuid () == 0;
  g_autofree char *sudo = sandbox_find_system_program ("sudo"),
                  *pkexec = sandbox_find_system_program ("pkexec"),
                  *chmod = sandbox_find_system_program ("chmod"),
                  *tee = sandbox_find_system_program ("tee");
  g_autofree char *expected =
      g_strdup_printf ("%s 0700 '/a b/$(id)' && echo 'x y' | %s%s%s /etc/z", root ? chmod : "chmod",
                       root     ? ""
                       : sudo   ? sudo
                       : pkexec ? pkexec
                                : "sudo",
                       root ? "" : " ", tee);

  _sandbox_check_step (check, FALSE, NULL, "chmod", "0700", "/a b/$(id)", NULL);
  _sandbox_check_step (check, TRUE, "x y\n", "tee", "/etc/z", NULL);
  _sandbox_check_show_steps (check);
  g_assert_cmpstr (check->fix, ==, expected);
}

/* Words arrive as they are, and so does the input. */
static void
test_runs_without_shell (void)
{
  g_auto (SandboxDoctor) doctor = make_doctor ();
  SandboxCheck *check = make_check (&doctor);
  g_autofree char *dir = g_dir_make_tmp ("vms-doctor-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (dir, "$(id); x > y", NULL);
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;

  _sandbox_check_step (check, FALSE, "$(id)\n", "tee", path, NULL);
  g_assert_true (sandbox_check_apply_fix (check, NULL, &error));
  g_assert_no_error (error);
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "$(id)\n");
  g_unlink (path);
  g_rmdir (dir);
}

/* What stands first in the caller's PATH is not what root runs, and neither is that environment
 * what it runs in. */
static void
test_not_from_path (void)
{
  g_auto (SandboxDoctor) doctor = make_doctor ();
  SandboxCheck *check = make_check (&doctor);
  g_autofree char *dir = g_dir_make_tmp ("vms-doctor-XXXXXX", NULL);
  g_autofree char *old = g_strdup (g_getenv ("PATH")), *text = NULL;
  g_autofree char *path = g_strdup_printf ("%s:%s", dir, old);
  g_autofree char *command = g_strdup_printf ("env >%s/env", dir);
  g_autofree char *env = g_build_filename (dir, "env", NULL);
  static const char *const names[] = { "sh", "sudo", "pkexec" };
  g_autoptr (GError) error = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *fake = g_build_filename (dir, names[i], NULL);

      g_assert_true (g_file_set_contents (fake, "#!/bin/sh\nexit 3\n", -1, NULL));
      g_assert_cmpint (g_chmod (fake, 0755), ==, 0);
    }
  g_setenv ("PATH", path, TRUE);
  g_setenv ("LD_SOMETHING", "theirs", TRUE);
  _sandbox_check_step (check, TRUE, NULL, "sh", "-c", command, NULL);
  _sandbox_check_show_steps (check);
  g_assert_false (g_str_has_prefix (check->fix, "sh ") || g_str_has_prefix (check->fix, "sudo sh"));
  if (geteuid () == 0)
    {
      g_assert_true (sandbox_check_apply_fix (check, NULL, &error));
      g_assert_no_error (error);
      g_assert_true (g_file_get_contents (env, &text, NULL, NULL));
      g_assert_nonnull (strstr (text, "PATH=" SANDBOX_SYSTEM_PATH "\n"));
      g_assert_null (strstr (text, "LD_SOMETHING"));
    }
  g_setenv ("PATH", old, TRUE);
  g_unsetenv ("LD_SOMETHING");
  g_unlink (env);
  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *fake = g_build_filename (dir, names[i], NULL);

      g_unlink (fake);
    }
  g_assert_cmpint (g_rmdir (dir), ==, 0);
}

/* Only the caller's PATH has it: then it is not run. */
static void
test_elsewhere (void)
{
  g_auto (SandboxDoctor) doctor = make_doctor ();
  SandboxCheck *check = make_check (&doctor);
  g_autoptr (GError) error = NULL;

  _sandbox_check_step (check, TRUE, NULL, "no-such-program-here", NULL);
  _sandbox_check_show_steps (check);
  g_assert_false (sandbox_check_apply_fix (check, NULL, &error));
  g_assert_nonnull (strstr (error->message, geteuid () == 0 ? SANDBOX_SYSTEM_PATH : "a"));
}

/* The first command that fails ends it, and is named. */
static void
test_fails (void)
{
  g_auto (SandboxDoctor) doctor = make_doctor ();
  SandboxCheck *check = make_check (&doctor);
  g_autofree char *dir = g_dir_make_tmp ("vms-doctor-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (dir, "made", NULL);
  g_autoptr (GError) error = NULL;

  _sandbox_check_step (check, FALSE, NULL, "ls", "/nonexistent", NULL);
  _sandbox_check_step (check, FALSE, NULL, "touch", path, NULL);
  g_assert_false (sandbox_check_apply_fix (check, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_FAILED);
  g_assert_nonnull (strstr (error->message, "ls /nonexistent`"));
  g_assert_nonnull (strstr (error->message, "No such file"));
  g_assert_cmpint (g_rmdir (dir), ==, 0);
}

static void
test_without_steps (void)
{
  g_auto (SandboxDoctor) doctor = make_doctor ();
  SandboxCheck *check = make_check (&doctor);
  g_autoptr (GError) error = NULL;

  _sandbox_check_advise (check, "do it %s", "yourself");
  g_assert_cmpstr (check->fix, ==, "do it yourself");
  g_assert_false (sandbox_check_apply_fix (check, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
}

/* Every check has an id, a text and a level; what is wrong and can be fixed has a line to show. */
static void
test_diagnosis (void)
{
  SandboxHostOptions options = SANDBOX_HOST_OPTIONS_INIT;
  g_autoptr (GPtrArray) checks = NULL;

  options.uri = "qemu+unix:///system?socket=/nonexistent";
  checks = sandbox_host_diagnose (&options, NULL);
  g_assert_cmpuint (checks->len, >, 10);
  for (guint i = 0; i < checks->len; i++)
    {
      const SandboxCheck *check = g_ptr_array_index (checks, i);

      g_assert_true (*check->id != '\0' && *check->text != '\0');
      g_assert_cmpuint (check->level, <=, SANDBOX_CHECK_UNKNOWN);
      g_assert_true (check->steps == NULL || check->fix != NULL);
      if (i == 0)
        g_assert_true (g_str_equal (check->id, "libvirt") && check->level == SANDBOX_CHECK_ERROR);
    }
}

static void
test_levels (void)
{
  static const char *const names[] = { "good", "note", "warning", "error", "unknown" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    g_assert_cmpstr (sandbox_check_level_to_string (i), ==, names[i]);
  g_assert_cmpstr (sandbox_check_level_to_string (99), ==, "unknown");
}

/* Which of the known things are told of which versions; each side of each boundary. */
static void
test_known_bugs (void)
{
  static const struct
  {
    guint64 qemu, libvirt;
    const char *told; /* words of what is told, in order; "" for nothing */
  } cases[] = {
    { 6002000, 9002000, "2022-0358 2024-4467" },
    { 6999999, 9002000, "2022-0358 2024-4467" },
    { 7000000, 9002000, "2024-4467" },
    { 7002012, 9002000, "2024-4467" },
    { 7002013, 9002000, "" },
    { 7002022, 9000000, "attached" },
    { 7002022, 9001999, "attached" },
    { 8000000, 9002000, "2024-4467" },
    { 9000999, 10009999, "2024-4467" },
    { 9001000, 10009999, "" },
    { 10000000, 10010000, "2025-12748" },
    { 10000000, 11002999, "2025-12748" },
    { 10000000, 11003000, "" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_auto (SandboxDoctor) doctor = make_doctor ();
      g_auto (GStrv) words = g_strsplit (cases[i].told, " ", 0);
      guint told = g_strv_length (words);

      _sandbox_doctor_known_bugs (&doctor, cases[i].qemu, cases[i].libvirt);
      g_assert_cmpuint (doctor.checks->len, ==, MAX (told, 1));
      for (guint n = 0; n < doctor.checks->len; n++)
        {
          const SandboxCheck *check = g_ptr_array_index (doctor.checks, n);

          g_assert_cmpstr (check->id, ==, "versions");
          g_assert_cmpint (check->level, ==, told > 0 ? SANDBOX_CHECK_NOTE : SANDBOX_CHECK_GOOD);
          g_assert_true (told == 0 || strstr (check->text, words[n]) != NULL);
          g_assert_true (told == 0 || check->fix != NULL);
        }
    }
}

/* Rules as Debian's profile of libvirt's daemon has them. */
static void
test_apparmor (void)
{
  static const char profile[] = "  /** rwmkl,\n"
                                "  /bin/* PUx,\n"
                                "  /usr/sbin/virtlogd pix,\n"
                                "  /usr/sbin/* PUx,\n"
                                "  /usr/{lib,lib64,lib/qemu,libexec}/virtiofsd PUx,\n"
                                "  audit deny /{usr/,}sbin/apparmor_parser rwxl,\n"
                                "  /usr/lib/libvirt/* PUxr,\n"
                                "  #/opt/commented PUx,\n"
                                "  /etc/libvirt/hooks/** rmix,\n"
                                "  /var/lib/libvirt/virtd[a-c]? ixr,\n";
  static const struct
  {
    const char *path;
    gboolean may;
  } cases[] = {
    { "/usr/sbin/vms-virtiofsd", TRUE },        { "/usr/sbin/a/vms-virtiofsd", FALSE },
    { "/usr/local/sbin/vms-virtiofsd", FALSE }, { "/opt/vms/sbin/vms-virtiofsd", FALSE },
    { "/usr/lib/qemu/virtiofsd", TRUE },        { "/usr/libexec/virtiofsd", TRUE },
    { "/usr/lib/virtiofsd2", FALSE },           { "/usr/lib/x/virtiofsd", FALSE },
    { "/usr/sbin/apparmor_parser", FALSE },     { "/opt/commented", FALSE },
    { "/etc/libvirt/hooks/qemu.d/a/b", TRUE },  { "/usr/lib/libvirt/vms-virtiofsd", TRUE },
    { "/var/lib/libvirt/virtdb1", TRUE },       { "/var/lib/libvirt/virtdd1", FALSE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    if (_sandbox_apparmor_may_execute (profile, cases[i].path) != cases[i].may)
      g_error ("%s", cases[i].path);
  g_assert_true (_sandbox_apparmor_may_execute ("/usr/local/sbin/vms-virtiofsd PUx,\n",
                                                "/usr/local/sbin/vms-virtiofsd"));
  /* broken text is no rule */
  g_assert_false (
      _sandbox_apparmor_may_execute ("/usr/{sbin/* PUx,\n/[ ix,\n/\n\n deny", "/usr/sbin/a"));
}

/* dm-0 is encrypted, dm-1 a plain volume of LVM. */
static void
test_swap (void)
{
#define HEADING "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
  static const struct
  {
    const char *swaps, *plain;
  } cases[] = {
    { "", NULL },
    { HEADING, NULL },
    { HEADING "/dev/zram0   partition\t1\t0\t100\n", NULL },
    { HEADING "/dev/dm-0    partition\t1\t0\t-2\n", NULL },
    { HEADING "/dev/dm-1    partition\t1\t0\t-2\n", "/dev/dm-1" },
    { HEADING "/dev/sda2    partition\t1\t0\t-2\n", "/dev/sda2" },
    { HEADING "/dev/dm-0 partition\t1\t0\t-2\n/swapfile file\t1\t0\t-3\n", "/swapfile" },
    { HEADING "/dm-0        file\t1\t0\t-2\n", "/dm-0" },
  };
  static const char *const uuids[] = { "CRYPT-LUKS2-0123-swap\n", "LVM-0123\n" };
  g_autofree char *dir = g_dir_make_tmp ("vms-swap-XXXXXX", NULL);
  sandbox_autofd int fd = sandbox_dir_open (dir, FALSE, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (uuids); i++)
    {
      g_autofree char *of = g_strdup_printf ("%s/dm-%u/dm", dir, i);
      g_autofree char *file = g_build_filename (of, "uuid", NULL);

      g_assert_cmpint (g_mkdir_with_parents (of, 0700), ==, 0);
      g_assert_true (g_file_set_contents (file, uuids[i], -1, NULL));
    }
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *plain = _sandbox_plain_swap (cases[i].swaps, dir);

      g_assert_cmpstr (plain, ==, cases[i].plain);
    }
  sandbox_remove_at (fd, "dm-0", NULL);
  sandbox_remove_at (fd, "dm-1", NULL);
  g_rmdir (dir);
#undef HEADING
}

static void
test_guests (void)
{
  static const struct
  {
    const char *text;
    gboolean suspend;
  } cases[] = {
    { "", TRUE },
    { "#ON_SHUTDOWN=shutdown\n", TRUE },
    { "ON_SHUTDOWN=shutdown\n", FALSE },
    { "ON_BOOT=ignore\nON_SHUTDOWN='shutdown'  \n", FALSE },
    /* as a script has it for one of its commands */
    { "ON_SHUTDOWN=suspend\n  ON_SHUTDOWN=\"shutdown\"\n", TRUE },
    { "ON_SHUTDOWN=\"suspend\"\n", TRUE },
    { "ON_SHUTDOWN=suspend\nON_SHUTDOWN=shutdown", FALSE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    g_assert_cmpint (_sandbox_guests_suspend (cases[i].text), ==, cases[i].suspend);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/facade/doctor/shown", test_shown);
  g_test_add_func ("/facade/doctor/runs-without-shell", test_runs_without_shell);
  g_test_add_func ("/facade/doctor/not-from-path", test_not_from_path);
  g_test_add_func ("/facade/doctor/elsewhere", test_elsewhere);
  g_test_add_func ("/facade/doctor/fails", test_fails);
  g_test_add_func ("/facade/doctor/without-steps", test_without_steps);
  g_test_add_func ("/facade/doctor/diagnosis", test_diagnosis);
  g_test_add_func ("/facade/doctor/levels", test_levels);
  g_test_add_func ("/facade/doctor/known-bugs", test_known_bugs);
  g_test_add_func ("/facade/doctor/apparmor", test_apparmor);
  g_test_add_func ("/facade/doctor/swap", test_swap);
  g_test_add_func ("/facade/doctor/guests", test_guests);
  return g_test_run ();
}
