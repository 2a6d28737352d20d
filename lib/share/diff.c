// SPDX-License-Identifier: LGPL-2.1-or-later
// A change as text: headers as git writes them, made here, so that no name can forge one; the lines
// between by diff(1), which has no configuration that could be a guest's.
#include "share/share.h"

#include "base/child.h"
#include "base/error.h"
#include "base/file.h"
#include "base/names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define DIFF_USEC  (60 * G_USEC_PER_SEC)
#define OUTPUT_MAX ((gsize)(3 * SANDBOX_DIFF_BYTES_MAX))
#define BLOCK      (256 * 1024)

/* One side, in memory: what a link leads to stands for its content. */
typedef struct
{
  int fd;
  gboolean large;
} Side;

static gboolean
fill (int to, int from, guint64 offset, guint64 length, GError **error)
{
  g_autofree char *block = g_malloc (BLOCK);

  while (length > 0)
    {
      gssize n = pread (from, block, (gsize)MIN (length, BLOCK), (off_t)offset);

      if (n <= 0 || write (to, block, (gsize)n) != n)
        return sandbox_fail_errno (error, n == 0 ? EIO : errno, "comparing files");
      offset += (guint64)n;
      length -= (guint64)n;
    }
  return TRUE;
}

static gboolean
side_open (Side *side, GError **error)
{
  side->fd = memfd_create ("vms-diff", MFD_CLOEXEC);
  return side->fd >= 0 || sandbox_fail_errno (error, errno, "comparing files");
}

static gboolean
side_text (Side *side, const char *text, GError **error)
{
  return write (side->fd, text, strlen (text)) == (gssize)strlen (text)
         || sandbox_fail_errno (error, errno, "comparing files");
}

/**
 * Diff: one change, as it becomes text
 */
typedef struct
{
  SandboxChanges *changes;
  const SandboxChangeRow *row;
  GString *text;
  guint added, removed;
} Diff;

static gboolean
open_old (SandboxChanges *changes, const SandboxChangeRow *row, Side *side, GError **error)
{
  sandbox_autofd int fd = -1;

  if (!side_open (side, error))
    return FALSE;
  if (row->host.type == SANDBOX_NODE_SYMLINK)
    {
      g_autofree char *link = _sandbox_tree_read_link (changes->root_fd, row->pub.path, error);

      return link && side_text (side, link, error);
    }
  side->large = row->host.size_bytes > SANDBOX_DIFF_BYTES_MAX;
  if (row->host.type != SANDBOX_NODE_FILE || side->large)
    return TRUE;
  fd = _sandbox_tree_open (changes->root_fd, row->pub.path, error);
  return fd >= 0 && fill (side->fd, fd, 0, row->host.size_bytes, error);
}

static gboolean
open_new (SandboxChanges *changes, const SandboxChangeRow *row, Side *side, GError **error)
{
  if (!side_open (side, error))
    return FALSE;
  if (row->pub.link)
    return side_text (side, row->pub.link, error);
  side->large = row->size_bytes > SANDBOX_DIFF_BYTES_MAX;
  return side->large
         || fill (side->fd, changes->upper->spool_fd, row->offset, row->size_bytes, error);
}

/* All of it is looked at: what follows a NUL would not be shown. */
static gboolean
is_binary (const Side *side)
{
  g_autofree char *block = g_malloc (BLOCK);
  gssize n = 0;

  for (off_t at = 0; (n = pread (side->fd, block, BLOCK, at)) > 0; at += n)
    if (memchr (block, '\0', (gsize)n))
      return TRUE;
  return side->large || n < 0;
}

/* diff(1) ends with 1 where there is a difference. */
static char *
run_diff (const Side *old, const Side *new, GCancellable *cancellable, GError **error)
{
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  g_autofree char *a = g_strdup_printf ("/proc/%d/fd/%d", (int)getpid (), old->fd);
  g_autofree char *b = g_strdup_printf ("/proc/%d/fd/%d", (int)getpid (), new->fd);
  const char *argv[] = {
    "diff", "--text", "--label", "a", "--label", "b", "-U3", "--", a, b, NULL
  };
  g_autofree char *text = NULL, *complaint = NULL;
  int status = 0;

  options.argv = argv;
  if (!sandbox_child_run (&options, DIFF_USEC, OUTPUT_MAX, cancellable, &text, &complaint, &status,
                          error))
    return NULL;
  if (status <= 1)
    return g_steal_pointer (&text);
  sandbox_fail (error, SANDBOX_ERROR_FAILED, "comparing files: diff: %s", g_strchomp (complaint));
  return NULL;
}

/* All lines of one side, as diff(1) would give them for an empty other one: change sets are mostly
 * new files, and a process for each of them is dear. */
static char *
whole (const Side *side, char sign, GError **error)
{
  struct stat st;
  GString *text;
  const char *data, *end;
  g_autofree char *range = NULL, *head = NULL;
  guint n = 0;

  if (fstat (side->fd, &st) < 0 || st.st_size == 0)
    return g_strdup ("");
  data = mmap (NULL, (gsize)st.st_size, PROT_READ, MAP_SHARED, side->fd, 0);
  if (data == MAP_FAILED)
    {
      sandbox_fail_errno (error, errno, "comparing files");
      return NULL;
    }
  end = data + st.st_size;
  text = g_string_sized_new ((gsize)st.st_size + 256);
  for (const char *line = data; line < end; n++)
    {
      const char *stop = memchr (line, '\n', (gsize)(end - line));

      g_string_append_c (text, sign);
      g_string_append_len (text, line, (stop ? stop : end) - line);
      g_string_append (text, stop ? "\n" : "\n\\ No newline at end of file\n");
      line = stop ? stop + 1 : end;
    }
  munmap ((gpointer)data, (gsize)st.st_size);
  range = n == 1 ? g_strdup ("1") : g_strdup_printf ("1,%u", n);
  head = sign == '+' ? g_strdup_printf ("a\nb\n@@ -0,0 +%s @@\n", range)
                     : g_strdup_printf ("a\nb\n@@ -%s +0,0 @@\n", range);
  g_string_prepend (text, head);
  return g_string_free (text, FALSE);
}

/* Git's way with names: quoted when there is anything in them that could be misread. */
static char *
quote (const char *prefix, const char *path)
{
  g_autofree char *escaped = g_strescape (path, NULL);

  if (strcmp (escaped, path) == 0)
    return g_strconcat (prefix, path, NULL);
  return g_strdup_printf ("\"%s%s\"", prefix, escaped);
}

/* As git has it: a directory is nothing, and of a file's rights it knows one. */
static guint
git_mode (guint mode)
{
  if (S_ISLNK (mode))
    return S_IFLNK;
  if (!S_ISREG (mode))
    return 0;
  return S_IFREG | (mode & 0111 ? 0755 : 0644);
}

/* 0 for @old or @new: there is none. */
static void
add_header (GString *text, const char *path, guint old, guint new)
{
  g_autofree char *a = quote ("a/", path), *b = quote ("b/", path);

  g_string_append_printf (text, "diff --git %s %s\n", a, b);
  if (!old)
    g_string_append_printf (text, "new file mode %06o\n", new);
  else if (!new)
    g_string_append_printf (text, "deleted file mode %06o\n", old);
  else if (old != new)
    g_string_append_printf (text, "old mode %06o\nnew mode %06o\n", old, new);
}

static void
add_names (GString *text, const char *path, guint old, guint new)
{
  g_autofree char *a = quote ("a/", path), *b = quote ("b/", path);

  g_string_append_printf (text, "--- %s\n+++ %s\n", old ? a : "/dev/null", new ? b : "/dev/null");
}

/* What a patch has no words for. */
static void
add_remark (GString *text, const SandboxChange *change)
{
  g_autofree char *name = quote ("", change->path);
  gboolean directory = S_ISDIR (change->old_mode) || S_ISDIR (change->new_mode);

  g_string_append_printf (text, "# %s%s", name, directory ? "/" : "");
  if (change->state == SANDBOX_CHANGE_REFUSED)
    g_string_append (text, "\n");
  else if (!change->old_mode)
    g_string_append (text, ": new\n");
  else if (!change->new_mode)
    g_string_append (text, ": deleted\n");
  else
    g_string_append_printf (text, ": mode %04o, was %04o\n", change->new_mode & 07777,
                            change->old_mode & 07777);
}

static gboolean
is_told (guint mode)
{
  return !S_ISREG (mode) || (mode & 0777) == (git_mode (mode) & 0777);
}

/* New permissions of a file that git's two do not tell. */
static void
add_mode_remark (GString *text, const SandboxChange *change)
{
  gboolean replaces = S_ISREG (change->old_mode);
  g_autofree char *name = quote ("", change->path);

  if (!S_ISREG (change->new_mode) || change->old_mode == change->new_mode
      || (is_told (change->new_mode) && is_told (change->old_mode)))
    return;
  g_string_append_printf (text, "# %s: mode %04o", name, change->new_mode & 07777);
  if (replaces)
    g_string_append_printf (text, ", was %04o", change->old_mode & 07777);
  g_string_append_c (text, '\n');
}

static void
count_lines (const char *text, guint *ret_added, guint *ret_removed)
{
  for (const char *line = text; *line; line = strchrnul (line, '\n'), line += *line ? 1 : 0)
    {
      *ret_added += *line == '+' ? 1 : 0;
      *ret_removed += *line == '-' ? 1 : 0;
    }
}

/* diff's own two lines with names go. */
static const char *
skip_names (const char *text)
{
  for (guint i = 0; i < 2 && *text; i++)
    text = strchrnul (text, '\n') + (strchr (text, '\n') ? 1 : 0);
  return text;
}

static gboolean
add_lines (Diff *diff, guint old_mode, guint new_mode, GCancellable *cancellable, GError **error)
{
  const SandboxChangeRow *row = diff->row;
  Side old = { .fd = -1 }, new = { .fd = -1 };
  g_autofree char *lines = NULL;
  gboolean ok =
      open_old (diff->changes, row, &old, error) && open_new (diff->changes, row, &new, error);

  if (ok && (is_binary (&old) || is_binary (&new)))
    g_string_append_printf (
        diff->text, "Binary files differ (%" G_GUINT64_FORMAT " -> %" G_GUINT64_FORMAT " bytes)\n",
        row->pub.old_bytes, row->pub.new_bytes);
  else if (ok)
    {
      lines = !old_mode   ? whole (&new, '+', error)
              : !new_mode ? whole (&old, '-', error)
                          : run_diff (&old, &new, cancellable, error);
      ok = lines != NULL;
    }
  if (lines && lines[0])
    {
      const char *rest = skip_names (lines);

      add_names (diff->text, row->pub.path, old_mode, new_mode);
      g_string_append (diff->text, rest);
      count_lines (rest, &diff->added, &diff->removed);
    }
  sandbox_close_fd (&old.fd);
  sandbox_close_fd (&new.fd);
  return ok;
}

static gboolean
add_part (Diff *diff, guint old, guint new, GCancellable *cancellable, GError **error)
{
  add_header (diff->text, diff->row->pub.path, old, new);
  return diff->row->pub.kind == SANDBOX_CHANGE_MODE
         || add_lines (diff, old, new, cancellable, error);
}

static gboolean
add_change (Diff *diff, GCancellable *cancellable, GError **error)
{
  const SandboxChange *change = &diff->row->pub;
  guint old = git_mode (change->old_mode), new = git_mode (change->new_mode);

  if (change->state == SANDBOX_CHANGE_REFUSED || (old == 0 && new == 0)
      || (change->kind == SANDBOX_CHANGE_MODE && old == new))
    {
      add_remark (diff->text, change);
      return TRUE;
    }
  add_mode_remark (diff->text, change);
  if (old != 0 && new != 0 && ((old ^ new) & S_IFMT))
    return add_part (diff, old, 0, cancellable, error)
           && add_part (diff, 0, new, cancellable, error);
  return add_part (diff, old, new, cancellable, error);
}

char *
sandbox_changes_diff (SandboxChanges *changes, guint index, gsize *ret_length, guint *ret_added,
                      guint *ret_removed, GCancellable *cancellable, GError **error)
{
  const SandboxChangeRow *row = _sandbox_changes_row (changes, index);
  g_autoptr (GString) text = g_string_new (NULL);
  Diff diff = { .changes = changes, .row = row, .text = text };

  if (!add_change (&diff, cancellable, error))
    return NULL;
  if (ret_length)
    *ret_length = text->len;
  if (ret_added)
    *ret_added = diff.added;
  if (ret_removed)
    *ret_removed = diff.removed;
  return g_string_free (g_steal_pointer (&text), FALSE);
}

char *
sandbox_changes_diff_rename (const SandboxChanges *changes, guint old, guint index)
{
  const SandboxChange *gone = sandbox_changes_get (changes, old);
  const SandboxChange *change = sandbox_changes_get (changes, index);
  g_autofree char *from = quote ("", gone->path), *to = quote ("", change->path);
  g_autofree char *a = quote ("a/", gone->path), *b = quote ("b/", change->path);
  guint old_mode = git_mode (gone->old_mode), new_mode = git_mode (change->new_mode);
  g_autoptr (GString) text = g_string_new (NULL);

  if (S_ISDIR (change->new_mode))
    return g_strdup_printf ("# %s/: renamed to %s/\n", from, to);
  add_mode_remark (text, change);
  g_string_append_printf (text, "diff --git %s %s\n", a, b);
  if (old_mode != new_mode)
    g_string_append_printf (text, "old mode %06o\nnew mode %06o\n", old_mode, new_mode);
  g_string_append_printf (text, "similarity index 100%%\nrename from %s\nrename to %s\n", from, to);
  return g_string_free (g_steal_pointer (&text), FALSE);
}
