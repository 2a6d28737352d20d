// SPDX-License-Identifier: LGPL-2.1-or-later
// What a link means to the host, what it leads to means, too: with ".vscode" a link to "conf", all
// in "conf" is what an editor runs, by whatever name.
//
// Which links: those that the machine has, those of this host's record, and those at the top of
// the shared directory now. Where they lead is looked up by hand, within the directory, once as
// this host has it and once as it would be with all of the machine's changes.
#include "share/share.h"

#include "base/error.h"
#include "base/file.h"
#include "base/names.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Parts of a way that one link may have; and all of them together. */
#define WAY_MAX   2000
#define STEPS_MAX (2 * 1000 * 1000)

typedef struct
{
  const char *link;
  SandboxChangeRisk risk;
} Meaning;

typedef struct
{
  SandboxChanges *changes;
  GHashTable *seen;    /* links that were followed */
  GHashTable *meaning; /* path -> Meaning, of all below it, too */
  char *root;          /* the shared directory's own path, (nullable) */
  gboolean with_machine;
  guint steps;
} Links;

static void
note (Links *links, const char *path, const char *link, SandboxChangeRisk risk)
{
  const Meaning *have = g_hash_table_lookup (links->meaning, path);
  Meaning meaning = { link, risk };

  if (!have || have->risk < risk)
    g_hash_table_replace (links->meaning, g_strdup (path), g_memdup2 (&meaning, sizeof meaning));
}

/* Where the link at @path leads, relative to its directory or from the top ("/..."); NULL when it
 * is none. */
static char *
link_at (const Links *links, const char *path)
{
  const SandboxUpperEntry *entry =
      links->with_machine ? _sandbox_upper_find (links->changes->upper, path) : NULL;
  g_autofree char *target = NULL;
  SandboxNode node;
  gsize length = links->root ? strlen (links->root) : 0;

  if (entry)
    return entry->type == SANDBOX_UPPER_SYMLINK ? g_strdup (entry->link) : NULL;
  if (!_sandbox_tree_look (links->changes->root_fd, path, &node, NULL)
      || node.type != SANDBOX_NODE_SYMLINK)
    return NULL;
  target = _sandbox_tree_read_link (links->changes->root_fd, path, NULL);
  if (!target || target[0] != '/')
    return g_steal_pointer (&target);
  /* an absolute one that leads here */
  if (length == 0 || strncmp (target, links->root, length) != 0
      || (target[length] != '/' && target[length] != '\0'))
    return g_strdup ("/..");
  return g_strconcat ("/", target + length, NULL);
}

static void
push (GQueue *parts, const char *path)
{
  char **split = g_strsplit (path, "/", -1);

  for (guint i = g_strv_length (split); i > 0; i--)
    g_queue_push_head (parts, split[i - 1]);
  g_free (split);
}

/* One step; FALSE: it leads out. */
static gboolean
step (Links *links, GString *at, GQueue *parts, const char *part, const char *from,
      SandboxChangeRisk risk)
{
  gsize length = at->len;
  g_autofree char *target = NULL;
  const char *slash;

  if (part[0] == '\0' || strcmp (part, ".") == 0)
    return TRUE;
  if (strcmp (part, "..") == 0)
    {
      slash = strrchr (at->str, '/');
      g_string_truncate (at, slash ? (gsize)(slash - at->str) : 0);
      return length > 0;
    }
  g_string_append_printf (at, "%s%s", length ? "/" : "", part);
  target = link_at (links, at->str);
  if (!target)
    return TRUE;
  note (links, at->str, from, risk);
  g_string_truncate (at, target[0] == '/' ? 0 : length);
  push (parts, target);
  return TRUE;
}

static void
follow (Links *links, const char *path, SandboxChangeRisk risk)
{
  g_autoptr (GString) at = g_string_new (NULL);
  GQueue parts = G_QUEUE_INIT;
  gboolean good = TRUE;

  push (&parts, path);
  for (guint i = 0; good && i < WAY_MAX && !g_queue_is_empty (&parts); i++)
    {
      g_autofree char *part = g_queue_pop_head (&parts);

      good = ++links->steps < STEPS_MAX && step (links, at, &parts, part, path, risk);
    }
  if (good && g_queue_is_empty (&parts))
    note (links, at->str, path, risk);
  g_queue_clear_full (&parts, g_free);
}

static void
take (Links *links, const char *path)
{
  gboolean git = FALSE;
  SandboxChangeRisk risk;
  char *own;

  /* what packages have of such links runs when it is called, and there are many of them */
  if (strstr (path, "node_modules/") || links->steps >= STEPS_MAX)
    return;
  risk = _sandbox_classes_risk (links->changes->classes, path, &git);
  /* with what is behind it, it stands for a directory whose files run */
  if (_sandbox_classes_is_head (links->changes->classes, path))
    risk = SANDBOX_CHANGE_RUNS;
  if (git || risk == SANDBOX_CHANGE_PLAIN || g_hash_table_contains (links->seen, path))
    return;
  own = g_strdup (path);
  g_hash_table_add (links->seen, own);
  for (guint i = 0; i < 2; i++)
    {
      links->with_machine = i > 0;
      follow (links, own, risk);
    }
}

/* A directory of git's hooks may lie behind links, whatever they are called. */
static void
take_places (Links *links)
{
  const SandboxClasses *classes = links->changes->classes;

  for (guint i = 0; i < 2 * _sandbox_classes_get_n_places (classes); i++)
    {
      links->with_machine = i % 2 > 0;
      follow (links, _sandbox_classes_get_place (classes, i / 2), SANDBOX_CHANGE_RUNS);
    }
}

static gboolean
take_top (const char *path, SandboxNode *node, gboolean *ret_enter, gpointer user_data,
          GError **error)
{
  *ret_enter = FALSE;
  if (node->type == SANDBOX_NODE_SYMLINK)
    take (user_data, path);
  return TRUE;
}

static void
take_recorded (Links *links)
{
  const SandboxBase *base = links->changes->base;
  guint n = base->manifest ? _sandbox_records_get_length (base->manifest) : 0;
  GHashTableIter iter;
  gpointer key, value;
  SandboxNode node;

  for (guint i = 0; i < n; i++)
    {
      const char *path = _sandbox_records_get (base->manifest, i, &node);

      if (path && node.type == SANDBOX_NODE_SYMLINK)
        take (links, path);
    }
  g_hash_table_iter_init (&iter, base->applied);
  while (g_hash_table_iter_next (&iter, &key, &value))
    if (((const SandboxNode *)value)->type == SANDBOX_NODE_SYMLINK)
      take (links, key);
}

static void
mark (Links *links, SandboxChangeRow *row)
{
  g_autofree char *above = g_strdup (row->pub.path);

  for (gboolean more = TRUE; more;)
    {
      const Meaning *meaning = g_hash_table_lookup (links->meaning, above);
      char *slash = strrchr (above, '/');

      if (meaning && meaning->risk > row->pub.risk)
        {
          g_autofree char *shown = sandbox_escape (meaning->link, -1, 200);

          row->pub.risk = meaning->risk;
          if (!row->pub.reason)
            row->pub.reason = g_strdup_printf ("the link %s leads to it", shown);
        }
      more = above[0] != '\0';
      *(slash ? slash : above) = '\0';
    }
}

gboolean
_sandbox_links_mark (SandboxChanges *changes, GCancellable *cancellable, GError **error)
{
  g_autofree char *self = g_strdup_printf ("/proc/self/fd/%d", changes->root_fd);
  g_autofree char *root = g_file_read_link (self, NULL);
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GHashTable) meaning = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  Links links = { .changes = changes, .seen = seen, .meaning = meaning, .root = root };

  for (guint i = 1; i < changes->upper->entries->len; i++)
    {
      const SandboxUpperEntry *entry = g_ptr_array_index (changes->upper->entries, i);

      if (entry->type == SANDBOX_UPPER_SYMLINK && !entry->refusal)
        take (&links, entry->path);
    }
  take_recorded (&links);
  take_places (&links);
  if (!_sandbox_tree_walk (changes->root_fd, "", take_top, &links, cancellable, error))
    return FALSE;
  if (links.steps >= STEPS_MAX)
    return sandbox_fail (error, SANDBOX_ERROR_GUEST,
                         "reading the machine's changes: too many links with names that this host "
                         "runs, or too long ones; remove some");
  for (guint i = 0; i < changes->rows->len && g_hash_table_size (meaning) > 0; i++)
    mark (&links, _sandbox_changes_row (changes, i));
  return TRUE;
}
