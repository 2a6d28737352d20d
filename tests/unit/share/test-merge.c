// SPDX-License-Identifier: LGPL-2.1-or-later
// A file that machine and host both changed: merged when git's index told, at the time of the
// record, what it was; a conflict in every other case; and nobody's change is lost by what comes
// after.
#include "world.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BASE  "1\n2\n3\n4\n5\n6\n7\n8\n"
#define HOST  "1\nhost\n3\n4\n5\n6\n7\n8\n"
#define GUEST "1\n2\n3\n4\n5\n6\nguest\n8\n"
#define BOTH  "1\nhost\n3\n4\n5\n6\nguest\n8\n"
#define STEPS 20

static void
git (const World *world, const char *command)
{
  g_autofree char *script = g_strconcat ("set -e; ", command, NULL);
  const char *argv[] = { "sh", "-c", script, NULL };
  g_auto (GStrv) env = g_get_environ ();
  g_autofree char *err = NULL;
  g_autoptr (GError) error = NULL;
  int status = 0;

  env = g_environ_setenv (env, "HOME", world->top, TRUE);
  env = g_environ_setenv (env, "GIT_CONFIG_NOSYSTEM", "1", TRUE);
  g_spawn_sync (world->host, (char **)argv, env, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, &err,
                &status, &error);
  g_assert_no_error (error);
  if (status != 0)
    g_error ("%s: %s", command, err);
}

/* An hour old, so that git's index is younger than it. */
static void
put_old (const World *world, const char *path, guint mode, const char *content)
{
  struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = time (NULL) - 3600 } };

  put_file (world->host, path, mode, content);
  g_assert_cmpint (utimensat (world->host_fd, path, times, 0), ==, 0);
}

/* A repository with the file "f", recorded. */
static void
begin (World *world, const char *content)
{
  world_init (world, NULL);
  put_old (world, "f", 0644, content);
  git (world, "git init -q; git add f");
  world_record (world);
}

static SandboxChanges *
guest_has (World *world, guint mode, const char *content)
{
  g_autoptr (GByteArray) archive = g_byte_array_new ();
  g_autoptr (GError) error = NULL;
  SandboxChanges *changes;

  add_entry (archive, SANDBOX_TAR_DIR, "./", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_FILE, "./f", NULL, mode, content);
  sandbox_tar_append_end (archive);
  changes = world_read_archive (world, archive, &error);
  g_assert_no_error (error);
  return changes;
}

static void
check_row (SandboxChanges *changes, SandboxChangeState state)
{
  const SandboxChangeRow *row = find_change (changes, "f");

  g_assert_nonnull (row);
  g_assert_cmpint (row->pub.kind, ==, SANDBOX_CHANGE_MODIFIED);
  g_assert_cmpint (row->pub.state, ==, state);
}

static void
check_host (const World *world, const char *expected)
{
  g_autofree char *content = get_file (world->host, "f");

  g_assert_cmpstr (content, ==, expected);
}

static void
test_merges (void)
{
  g_autoptr (SandboxChanges) changes = NULL, after = NULL, later = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *diff = NULL;
  guint undone = 0, left = 0;
  World world;

  begin (&world, BASE);
  put_file (world.host, "f", 0644, HOST);
  changes = guest_has (&world, 0644, GUEST);
  check_row (changes, SANDBOX_CHANGE_MERGED);
  diff = sandbox_changes_diff (changes, 0, NULL, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_nonnull (strstr (diff, "\n-7\n+guest\n"));
  g_assert_null (strstr (diff, "-host"));
  apply_all (changes, FALSE);
  check_host (&world, BOTH);
  after = guest_has (&world, 0644, GUEST);
  g_assert_null (find_change (after, "f"));
  /* the machine never saw the host's line: its next change must not take that back */
  later = guest_has (&world, 0644, "1\n2\n3\n4\n5\n6\nguest\nmore\n");
  check_row (later, SANDBOX_CHANGE_MERGED);
  apply_all (later, FALSE);
  check_host (&world, "1\nhost\n3\n4\n5\n6\nguest\nmore\n");
  g_assert_true (
      _sandbox_changes_undo (world.host_fd, world.records_fd, "p", &undone, &left, NULL, NULL));
  check_host (&world, BOTH);
  world_clear (&world);
}

/* No git at all: what was applied is the beginning of what comes next. */
static void
test_after_an_apply (void)
{
  g_autoptr (SandboxChanges) changes = NULL, later = NULL, again = NULL;
  World world;

  world_init (&world, NULL);
  put_file (world.host, "f", 0644, "old\n");
  world_record (&world);
  changes = guest_has (&world, 0644, BASE);
  check_row (changes, SANDBOX_CHANGE_READY);
  apply_all (changes, FALSE);
  put_file (world.host, "f", 0644, HOST);
  later = guest_has (&world, 0644, GUEST);
  check_row (later, SANDBOX_CHANGE_MERGED);
  apply_all (later, FALSE);
  check_host (&world, BOTH);
  again = guest_has (&world, 0600, GUEST);
  check_row (again, SANDBOX_CHANGE_MERGED);
  g_assert_cmpuint (find_change (again, "f")->pub.new_mode & 0777, ==, 0600);
  world_clear (&world);
}

/* What the repository says later does not count: only what it said when the record was taken. */
static void
test_index_of_then (void)
{
  g_autoptr (SandboxChanges) changes = NULL;
  World world;

  begin (&world, BASE);
  put_old (&world, "f", 0644, HOST);
  git (&world, "git add f");
  changes = guest_has (&world, 0644, GUEST);
  check_row (changes, SANDBOX_CHANGE_MERGED);
  apply_all (changes, FALSE);
  check_host (&world, BOTH);
  world_clear (&world);
}

/* The same, and the file had been changed before the record: no object is what it was. */
static void
test_not_what_git_saw (void)
{
  g_autoptr (SandboxChanges) changes = NULL;
  World world;

  world_init (&world, NULL);
  put_old (&world, "f", 0644, BASE);
  git (&world, "git init -q; git add f");
  put_old (&world, "f", 0644, "0\n2\n3\n4\n5\n6\n7\n8\n");
  world_record (&world);
  put_file (world.host, "f", 0644, HOST);
  changes = guest_has (&world, 0644, GUEST);
  check_row (changes, SANDBOX_CHANGE_CONFLICT);
  apply_all (changes, FALSE);
  check_host (&world, HOST);
  world_clear (&world);
}

/* Written in the very moment of the index: its content may be another by then. */
static void
test_too_young (void)
{
  g_autoptr (SandboxChanges) changes = NULL;
  struct timespec times[2];
  struct stat st;
  World world;

  world_init (&world, NULL);
  put_old (&world, "f", 0644, BASE);
  git (&world, "git init -q; git add f");
  g_assert_cmpint (fstatat (world.host_fd, "f", &st, 0), ==, 0);
  times[0] = times[1] = st.st_mtim;
  g_assert_cmpint (utimensat (world.host_fd, ".git/index", times, 0), ==, 0);
  world_record (&world);
  put_file (world.host, "f", 0644, HOST);
  changes = guest_has (&world, 0644, GUEST);
  check_row (changes, SANDBOX_CHANGE_CONFLICT);
  world_clear (&world);
}

static void
test_conflicts (void)
{
  static const struct
  {
    const char *base, *host, *guest;
  } cases[] = {
    { BASE, HOST, "1\nguest\n3\n4\n5\n6\n7\n8\n" },
    { BASE, HOST, "" },
    { "\n\001\002\n1\n2\n3\n", "\n\001\002\n1\n2\nhost\n", "\nguest\002\n1\n2\nother\n" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (SandboxChanges) changes = NULL;
      World world;

      g_test_message ("case %u", i);
      begin (&world, cases[i].base);
      put_file (world.host, "f", 0644, cases[i].host);
      changes = guest_has (&world, 0644, cases[i].guest);
      check_row (changes, SANDBOX_CHANGE_CONFLICT);
      apply_all (changes, FALSE);
      check_host (&world, cases[i].host);
      world_clear (&world);
    }
}

/* What a filter of git's made of the file: not what the machine saw. With that for the beginning,
 * the host's own change would look like none. */
static void
test_filtered (void)
{
  g_autoptr (SandboxChanges) changes = NULL;
  World world;

  world_init (&world, NULL);
  put_old (&world, "f", 0644, "secret\n2\n3\n4\n5\n6\n");
  put_old (&world, ".gitattributes", 0644, "f filter=hide\n");
  git (&world, "git init -q; git config filter.hide.clean 'sed s/secret/X/'; git add f");
  world_record (&world);
  put_file (world.host, "f", 0644, "X\n2\n3\n4\n5\n6\n");
  changes = guest_has (&world, 0644, "secret\n2\n3\n4\nguest\n6\n");
  check_row (changes, SANDBOX_CHANGE_CONFLICT);
  world_clear (&world);
}

static void
test_modes (void)
{
  g_autoptr (SandboxChanges) changes = NULL, other = NULL;
  World world;

  begin (&world, BASE);
  put_file (world.host, "f", 0755, HOST);
  changes = guest_has (&world, 0644, GUEST);
  check_row (changes, SANDBOX_CHANGE_MERGED);
  g_assert_cmpuint (find_change (changes, "f")->pub.new_mode & 0777, ==, 0755);
  other = guest_has (&world, 0600, GUEST);
  check_row (other, SANDBOX_CHANGE_CONFLICT);
  world_clear (&world);
}

/* Links in the repository lead git nowhere. */
static void
test_linked_repository (void)
{
  g_autoptr (SandboxChanges) changes = NULL;
  World world;

  begin (&world, BASE);
  git (&world, "mv .git/objects ../objects; ln -s ../../objects .git/objects");
  put_file (world.host, "f", 0644, HOST);
  changes = guest_has (&world, 0644, GUEST);
  check_row (changes, SANDBOX_CHANGE_CONFLICT);
  git (&world, "rm -r ../objects");
  world_clear (&world);
}

/* FALSE when there were fewer steps. */
static gboolean
killed_at (guint step)
{
  g_autoptr (SandboxChanges) changes = NULL, again = NULL, more = NULL;
  g_autofree char *fault = g_strdup_printf ("apply:write:%u:kill", step);
  guint undone = 0, left = 0;
  int status = 0;
  World world;
  pid_t pid;

  begin (&world, BASE);
  put_file (world.host, "f", 0644, HOST);
  changes = guest_has (&world, 0644, GUEST);
  pid = fork ();
  if (pid == 0)
    {
      g_setenv ("SANDBOX_FAULT", fault, TRUE);
      apply_all (changes, FALSE);
      _exit (0);
    }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  again = guest_has (&world, 0644, GUEST);
  apply_all (again, FALSE);
  check_host (&world, BOTH);
  more = guest_has (&world, 0644, "1\n2\n3\n4\n5\n6\nguest\nmore\n");
  check_row (more, SANDBOX_CHANGE_MERGED);
  if (_sandbox_changes_undo (world.host_fd, world.records_fd, "p", &undone, &left, NULL, NULL))
    check_host (&world, undone > 0 ? HOST : BOTH);
  world_clear (&world);
  return WIFSIGNALED (status);
}

static void
test_killed (void)
{
  guint step = 1;

  while (step < STEPS && killed_at (step))
    step++;
  g_assert_cmpuint (step, >, 3);
  g_assert_cmpuint (step, <, STEPS);
}

static void
keep (SandboxChanges *changes, const gboolean *wanted, gsize n)
{
  g_autoptr (GError) error = NULL;

  sandbox_changes_keep_hunks (changes, 0, wanted, n, NULL, &error);
  g_assert_no_error (error);
}

static guint
count_hunks (SandboxChanges *changes)
{
  g_autofree char *diff = sandbox_changes_diff (changes, 0, NULL, NULL, NULL, NULL, NULL);
  guint n = 0;

  for (const char *at = diff; (at = strstr (at, "\n@@ ")); at++)
    n++;
  return n;
}

/* What is not taken stays a change, and comes later. */
static void
test_parts (void)
{
  static const struct
  {
    const char *host, *guest;
    gboolean wanted[3];
    const char *expected;
  } cases[] = {
    { "1\n2\n3\n4\n5\n6\n7\n8\n9\na\nb\nc\nd\ne\nf\ng\nh\n",
      "x\n2\n3\n4\n5\n6\n7\n8\ny\na\nb\nc\nd\ne\nf\ng\nz\n",
      { TRUE, FALSE, TRUE },
      "x\n2\n3\n4\n5\n6\n7\n8\n9\na\nb\nc\nd\ne\nf\ng\nz\n" },
    { "1\n2\n3\n4\n5\n6\n7\n8\n9\na\nb\nc\nd\ne\nf\ng\nh",
      "new\n1\n2\n3\n4\n5\n6\n7\n8\na\nb\nc\nd\ne\nf\ng\nh\nmore",
      { FALSE, FALSE, TRUE },
      "1\n2\n3\n4\n5\n6\n7\n8\n9\na\nb\nc\nd\ne\nf\ng\nh\nmore" },
    { "1\n2\n3\n4\n5\n6\n7\n8\n9\na\nb\nc\nd\ne\nf\ng\nh\n",
      "2\n3\n4\n5\n6\n7\n8\n9\n@@ -1 +1 @@\na\nb\nc\nd\ne\nf\ng\n",
      { TRUE, TRUE, FALSE },
      "2\n3\n4\n5\n6\n7\n8\n9\n@@ -1 +1 @@\na\nb\nc\nd\ne\nf\ng\nh\n" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (SandboxChanges) changes = NULL, later = NULL, done = NULL;
      World world;

      g_test_message ("case %u", i);
      begin (&world, cases[i].host);
      changes = guest_has (&world, 0644, cases[i].guest);
      g_assert_cmpuint (count_hunks (changes), ==, 3);
      g_assert_false (sandbox_changes_keep_hunks (changes, 0, cases[i].wanted, 2, NULL, NULL));
      keep (changes, cases[i].wanted, 3);
      apply_all (changes, FALSE);
      check_host (&world, cases[i].expected);
      later = guest_has (&world, 0644, cases[i].guest);
      check_row (later, SANDBOX_CHANGE_MERGED);
      apply_all (later, FALSE);
      check_host (&world, cases[i].guest);
      done = guest_has (&world, 0644, cases[i].guest);
      g_assert_null (find_change (done, "f"));
      world_clear (&world);
    }
}

static char *
random_text (const gboolean *changed, guint n, const char *word)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < n; i++)
    if (!changed[i])
      g_string_append_printf (text, "line %u\n", i);
    else if (i % 3 > 0) /* a third of them only go */
      g_string_append_printf (text, "%s %u\n%s", word, i, i % 3 == 1 ? "" : "one more\n");
  return g_string_free (text, FALSE);
}

/* Any parts of any change, then the rest: all of it, and of the host's own meanwhile. */
static void
test_random_parts (void)
{
  enum
  {
    LINES = 120
  };

  for (guint round = 0; round < 40; round++)
    {
      g_autoptr (SandboxChanges) changes = NULL, later = NULL;
      gboolean none[LINES] = { FALSE }, edits[LINES] = { FALSE }, wanted[LINES] = { FALSE };
      g_autofree char *host = random_text (none, LINES, ""), *guest = NULL, *now = NULL;
      guint n;
      World world;

      for (guint i = 0; i < LINES; i++)
        edits[i] = g_test_rand_int_range (0, 12) == 0;
      edits[50] = TRUE;
      guest = random_text (edits, LINES, "guest");
      begin (&world, host);
      changes = guest_has (&world, 0644, guest);
      n = count_hunks (changes);
      for (guint i = 0; i < n; i++)
        wanted[i] = g_test_rand_int_range (0, 2) == 0;
      keep (changes, wanted, n);
      apply_all (changes, FALSE);
      later = guest_has (&world, 0644, guest);
      if (sandbox_changes_get_length (later) > 0)
        apply_all (later, FALSE);
      now = get_file (world.host, "f");
      g_assert_cmpstr (now, ==, guest);
      world_clear (&world);
    }
}

static void
test_not_in_parts (void)
{
  g_autoptr (GByteArray) archive = g_byte_array_new ();
  g_autoptr (SandboxChanges) changes = NULL, conflict = NULL;
  g_autoptr (GError) error = NULL;
  const gboolean wanted[1] = { TRUE };
  World world;

  begin (&world, BASE);
  add_entry (archive, SANDBOX_TAR_DIR, "./", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_FILE, "./new", NULL, 0644, "text\n");
  sandbox_tar_append_end (archive);
  changes = world_read_archive (&world, archive, NULL);
  g_assert_false (sandbox_changes_keep_hunks (changes, 0, wanted, 1, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
  put_file (world.host, "f", 0644, "all\nelse\n");
  conflict = guest_has (&world, 0644, GUEST);
  g_assert_false (sandbox_changes_keep_hunks (conflict, 0, wanted, 1, NULL, NULL));
  world_clear (&world);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/merge/merges", test_merges);
  g_test_add_func ("/merge/after-an-apply", test_after_an_apply);
  g_test_add_func ("/merge/index-of-then", test_index_of_then);
  g_test_add_func ("/merge/not-what-git-saw", test_not_what_git_saw);
  g_test_add_func ("/merge/too-young", test_too_young);
  g_test_add_func ("/merge/conflicts", test_conflicts);
  g_test_add_func ("/merge/filtered", test_filtered);
  g_test_add_func ("/merge/modes", test_modes);
  g_test_add_func ("/merge/linked-repository", test_linked_repository);
  g_test_add_func ("/merge/killed", test_killed);
  g_test_add_func ("/merge/parts", test_parts);
  g_test_add_func ("/merge/random-parts", test_random_parts);
  g_test_add_func ("/merge/not-in-parts", test_not_in_parts);
  return g_test_run ();
}
