// SPDX-License-Identifier: LGPL-2.1-or-later
// A directory of the host with all below it, watched for whatever makes a machine's view of it old:
// names that come, go or mean something else, and changed modes. What is only written to a file the
// machine sees by itself.
//
// Another machine may write to the same directory: nothing is followed out of it, and there is a
// limit to what is watched.
#include "keeper.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define EVENTS                                                                                     \
  (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF \
   | IN_ONLYDIR | IN_EXCL_UNLINK)
/* Of what a user may watch at most this part goes to one tree. */
#define WATCHES_PART 4
/* Directories that one step looks into: the keeper has other things to do, too. */
#define STEP_MAX 256
#define READ_MAX (64 * 1024)

#define WD_PENDING -1
#define WD_TAKEN   -2

typedef struct _Node Node;
struct _Node
{
  Node *parent; /* NULL: the top */
  char *name;
  int wd;               /* or one of those above */
  GHashTable *children; /* name -> Node; NULL: none */
};

struct _KeeperTree
{
  int root_fd, inotify_fd;
  GHashTable *by_wd; /* -> Node */
  GQueue pending;    /* of Node, to be looked into */
  Node *top;
  guint max;
  gboolean partial, gone, changed;
};

static void
free_node (KeeperTree *tree, Node *node)
{
  GHashTableIter iter;
  gpointer child;

  if (node->children)
    {
      g_hash_table_iter_init (&iter, node->children);
      while (g_hash_table_iter_next (&iter, NULL, &child))
        free_node (tree, child);
      g_hash_table_unref (node->children);
    }
  if (node->wd >= 0 && g_hash_table_lookup (tree->by_wd, GINT_TO_POINTER (node->wd)) == node)
    {
      g_hash_table_remove (tree->by_wd, GINT_TO_POINTER (node->wd));
      inotify_rm_watch (tree->inotify_fd, node->wd);
    }
  else if (node->wd == WD_PENDING)
    g_queue_remove (&tree->pending, node);
  g_free (node->name);
  g_free (node);
}

static void
remove_child (KeeperTree *tree, Node *parent, const char *name)
{
  Node *child = parent->children ? g_hash_table_lookup (parent->children, name) : NULL;

  if (!child)
    return;
  g_hash_table_remove (parent->children, name);
  free_node (tree, child);
}

static void
add_child (KeeperTree *tree, Node *parent, const char *name)
{
  Node *child;

  if (tree->partial)
    return;
  remove_child (tree, parent, name);
  child = g_new0 (Node, 1);
  child->parent = parent;
  child->name = g_strdup (name);
  child->wd = WD_PENDING;
  if (!parent->children)
    parent->children = g_hash_table_new (g_str_hash, g_str_equal);
  g_hash_table_insert (parent->children, child->name, child);
  g_queue_push_tail (&tree->pending, child);
}

/* What cannot be watched whole is not watched at all: then the caller does without. */
static void
give_up (KeeperTree *tree)
{
  Node *top = tree->top;

  tree->partial = TRUE;
  tree->top = NULL;
  if (top)
    free_node (tree, top);
  g_queue_clear (&tree->pending);
}

/* From the tree's top; NULL when it is longer than the kernel takes. */
static char *
path_of (const Node *node)
{
  g_autofree char *path = g_strdup (".");

  for (; node->parent; node = node->parent)
    {
      char *longer = g_strconcat (node->name, "/", path, NULL);

      g_free (path);
      path = longer;
      if (strlen (path) >= PATH_MAX)
        return NULL;
    }
  return g_steal_pointer (&path);
}

static int
open_node (KeeperTree *tree, const Node *node)
{
  struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOATIME,
                          .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
  g_autofree char *path = path_of (node);
  int fd;

  if (!path)
    {
      errno = ENAMETOOLONG;
      return -1;
    }
  fd = (int)syscall (SYS_openat2, tree->root_fd, path, &how, sizeof how);
  if (fd < 0 && errno == EPERM)
    {
      how.flags &= ~(guint64)O_NOATIME;
      fd = (int)syscall (SYS_openat2, tree->root_fd, path, &how, sizeof how);
    }
  return fd;
}

static gboolean
is_directory (int fd, const struct dirent *entry)
{
  struct stat st;

  if (entry->d_type != DT_UNKNOWN)
    return entry->d_type == DT_DIR;
  return fstatat (fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR (st.st_mode);
}

/* The watch stands before the directory is read: what is made meanwhile is seen twice. */
static gboolean
look_into (KeeperTree *tree, Node *node)
{
  sandbox_autofd int fd = open_node (tree, node);
  g_autofree char *link = g_strdup_printf ("/proc/self/fd/%d", fd);
  struct dirent *entry;
  Node *other;
  DIR *dir;
  int wd;

  /* gone again, or no directory any more: its parent tells */
  if (fd < 0)
    return errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == ESTALE;
  if (g_hash_table_size (tree->by_wd) >= tree->max)
    return FALSE;
  wd = inotify_add_watch (tree->inotify_fd, link, EVENTS);
  if (wd < 0)
    return FALSE;
  /* it was somewhere else: the word of its going is still to come */
  other = g_hash_table_lookup (tree->by_wd, GINT_TO_POINTER (wd));
  if (other)
    other->wd = WD_TAKEN;
  node->wd = wd;
  g_hash_table_insert (tree->by_wd, GINT_TO_POINTER (wd), node);
  dir = fdopendir (fd);
  if (!dir)
    return FALSE;
  fd = -1;
  while (!tree->partial && (entry = readdir (dir)))
    if (strcmp (entry->d_name, ".") != 0 && strcmp (entry->d_name, "..") != 0
        && is_directory (dirfd (dir), entry)
        && !(node->children && g_hash_table_contains (node->children, entry->d_name)))
      add_child (tree, node, entry->d_name);
  closedir (dir);
  return TRUE;
}

static void
handle_event (KeeperTree *tree, const struct inotify_event *event)
{
  Node *node = g_hash_table_lookup (tree->by_wd, GINT_TO_POINTER (event->wd));

  tree->changed = tree->changed || !(event->mask & IN_IGNORED);
  if (event->mask & IN_Q_OVERFLOW)
    {
      /* events were lost, and with them which directories are new */
      give_up (tree);
      tree->partial = FALSE;
      keeper_tree_begin (tree);
      return;
    }
  if (!node)
    return;
  if (node == tree->top && event->mask & (IN_DELETE_SELF | IN_MOVE_SELF))
    tree->gone = TRUE;
  if (event->mask & IN_IGNORED)
    g_hash_table_remove (tree->by_wd, GINT_TO_POINTER (event->wd));
  if (event->mask & IN_ISDIR && event->len > 0 && event->mask & (IN_DELETE | IN_MOVED_FROM))
    remove_child (tree, node, event->name);
  if (event->mask & IN_ISDIR && event->len > 0 && event->mask & (IN_CREATE | IN_MOVED_TO))
    add_child (tree, node, event->name);
}

static void
read_events (KeeperTree *tree)
{
  g_autofree char *block = g_malloc (READ_MAX);
  gssize n = tree->inotify_fd >= 0 ? read (tree->inotify_fd, block, READ_MAX) : -1;

  for (gssize at = 0; at < n;)
    {
      const struct inotify_event *event = (gconstpointer)(block + at);

      handle_event (tree, event);
      at += (gssize)(sizeof *event + event->len);
    }
}

void
keeper_tree_begin (KeeperTree *tree)
{
  tree->top = g_new0 (Node, 1);
  tree->top->wd = WD_PENDING;
  g_queue_push_tail (&tree->pending, tree->top);
}

gboolean
keeper_tree_step (KeeperTree *tree, gboolean *ret_changed)
{
  if (!tree->partial)
    read_events (tree);
  for (guint i = 0; i < STEP_MAX && !g_queue_is_empty (&tree->pending); i++)
    if (!look_into (tree, g_queue_pop_head (&tree->pending)))
      give_up (tree);
  *ret_changed = tree->changed;
  tree->changed = FALSE;
  return !g_queue_is_empty (&tree->pending);
}

/* Changes that another host makes in a network file system come without any word here. */
static gboolean
tells_of_changes (int fd)
{
  static const guint32 kinds[] = { 0x6969 /* nfs */,      0xff534d42 /* cifs */,
                                   0xfe534d42 /* smb2 */, 0x01021997 /* 9p */,
                                   0x65735546 /* fuse */, 0x00c36400 /* ceph */ };
  struct statfs st;

  if (fstatfs (fd, &st) < 0)
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    if ((guint32)st.f_type == kinds[i])
      return FALSE;
  return TRUE;
}

/* How many directories one tree may watch. */
static guint
find_max (void)
{
  g_autofree char *text = NULL;
  guint64 all = 0;

  if (g_file_get_contents ("/proc/sys/fs/inotify/max_user_watches", &text, NULL, NULL))
    all = g_ascii_strtoull (text, NULL, 10);
  return (guint)MIN (all / WATCHES_PART, KEEPER_TREE_MAX);
}

KeeperTree *
keeper_tree_new (const char *path, guint max)
{
  KeeperTree *tree = g_new0 (KeeperTree, 1);

  tree->by_wd = g_hash_table_new (NULL, NULL);
  g_queue_init (&tree->pending);
  tree->max = MIN (max, find_max ());
  tree->root_fd = open (path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  tree->inotify_fd = inotify_init1 (IN_NONBLOCK | IN_CLOEXEC);
  tree->gone = tree->root_fd < 0;
  keeper_tree_begin (tree);
  if (tree->root_fd < 0 || tree->inotify_fd < 0 || !tells_of_changes (tree->root_fd))
    give_up (tree);
  return tree;
}

int
keeper_tree_fd (const KeeperTree *tree)
{
  return tree->partial ? -1 : tree->inotify_fd;
}

gboolean
keeper_tree_is_whole (const KeeperTree *tree)
{
  return !tree->partial;
}

gboolean
keeper_tree_is_gone (const KeeperTree *tree)
{
  return tree->gone;
}

guint
keeper_tree_size (const KeeperTree *tree)
{
  return g_hash_table_size (tree->by_wd);
}

void
keeper_tree_free (KeeperTree *tree)
{
  give_up (tree);
  g_hash_table_unref (tree->by_wd);
  sandbox_close_fd (&tree->root_fd);
  sandbox_close_fd (&tree->inotify_fd);
  g_free (tree);
}
