// SPDX-License-Identifier: LGPL-2.1-or-later
// Machine, host now, host before: what is ready, what a conflict; apply, undo, and what an enemy
// could make of the host's own links.
#include "world.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static GByteArray *
archive_begin (void)
{
  GByteArray *archive = g_byte_array_new ();

  add_entry (archive, SANDBOX_TAR_DIR, "./", NULL, 0755, NULL);
  return archive;
}

static SandboxChanges *
read_all (World *world, GByteArray *archive)
{
  g_autoptr (GError) error = NULL;
  SandboxChanges *changes;

  sandbox_tar_append_end (archive);
  changes = world_read_archive (world, archive, &error);
  g_assert_no_error (error);
  return changes;
}

static void
check_state (SandboxChanges *changes, const char *path, SandboxChangeKind kind,
             SandboxChangeState state)
{
  const SandboxChangeRow *row = find_change (changes, path);

  g_test_message ("%s", path);
  g_assert_nonnull (row);
  g_assert_cmpint (row->pub.kind, ==, kind);
  g_assert_cmpint (row->pub.state, ==, state);
}

static void
check_content (World *world, const char *path, const char *expected)
{
  g_autofree char *content = get_file (world->host, path);

  g_assert_cmpstr (content, ==, expected);
}

static GByteArray *
one_file (const char *name, const char *content)
{
  GByteArray *archive = archive_begin ();

  add_entry (archive, SANDBOX_TAR_FILE, name, NULL, 0644, content);
  return archive;
}

/* Whatever the machine says that it began with, this host's record counts. */
static void
test_conflict (void)
{
  g_autoptr (GByteArray) archive = archive_begin ();
  g_autoptr (SandboxChanges) changes = NULL;
  World world;

  world_init (&world, NULL);
  put_file (world.host, "same", 0644, "base");
  put_file (world.host, "edited", 0644, "base");
  put_file (world.host, "removed", 0644, "base");
  put_file (world.host, "gone", 0644, "base");
  world_record (&world);
  put_file (world.host, "edited", 0644, "host");
  put_file (world.host, "made", 0644, "host");
  put_file (world.host, "equal", 0644, "both");
  g_assert_cmpint (unlinkat (world.host_fd, "removed", 0), ==, 0);
  add_entry (archive, SANDBOX_TAR_FILE, "./same", NULL, 0644, "guest");
  add_entry (archive, SANDBOX_TAR_FILE, "./edited", NULL, 0644, "guest");
  add_entry (archive, SANDBOX_TAR_FILE, "./removed", NULL, 0644, "guest");
  add_entry (archive, SANDBOX_TAR_FILE, "./made", NULL, 0644, "guest");
  add_entry (archive, SANDBOX_TAR_FILE, "./equal", NULL, 0644, "both");
  add_entry (archive, SANDBOX_TAR_FILE, "./new", NULL, 0644, "guest");
  add_raw (archive, '3', "./gone", NULL, 0, 0, 0, 0);
  changes = read_all (&world, archive);
  check_state (changes, "same", SANDBOX_CHANGE_MODIFIED, SANDBOX_CHANGE_READY);
  check_state (changes, "edited", SANDBOX_CHANGE_MODIFIED, SANDBOX_CHANGE_CONFLICT);
  check_state (changes, "removed", SANDBOX_CHANGE_ADDED, SANDBOX_CHANGE_CONFLICT);
  check_state (changes, "made", SANDBOX_CHANGE_MODIFIED, SANDBOX_CHANGE_CONFLICT);
  check_state (changes, "new", SANDBOX_CHANGE_ADDED, SANDBOX_CHANGE_READY);
  check_state (changes, "gone", SANDBOX_CHANGE_DELETED, SANDBOX_CHANGE_READY);
  g_assert_null (find_change (changes, "equal"));
  apply_all (changes, FALSE);
  check_content (&world, "same", "guest");
  check_content (&world, "edited", "host");
  check_content (&world, "removed", NULL);
  check_content (&world, "made", "host");
  check_content (&world, "new", "guest");
  check_content (&world, "gone", NULL);
  world_clear (&world);
}

/* Without a record, or with that of another directory, nothing is ready. */
static void
test_no_record (void)
{
  g_autoptr (GByteArray) archive = one_file ("./a", "guest");
  g_autoptr (SandboxChanges) changes = NULL;
  World world;

  world_init (&world, NULL);
  put_file (world.host, "a", 0644, "base");
  changes = read_all (&world, archive);
  check_state (changes, "a", SANDBOX_CHANGE_MODIFIED, SANDBOX_CHANGE_CONFLICT);
  g_assert_nonnull (strstr (find_change (changes, "a")->pub.reason, "no record"));
  world_clear (&world);
}

/* What was applied is shown no more, also after the host goes on editing; a new edit is. */
static void
test_after_apply (void)
{
  World world;

  world_init (&world, NULL);
  put_file (world.host, "a", 0644, "base");
  world_record (&world);
  for (guint i = 0; i < 4; i++)
    {
      g_autoptr (GByteArray) archive = one_file ("./a", i < 3 ? "guest" : "guest again");
      g_autoptr (SandboxChanges) changes = read_all (&world, archive);

      if (i == 0)
        apply_all (changes, FALSE);
      else if (i < 3)
        g_assert_cmpuint (changes->rows->len, ==, 0);
      else
        check_state (changes, "a", SANDBOX_CHANGE_MODIFIED, SANDBOX_CHANGE_CONFLICT);
      if (i == 1)
        put_file (world.host, "a", 0644, "host again");
    }
  check_content (&world, "a", "host again");
  world_clear (&world);
}

/* Removed and made anew by the machine, with a directory in it that this host has, too: overlays
 * mark only the outer one, and show nothing of this host's below either. */
static void
test_made_anew (void)
{
  g_autoptr (GByteArray) archive = archive_begin ();
  g_autoptr (SandboxChanges) changes = NULL;
  World world;

  world_init (&world, NULL);
  put_file (world.host, "dist/css/old", 0644, "old");
  put_file (world.host, "dist/css/same", 0644, "same");
  put_file (world.host, "dist/top", 0644, "old");
  world_record (&world);
  put_file (world.host, "dist/css/mine", 0644, "host");
  add_pax (archive, "SCHILY.xattr.trusted.overlay.opaque", "y");
  add_entry (archive, SANDBOX_TAR_DIR, "./dist/", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_DIR, "./dist/css/", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_FILE, "./dist/css/same", NULL, 0644, "same");
  changes = read_all (&world, archive);
  check_state (changes, "dist/css/old", SANDBOX_CHANGE_DELETED, SANDBOX_CHANGE_READY);
  check_state (changes, "dist/top", SANDBOX_CHANGE_DELETED, SANDBOX_CHANGE_READY);
  check_state (changes, "dist/css/mine", SANDBOX_CHANGE_DELETED, SANDBOX_CHANGE_CONFLICT);
  g_assert_cmpuint (changes->rows->len, ==, 3);
  apply_all (changes, FALSE);
  check_content (&world, "dist/css/old", NULL);
  check_content (&world, "dist/css/same", "same");
  check_content (&world, "dist/css/mine", "host");
  world_clear (&world);
}

/* A link of the host's is replaced, never written through; below one nothing is reached. */
static void
test_host_links (void)
{
  g_autoptr (GByteArray) archive = archive_begin ();
  g_autoptr (SandboxChanges) changes = NULL;
  g_autofree char *outside = NULL;
  World world;

  world_init (&world, NULL);
  put_file (world.top, "work/outside", 0644, "outside");
  put_file (world.host, "dir/inner", 0644, "inner");
  put_file (world.host, "inside/sub/outside", 0644, "inside");
  g_assert_cmpint (symlinkat ("../work/outside", world.host_fd, "file"), ==, 0);
  world_record (&world);
  sandbox_remove_at (world.host_fd, "dir", NULL);
  g_assert_cmpint (symlinkat ("inside", world.host_fd, "dir"), ==, 0);
  add_entry (archive, SANDBOX_TAR_DIR, "./dir/", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_DIR, "./dir/sub/", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_FILE, "./dir/sub/outside", NULL, 0644, "guest");
  add_entry (archive, SANDBOX_TAR_FILE, "./file", NULL, 0644, "guest");
  changes = read_all (&world, archive);
  check_state (changes, "dir", SANDBOX_CHANGE_REPLACED, SANDBOX_CHANGE_CONFLICT);
  check_state (changes, "file", SANDBOX_CHANGE_REPLACED, SANDBOX_CHANGE_READY);
  {
    /* only the file in it: its directory stays a link */
    SandboxApplyOptions options = SANDBOX_APPLY_OPTIONS_INIT;

    for (guint i = 0; i < changes->rows->len; i++)
      if (g_str_equal (_sandbox_changes_row (changes, i)->pub.path, "dir/sub/outside"))
        {
          options.chosen = &i;
          options.n_chosen = 1;
          _sandbox_changes_row (changes, i)->pub.state = SANDBOX_CHANGE_READY;
          g_assert_true (sandbox_changes_apply (changes, &options, NULL, NULL, NULL, NULL));
          g_assert_false (_sandbox_changes_row (changes, i)->pub.applied);
        }
  }
  apply_all (changes, FALSE);
  outside = get_file (world.work, "outside");
  g_assert_cmpstr (outside, ==, "outside");
  check_content (&world, "inside/sub/outside", "inside");
  check_content (&world, "file", "guest");
  world_clear (&world);
}

static void
make_bare (World *world, const char *name)
{
  g_autofree char *head = g_strconcat (name, "/HEAD", NULL);
  g_autofree char *objects = g_strconcat (name, "/objects/x", NULL);
  g_autofree char *refs = g_strconcat (name, "/refs/x", NULL);

  put_file (world->host, head, 0644, "ref: refs/heads/main\n");
  put_file (world->host, objects, 0644, "x");
  put_file (world->host, refs, 0644, "x");
}

/* A repository of the host's under another name than .git gets no hooks, and does not go. */
static void
test_bare (void)
{
  g_autoptr (GByteArray) archive = archive_begin ();
  g_autoptr (SandboxChanges) changes = NULL;
  World world;

  world_init (&world, NULL);
  make_bare (&world, ".bare");
  make_bare (&world, "dir/other");
  make_bare (&world, "whole");
  put_file (world.host, "dir/plain", 0644, "plain");
  world_record (&world);
  add_entry (archive, SANDBOX_TAR_DIR, "./.bare/", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_DIR, "./.bare/hooks/", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_FILE, "./.bare/hooks/post-checkout", NULL, 0755, "guest");
  add_raw (archive, '3', "./dir", NULL, 0, 0, 0, 0);
  add_raw (archive, '3', "./whole", NULL, 0, 0, 0, 0);
  changes = read_all (&world, archive);
  apply_all (changes, FALSE);
  check_content (&world, "whole/objects/x", "x");
  check_content (&world, ".bare/hooks/post-checkout", NULL);
  check_content (&world, "dir/other/objects/x", "x");
  check_content (&world, "dir/plain", NULL);
  g_assert_cmpuint (changes->n_git, >, 0);
  world_clear (&world);
}

/* What the host runs by itself waits for a word. */
static void
test_runs (void)
{
  g_autoptr (GByteArray) archive = one_file ("./.envrc", "guest");
  g_autoptr (SandboxChanges) changes = NULL;
  World world;

  world_init (&world, NULL);
  world_record (&world);
  changes = read_all (&world, archive);
  g_assert_true (sandbox_changes_apply (changes, NULL, NULL, NULL, NULL, NULL));
  check_content (&world, ".envrc", NULL);
  apply_all (changes, FALSE);
  check_content (&world, ".envrc", "guest");
  world_clear (&world);
}

static void
check_risk (SandboxChanges *changes, const char *path, SandboxChangeRisk risk)
{
  const SandboxChangeRow *row = find_change (changes, path);

  g_test_message ("%s", path);
  g_assert_nonnull (row);
  g_assert_cmpint (row->pub.risk, ==, risk);
}

/* Nor what it reaches by a link of such a name: of the host's, of the machine's, of an earlier
 * apply, by way of another one. */
static void
test_runs_by_link (void)
{
  g_autoptr (GByteArray) archive = archive_begin (), second = archive_begin ();
  g_autoptr (SandboxChanges) changes = NULL, again = NULL;
  g_autofree char *absolute = NULL;
  World world;

  world_init (&world, NULL);
  absolute = g_build_filename (world.host, "abs", NULL);
  put_file (world.host, "conf/vscode/tasks.json", 0644, "base");
  put_file (world.host, "sub/agent/settings.json", 0644, "base");
  put_file (world.host, "abs", 0644, "base");
  put_file (world.host, "plain", 0644, "base");
  g_assert_cmpint (symlinkat ("conf/vscode", world.host_fd, ".vscode"), ==, 0);
  g_assert_cmpint (symlinkat ("../sub/agent", world.host_fd, "sub/.claude"), ==, 0);
  g_assert_cmpint (symlinkat (absolute, world.host_fd, ".envrc"), ==, 0);
  world_record (&world);
  g_assert_cmpint (symlinkat ("late.mk", world.host_fd, "Makefile"), ==, 0);
  g_assert_cmpint (symlinkat ("/etc/passwd", world.host_fd, ".npmrc"), ==, 0);
  add_entry (archive, SANDBOX_TAR_SYMLINK, "./.husky", "mid", 0777, NULL);
  add_entry (archive, SANDBOX_TAR_FILE, "./abs", NULL, 0644, "guest");
  add_entry (archive, SANDBOX_TAR_DIR, "./conf/", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_DIR, "./conf/vscode/", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_FILE, "./conf/vscode/tasks.json", NULL, 0644, "guest");
  add_entry (archive, SANDBOX_TAR_DIR, "./end/", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_FILE, "./end/pre-commit", NULL, 0755, "guest");
  add_entry (archive, SANDBOX_TAR_SYMLINK, "./mid", "end", 0777, NULL);
  add_entry (archive, SANDBOX_TAR_FILE, "./plain", NULL, 0644, "guest");
  add_entry (archive, SANDBOX_TAR_DIR, "./sub/", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_DIR, "./sub/agent/", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_FILE, "./sub/agent/settings.json", NULL, 0644, "guest");
  changes = read_all (&world, archive);
  check_risk (changes, ".husky", SANDBOX_CHANGE_RUNS);
  check_risk (changes, "conf/vscode/tasks.json", SANDBOX_CHANGE_RUNS);
  check_risk (changes, "sub/agent/settings.json", SANDBOX_CHANGE_RUNS);
  check_risk (changes, "abs", SANDBOX_CHANGE_RUNS);
  check_risk (changes, "mid", SANDBOX_CHANGE_RUNS);
  check_risk (changes, "end/pre-commit", SANDBOX_CHANGE_RUNS);
  check_risk (changes, "plain", SANDBOX_CHANGE_PLAIN);
  g_assert_true (sandbox_changes_apply (changes, NULL, NULL, NULL, NULL, NULL));
  check_content (&world, "conf/vscode/tasks.json", "base");
  check_content (&world, "plain", "guest");
  apply_all (changes, FALSE);
  /* later the machine sends only what the link leads to */
  add_entry (second, SANDBOX_TAR_DIR, "./end/", NULL, 0755, NULL);
  add_entry (second, SANDBOX_TAR_FILE, "./end/pre-commit", NULL, 0755, "guest, anew");
  again = read_all (&world, second);
  check_risk (again, "end/pre-commit", SANDBOX_CHANGE_RUNS);
  world_clear (&world);
}

/* Changed between the look and the apply. */
static void
test_race (void)
{
  g_autoptr (GByteArray) archive = one_file ("./a", "guest");
  g_autoptr (SandboxChanges) changes = NULL;
  World world;

  world_init (&world, NULL);
  put_file (world.host, "a", 0644, "base");
  world_record (&world);
  changes = read_all (&world, archive);
  put_file (world.host, "a", 0644, "host");
  apply_all (changes, TRUE);
  check_content (&world, "a", "host");
  g_assert_nonnull (strstr (find_change (changes, "a")->pub.reason, "just now"));
  world_clear (&world);
}

/* Discarded, while its user saved: which of the two the machine copied nobody knows. */
static void
test_discard_race (void)
{
  g_autoptr (GByteArray) archive = one_file ("./a", "guest"), second = one_file ("./a", "base");
  g_autoptr (SandboxChanges) changes = NULL, again = NULL;
  gboolean chosen[] = { TRUE };
  World world;

  world_init (&world, NULL);
  put_file (world.host, "a", 0644, "base");
  world_record (&world);
  changes = read_all (&world, archive);
  put_file (world.host, "a", 0644, "edited");
  g_assert_true (_sandbox_changes_forget (changes, chosen, NULL, NULL));
  again = read_all (&world, second);
  check_state (again, "a", SANDBOX_CHANGE_MODIFIED, SANDBOX_CHANGE_CONFLICT);
  apply_all (again, FALSE);
  check_content (&world, "a", "edited");
  world_clear (&world);
}

/* Undo leaves what its user changed since. */
static void
test_undo (void)
{
  g_autoptr (GByteArray) archive = archive_begin ();
  g_autoptr (SandboxChanges) changes = NULL, again = NULL;
  g_autoptr (GError) error = NULL;
  guint undone = 0, left = 0;
  World world;

  world_init (&world, NULL);
  put_file (world.host, "a", 0640, "base");
  put_file (world.host, "b", 0644, "base");
  world_record (&world);
  add_entry (archive, SANDBOX_TAR_FILE, "./a", NULL, 0755, "guest");
  add_entry (archive, SANDBOX_TAR_FILE, "./b", NULL, 0644, "guest");
  add_entry (archive, SANDBOX_TAR_FILE, "./c", NULL, 0644, "guest");
  changes = read_all (&world, archive);
  apply_all (changes, FALSE);
  put_file (world.host, "b", 0644, "edited since");
  g_assert_true (
      _sandbox_changes_undo (world.host_fd, world.records_fd, "p", &undone, &left, NULL, NULL));
  g_assert_cmpuint (undone, ==, 2);
  g_assert_cmpuint (left, ==, 1);
  check_content (&world, "a", "base");
  check_content (&world, "b", "edited since");
  check_content (&world, "c", NULL);
  /* what b was is still kept */
  g_assert_true (
      _sandbox_changes_undo (world.host_fd, world.records_fd, "p", &undone, &left, NULL, NULL));
  g_assert_cmpuint (undone, ==, 0);
  g_assert_cmpuint (left, ==, 1);
  put_file (world.host, "b", 0644, "guest");
  g_assert_true (
      _sandbox_changes_undo (world.host_fd, world.records_fd, "p", &undone, &left, NULL, NULL));
  g_assert_cmpuint (undone, ==, 1);
  g_assert_cmpuint (left, ==, 0);
  check_content (&world, "b", "base");
  g_assert_false (
      _sandbox_changes_undo (world.host_fd, world.records_fd, "p", &undone, &left, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  again = world_read_archive (&world, archive, NULL);
  check_state (again, "a", SANDBOX_CHANGE_MODIFIED, SANDBOX_CHANGE_READY);
  world_clear (&world);
}

static void
test_diff (void)
{
  g_autoptr (GByteArray) archive = archive_begin ();
  g_autoptr (SandboxChanges) changes = NULL;
  static const char *const expected[] = {
    "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n",
    "diff --git a/b b/b\nnew file mode 100755\n--- /dev/null\n+++ b/b\n@@ -0,0 +1 @@\n+x\n"
    "\\ No newline at end of file\n",
    "diff --git a/gone b/gone\ndeleted file mode 100644\n--- a/gone\n+++ /dev/null\n"
    "@@ -1,2 +0,0 @@\n-1\n-2\n",
    "diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+b\n"
    "\\ No newline at end of file\n",
  };
  World world;

  world_init (&world, NULL);
  put_file (world.host, "a", 0644, "one\ntwo\n");
  put_file (world.host, "gone", 0644, "1\n2\n");
  world_record (&world);
  add_entry (archive, SANDBOX_TAR_FILE, "./a", NULL, 0644, "one\n2\n");
  add_entry (archive, SANDBOX_TAR_FILE, "./b", NULL, 0755, "x");
  add_raw (archive, '3', "./gone", NULL, 0, 0, 0, 0);
  add_entry (archive, SANDBOX_TAR_SYMLINK, "./l", "b", 0777, NULL);
  changes = read_all (&world, archive);
  g_assert_cmpuint (changes->rows->len, ==, G_N_ELEMENTS (expected));
  for (guint i = 0; i < changes->rows->len; i++)
    {
      g_autofree char *text = sandbox_changes_diff (changes, i, NULL, NULL, NULL, NULL, NULL);

      g_assert_cmpstr (text, ==, expected[i]);
    }
  world_clear (&world);
}

/* All kinds of changes together are what git takes for a patch. */
static void
test_patch (void)
{
  g_autoptr (GByteArray) archive = archive_begin ();
  g_autoptr (SandboxChanges) changes = NULL;
  g_autoptr (GString) patch = g_string_new (NULL);
  g_autofree char *file = NULL;
  const char *argv[] = { "git", "apply", "--check", NULL, NULL };
  g_autoptr (GError) error = NULL;
  int status = -1;
  World world;

  world_init (&world, NULL);
  put_file (world.host, "a", 0644, "one\ntwo\n");
  put_file (world.host, "gone", 0644, "1\n2\n");
  put_file (world.host, "old/x", 0600, "1\n");
  put_file (world.host, "turned", 0644, "file\n");
  put_file (world.host, "tool", 0644, "#!\n");
  g_assert_cmpint (symlinkat ("a", world.host_fd, "moved"), ==, 0);
  world_record (&world);
  add_entry (archive, SANDBOX_TAR_FILE, "./a", NULL, 0644, "one\n2\n");
  add_raw (archive, '3', "./gone", NULL, 0, 0, 0, 0);
  add_entry (archive, SANDBOX_TAR_SYMLINK, "./moved", "tool", 0777, NULL);
  add_entry (archive, SANDBOX_TAR_DIR, "./new/", NULL, 0755, NULL);
  add_entry (archive, SANDBOX_TAR_FILE, "./new/f g", NULL, 0640, "x");
  add_raw (archive, '3', "./old", NULL, 0, 0, 0, 0);
  add_entry (archive, SANDBOX_TAR_FILE, "./suid", NULL, 04755, "x");
  add_entry (archive, SANDBOX_TAR_FILE, "./tool", NULL, 0755, "#!\n");
  add_entry (archive, SANDBOX_TAR_SYMLINK, "./turned", "a", 0777, NULL);
  changes = read_all (&world, archive);
  g_assert_cmpuint (changes->rows->len, >=, 9);
  for (guint i = 0; i < changes->rows->len; i++)
    {
      g_autofree char *text = sandbox_changes_diff (changes, i, NULL, NULL, NULL, NULL, NULL);

      g_string_append (patch, text);
    }
  g_test_message ("%s", patch->str);
  file = g_build_filename (g_get_tmp_dir (), "libsandbox-test.patch", NULL);
  g_assert_true (g_file_set_contents (file, patch->str, -1, NULL));
  argv[3] = file;
  g_assert_true (g_spawn_sync (world.host, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                               NULL, NULL, &status, &error));
  g_assert_cmpint (status, ==, 0);
  g_assert_null (strstr (patch->str, "b/suid"));
  g_assert_nonnull (strstr (patch->str, "# new/: new\n"));
  unlink (file);
  world_clear (&world);
}

static gboolean
is_settled (World *world)
{
  return _sandbox_changes_is_settled (world->records_fd, "p", "print");
}

/* A note that nothing is left to be applied is made when it is so, and goes when it is not. */
static void
test_settled (void)
{
  World world;
  g_autoptr (GByteArray) archive = one_file ("./a", "machine\n");
  g_autoptr (SandboxChanges) changes = NULL;
  guint undone = 0, left = 0;

  world_init (&world, NULL);
  put_file (world.host, "a", 0644, "host\n");
  world_record (&world);
  changes = read_all (&world, archive);
  changes->fingerprint = g_strdup ("print");
  _sandbox_changes_settle (changes);
  g_assert_false (is_settled (&world));
  apply_all (changes, FALSE);
  g_assert_true (is_settled (&world));
  /* of which hunks were left */
  g_assert_true (_sandbox_changes_unsettle (world.records_fd, "p", NULL));
  _sandbox_changes_row (changes, 0)->partial = TRUE;
  _sandbox_changes_settle (changes);
  g_assert_false (is_settled (&world));
  _sandbox_changes_row (changes, 0)->partial = FALSE;
  _sandbox_changes_settle (changes);
  g_assert_false (_sandbox_changes_is_settled (world.records_fd, "p", "prin"));
  g_assert_true (_sandbox_changes_undo (world.host_fd, world.records_fd, changes->tag, &undone,
                                        &left, NULL, NULL));
  g_assert_false (is_settled (&world));
  /* what is git's is never applied, so something is left */
  g_clear_pointer (&changes, sandbox_changes_unref);
  g_clear_pointer (&archive, g_byte_array_unref);
  archive = archive_begin ();
  add_entry (archive, SANDBOX_TAR_DIR, "./.git/", NULL, 0755, NULL);
  changes = read_all (&world, archive);
  changes->fingerprint = g_strdup ("print");
  _sandbox_changes_settle (changes);
  g_assert_false (is_settled (&world));
  world_clear (&world);
}

int
main (int argc, char **argv)
{
  umask (022);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/share/changes/conflict", test_conflict);
  g_test_add_func ("/share/changes/no-record", test_no_record);
  g_test_add_func ("/share/changes/after-apply", test_after_apply);
  g_test_add_func ("/share/changes/made-anew", test_made_anew);
  g_test_add_func ("/share/changes/host-links", test_host_links);
  g_test_add_func ("/share/changes/bare", test_bare);
  g_test_add_func ("/share/changes/runs", test_runs);
  g_test_add_func ("/share/changes/runs-by-link", test_runs_by_link);
  g_test_add_func ("/share/changes/race", test_race);
  g_test_add_func ("/share/changes/discard-race", test_discard_race);
  g_test_add_func ("/share/changes/undo", test_undo);
  g_test_add_func ("/share/changes/settled", test_settled);
  g_test_add_func ("/share/changes/diff", test_diff);
  g_test_add_func ("/share/changes/patch", test_patch);
  return g_test_run ();
}
