// SPDX-License-Identifier: LGPL-2.1-or-later
// What waits for a machine's next start: what was discarded while it was off is no change, as long
// as it is what was discarded; what was applied and edited here since is found, and told apart from
// what cannot follow.
#include "world.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static SandboxChanges *
read_files (World *world, const char *const *pairs)
{
  g_autoptr (GByteArray) archive = g_byte_array_new ();
  g_autoptr (GError) error = NULL;
  SandboxChanges *changes;

  add_entry (archive, SANDBOX_TAR_DIR, "./", NULL, 0755, NULL);
  for (; *pairs != NULL; pairs += 2)
    if (pairs[1] != NULL && *pairs[1] != '\0')
      add_entry (archive, SANDBOX_TAR_FILE, pairs[0], NULL, 0644, pairs[1]);
    else
      add_raw (archive, '3', pairs[0], NULL, 0, 0, 0, 0);
  sandbox_tar_append_end (archive);
  changes = world_read_archive (world, archive, &error);
  g_assert_no_error (error);
  return changes;
}

static void
drop (World *world, const char *const *pairs, const char *path)
{
  g_autoptr (SandboxChanges) changes = read_files (world, pairs);
  g_autofree gboolean *chosen = g_new0 (gboolean, changes->rows->len);
  g_autoptr (GError) error = NULL;
  gboolean found = FALSE;

  for (guint i = 0; i < changes->rows->len; i++)
    if (g_str_equal (sandbox_changes_get (changes, i)->path, path))
      chosen[i] = found = TRUE;
  g_assert_true (found);
  g_assert_true (_sandbox_dropped_note (changes, chosen, &error));
  g_assert_no_error (error);
}

/* "a b": the paths of all rows. */
static void
check_rows (SandboxChanges *changes, const char *expected)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < changes->rows->len; i++)
    g_string_append_printf (text, "%s%s", i > 0 ? " " : "", sandbox_changes_get (changes, i)->path);
  g_assert_cmpstr (text->str, ==, expected);
}

static void
check_read (World *world, const char *const *pairs, const char *expected)
{
  g_autoptr (SandboxChanges) changes = read_files (world, pairs);

  check_rows (changes, expected);
}

/* One after the other; what the machine has changed again is a change. */
static void
test_dropped (void)
{
  const char *const first[] = { "./a", "guest", "./b", "", "./c", "new", NULL };
  const char *const second[] = { "./a", "other", "./b", "", "./c", "new", NULL };
  g_autoptr (SandboxChanges) changes = NULL;
  g_autoptr (GArray) indexes = NULL;
  World world;

  world_init (&world, NULL);
  put_file (world.host, "a", 0644, "base");
  put_file (world.host, "b", 0644, "base");
  world_record (&world);
  check_read (&world, first, "a b c");
  g_assert_false (_sandbox_dropped_exists (world.records_fd, "p"));
  drop (&world, first, "a");
  check_read (&world, first, "b c");
  drop (&world, first, "b");
  g_assert_true (_sandbox_dropped_exists (world.records_fd, "p"));
  check_read (&world, first, "c");
  check_read (&world, second, "a c");
  changes = read_files (&world, first);
  indexes = _sandbox_dropped_show (changes);
  check_rows (changes, "a b c");
  g_assert_cmpuint (indexes->len, ==, 2);
  g_assert_cmpuint (g_array_index (indexes, guint, 0), ==, 0);
  g_assert_cmpuint (g_array_index (indexes, guint, 1), ==, 1);
  g_assert_true (_sandbox_dropped_remove (world.records_fd, "p", NULL));
  check_read (&world, first, "a b c");
  drop (&world, first, "a");
  /* another disk: nothing waits */
  world_record (&world);
  check_read (&world, first, "a b c");
  world_clear (&world);
}

/* A rename of which one side was discarded is none. */
static void
test_half_a_rename (void)
{
  const char *const pairs[] = { "./a", "", "./b", "same", NULL };
  g_autoptr (SandboxChanges) changes = NULL;
  World world;

  world_init (&world, NULL);
  put_file (world.host, "a", 0644, "same");
  world_record (&world);
  drop (&world, pairs, "a");
  changes = read_files (&world, pairs);
  check_rows (changes, "b");
  g_assert_null (sandbox_changes_get (changes, 0)->renamed_from);
  world_clear (&world);
}

/* "a b": what can follow now. (transfer full) */
static GPtrArray *
follow_list (World *world, SandboxBase **ret_base, const char *expected)
{
  g_autoptr (GString) text = g_string_new (NULL);
  GPtrArray *list;

  *ret_base = _sandbox_base_open (world->host_fd, world->records_fd, "p", NULL);
  list = _sandbox_follow_list (*ret_base, world->host_fd);
  for (guint i = 0; i < list->len; i++)
    g_string_append_printf (text, "%s%s", i > 0 ? " " : "",
                            ((SandboxFollow *)list->pdata[i])->path);
  g_assert_cmpstr (text->str, ==, expected);
  return list;
}

static void
follow_all (World *world, SandboxBase *base, const GPtrArray *list)
{
  for (guint i = 0; i < list->len; i++)
    g_assert_true (_sandbox_follow_note (base, world->host_fd, list->pdata[i], NULL));
  g_assert_true (_sandbox_base_save_applied (base, world->records_fd, "p", NULL));
}

/* What was applied and edited here since, until the machine has it; not what it has more of. */
static void
test_follow (void)
{
  const char *const pairs[] = { "./a", "guest", "./b", "", "./c", "new", "./d", "more", NULL };
  guint8 hash[SANDBOX_HASH_BYTES];
  World world;

  world_init (&world, NULL);
  put_file (world.host, "a", 0644, "base");
  put_file (world.host, "b", 0644, "base");
  world_record (&world);
  {
    g_autoptr (SandboxChanges) changes = read_files (&world, pairs);
    SandboxNode node;

    apply_all (changes, FALSE);
    _sandbox_base_find (changes->base, "d", &node);
    node.merged = TRUE;
    _sandbox_base_set_applied (changes->base, "d", &node);
    g_assert_true (_sandbox_base_save_applied (changes->base, world.records_fd, "p", NULL));
  }
  put_file (world.host, "a", 0644, "edited");
  put_file (world.host, "b", 0644, "again");
  put_file (world.host, "d", 0644, "edited");
  g_assert_cmpint (unlinkat (world.host_fd, "c", 0), ==, 0);
  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (SandboxBase) base = NULL;
      g_autoptr (GPtrArray) list = follow_list (&world, &base, i == 0 ? "a b c" : "a");

      if (i == 0)
        {
          const SandboxFollow *a = list->pdata[0];

          _sandbox_text_hash ("guest", hash);
          g_assert_cmpmem (a->had.hash, sizeof hash, hash, sizeof hash);
          /* while it is copied */
          put_file (world.host, "a", 0644, "edited once more");
        }
      follow_all (&world, base, list);
    }
  {
    g_autoptr (SandboxBase) base = NULL;
    g_autoptr (GPtrArray) list = follow_list (&world, &base, "");
    const char *const now[] = { "./a", "edited once more", "./b", "again", "./d", "more", NULL };

    /* and is no change of the machine's */
    check_read (&world, now, "");
    put_file (world.host, "a", 0644, "and again");
    check_read (&world, now, "");
  }
  world_clear (&world);
}

/* A directory is no copy. */
static void
test_follow_types (void)
{
  const char *const pairs[] = { "./a", "guest", NULL };
  g_autoptr (SandboxBase) base = NULL;
  g_autoptr (GPtrArray) list = NULL;
  World world;

  world_init (&world, NULL);
  put_file (world.host, "a", 0644, "base");
  world_record (&world);
  {
    g_autoptr (SandboxChanges) changes = read_files (&world, pairs);

    apply_all (changes, FALSE);
  }
  g_assert_cmpint (unlinkat (world.host_fd, "a", 0), ==, 0);
  g_assert_cmpint (mkdirat (world.host_fd, "a", 0755), ==, 0);
  list = follow_list (&world, &base, "");
  world_clear (&world);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/share/later/dropped", test_dropped);
  g_test_add_func ("/share/later/half-a-rename", test_half_a_rename);
  g_test_add_func ("/share/later/follow", test_follow);
  g_test_add_func ("/share/later/follow-types", test_follow_types);
  return g_test_run ();
}
