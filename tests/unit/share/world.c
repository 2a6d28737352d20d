// SPDX-License-Identifier: LGPL-2.1-or-later
// Directories to play host and machine, and change sets.
#include "world.h"

#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char *
make (const char *top, const char *name)
{
  char *path = g_build_filename (top, name, NULL);

  g_assert_cmpint (g_mkdir_with_parents (path, 0755), ==, 0);
  return path;
}

void
world_init (World *world, const char *where)
{
  world->classes = NULL;
  world->top = where ? g_strdup (where) : g_dir_make_tmp ("sandbox-share-XXXXXX", NULL);
  world->host = make (world->top, "host");
  world->records = make (world->top, "records");
  world->upper = make (world->top, "upper");
  world->work = make (world->top, "work");
  world->merged = make (world->top, "merged");
  world->top_fd = open (world->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  world->host_fd = open (world->host, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  world->records_fd = open (world->records, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

void
world_clear (World *world)
{
  static const char *const names[] = { "host", "records", "upper", "work", "merged" };

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    sandbox_remove_at (world->top_fd, names[i], NULL);
  close (world->top_fd);
  close (world->host_fd);
  close (world->records_fd);
  rmdir (world->top);
  g_free (world->top);
  g_free (world->host);
  g_free (world->records);
  g_free (world->upper);
  g_free (world->work);
  g_free (world->merged);
}

void
world_record (World *world)
{
  g_autoptr (GError) error = NULL;

  _sandbox_manifest_take (world->host_fd, world->records_fd, "p", NULL, &error);
  g_assert_no_error (error);
}

void
put_file (const char *dir, const char *path, guint mode, const char *content)
{
  g_autofree char *whole = g_build_filename (dir, path, NULL);
  g_autofree char *parent = g_path_get_dirname (whole);

  g_assert_cmpint (g_mkdir_with_parents (parent, 0755), ==, 0);
  g_assert_true (g_file_set_contents (whole, content, -1, NULL));
  g_assert_cmpint (chmod (whole, mode), ==, 0);
}

char *
get_file (const char *dir, const char *path)
{
  g_autofree char *whole = g_build_filename (dir, path, NULL);
  char *content = NULL;

  g_file_get_contents (whole, &content, NULL, NULL);
  return content;
}

typedef struct
{
  int fd;
  GString *text;
} Listing;

static gboolean
list_one (const char *path, SandboxNode *node, gboolean *ret_enter, gpointer user_data,
          GError **error)
{
  Listing *listing = user_data;

  g_string_append_printf (listing->text, "%s %u %o", path, node->type,
                          node->type == SANDBOX_NODE_SYMLINK ? 0777 : node->mode);
  if (node->type == SANDBOX_NODE_FILE)
    {
      sandbox_autofd int fd = openat (listing->fd, path, O_RDONLY | O_CLOEXEC);
      guint8 hash[SANDBOX_HASH_BYTES];

      g_assert_true (_sandbox_tree_hash (fd, 0, node->size_bytes, hash, NULL));
      g_string_append_printf (listing->text, " %u %02x%02x%02x%02x", (guint)node->size_bytes,
                              hash[0], hash[1], hash[2], hash[3]);
    }
  if (node->type == SANDBOX_NODE_SYMLINK)
    {
      char link[4096] = "";

      g_assert_cmpint (readlinkat (listing->fd, path, link, sizeof link - 1), >, 0);
      g_string_append_printf (listing->text, " -> %s", link);
    }
  g_string_append_c (listing->text, '\n');
  return TRUE;
}

char *
tree_text (const char *dir)
{
  sandbox_autofd int fd = open (dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  Listing listing = { fd, g_string_new (NULL) };
  g_autoptr (GError) error = NULL;

  _sandbox_tree_walk (fd, "", list_one, &listing, NULL, &error);
  g_assert_no_error (error);
  return g_string_free (listing.text, FALSE);
}

typedef struct
{
  const guint8 *data;
  gsize left;
  int fd;
} Source;

static gboolean
source_read (void *data, gsize length, gpointer user_data, GError **error)
{
  Source *source = user_data;

  if (source->fd >= 0)
    {
      char *to = data;

      while (length > 0)
        {
          gssize n = read (source->fd, to, length);

          if (n <= 0)
            return sandbox_fail (error, SANDBOX_ERROR_GUEST, "the archive ends early");
          to += n;
          length -= (gsize)n;
        }
      return TRUE;
    }
  if (length > source->left)
    return sandbox_fail (error, SANDBOX_ERROR_GUEST, "the archive ends early");
  memcpy (data, source->data, length);
  source->data += length;
  source->left -= length;
  return TRUE;
}

static SandboxChanges *
read_source (World *world, Source *source, GError **error)
{
  SandboxUpper *upper = _sandbox_upper_read (source_read, source, world->records_fd, error);

  if (!upper)
    return NULL;
  return _sandbox_changes_new ("machine", "p", upper,
                               world->classes ? _sandbox_classes_parse (world->classes) : NULL,
                               world->host_fd, world->records_fd, NULL, error);
}

SandboxChanges *
world_read (World *world, GError **error)
{
  static const char script[] = "cd \"$1\" && LC_ALL=C tar -c -f - --format=pax --numeric-owner "
                               "--xattrs --xattrs-include='trusted.overlay.*' "
                               "--one-file-system --sort=name .";
  const char *argv[] = { "sh", "-c", script, "sh", world->upper, NULL };
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  Source source = { .fd = -1 };
  SandboxChanges *changes;
  int fds[2], status = 0;
  pid_t pid;

  g_assert_cmpint (pipe2 (fds, O_CLOEXEC), ==, 0);
  options.argv = argv;
  options.stdout_fd = fds[1];
  options.stderr_fd = STDERR_FILENO;
  g_assert_true (sandbox_child_spawn (&options, &pid, NULL));
  close (fds[1]);
  source.fd = fds[0];
  changes = read_source (world, &source, error);
  close (fds[0]);
  g_assert_true (sandbox_child_wait (pid, FALSE, 0, NULL, &status, NULL));
  return changes;
}

SandboxChanges *
world_read_archive (World *world, GByteArray *archive, GError **error)
{
  Source source = { .data = archive->data, .left = archive->len, .fd = -1 };

  return read_source (world, &source, error);
}

void
add_entry (GByteArray *archive, SandboxTarType type, const char *name, const char *link, guint mode,
           const char *content)
{
  SandboxTarEntry entry = {
    .type = type, .name = (char *)name, .link = (char *)link, .mode = mode
  };

  if (content)
    sandbox_tar_append (archive, name, mode, content, strlen (content));
  else
    sandbox_tar_append_header (archive, &entry);
}

void
add_raw (GByteArray *archive, char type, const char *name, const char *link, guint mode,
         guint64 size, guint major, guint minor)
{
  char block[SANDBOX_TAR_BLOCK] = "";
  guint sum = 0;

  g_strlcpy (block, name, 100);
  g_snprintf (block + 100, 8, "%07o", mode);
  g_snprintf (block + 124, 12, "%011" G_GINT64_MODIFIER "o", size);
  if (size >> 33)
    {
      memset (block + 124, 0, 12);
      block[124] = (char)0x80;
      for (guint i = 0; i < 8; i++)
        block[135 - i] = (char)(size >> (8 * i));
    }
  g_snprintf (block + 136, 12, "%011o", 0);
  block[156] = type;
  if (link)
    g_strlcpy (block + 157, link, 100);
  memcpy (block + 257, "ustar\00000", 8);
  g_snprintf (block + 329, 8, "%07o", major);
  g_snprintf (block + 337, 8, "%07o", minor);
  memset (block + 148, ' ', 8);
  for (gsize i = 0; i < sizeof block; i++)
    sum += (guchar)block[i];
  g_snprintf (block + 148, 8, "%06o", sum);
  g_byte_array_append (archive, (const guint8 *)block, sizeof block);
}

void
add_pax (GByteArray *archive, const char *key, const char *value)
{
  gsize length = strlen (key) + strlen (value) + 5;
  g_autofree char *record = NULL;
  static const guint8 zeros[SANDBOX_TAR_BLOCK];

  g_assert_cmpuint (length, <, 99);
  length += length >= 10 ? 1 : 0;
  record = g_strdup_printf ("%" G_GSIZE_FORMAT " %s=%s\n", strlen (key) + strlen (value) + 5, key,
                            value);
  add_raw (archive, 'x', "pax", NULL, 0644, strlen (record), 0, 0);
  g_byte_array_append (archive, (const guint8 *)record, (guint)strlen (record));
  g_byte_array_append (archive, zeros,
                       (guint)(SANDBOX_TAR_BLOCK - strlen (record) % SANDBOX_TAR_BLOCK));
}

SandboxChangeRow *
find_change (SandboxChanges *changes, const char *path)
{
  for (guint i = 0; i < changes->rows->len; i++)
    if (g_str_equal (_sandbox_changes_row (changes, i)->pub.path, path))
      return _sandbox_changes_row (changes, i);
  return NULL;
}

void
apply_all (SandboxChanges *changes, gboolean force)
{
  SandboxApplyOptions options = SANDBOX_APPLY_OPTIONS_INIT;
  g_autoptr (GError) error = NULL;

  options.include_runs = TRUE;
  options.replace_conflicts = force;
  sandbox_changes_apply (changes, &options, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
}
