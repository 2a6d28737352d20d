// SPDX-License-Identifier: LGPL-2.1-or-later
// The files and directories that the kernel knows of, each held by a descriptor: what it means is
// not looked up by its path again.
#include "filter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* What is mounted in the shared directory may have the numbers of something else in it. */
#define FOREIGN_INO (G_GUINT64_CONSTANT (1) << 62)

static Node root;
static GHashTable *nodes; /* of Node by itself */
static ino_t next_foreign = FOREIGN_INO;

static guint
hash_node (gconstpointer key)
{
  const Node *node = key;
  guint64 number = node->ino;

  return g_int64_hash (&number) ^ (guint)node->dev;
}

static gboolean
equal_nodes (gconstpointer a, gconstpointer b)
{
  const Node *one = a, *other = b;

  return one->ino == other->ino && one->dev == other->dev;
}

void
nodes_init (int root_fd)
{
  struct stat info;

  if (fstat (root_fd, &info) < 0)
    g_error ("looking at the shared directory: %s", g_strerror (errno));
  root = (Node){ info.st_dev, info.st_ino, info.st_ino, { root_fd, -1, -1, -1 }, 1, S_IFDIR };
  nodes = g_hash_table_new (hash_node, equal_nodes);
  g_hash_table_add (nodes, &root);
}

Node *
node_of (fuse_ino_t ino)
{
  return ino == FUSE_ROOT_ID ? &root : (Node *)(uintptr_t)ino;
}

const char *
fd_path (int fd, char buffer[32])
{
  snprintf (buffer, 32, "/proc/self/fd/%d", fd);
  return buffer;
}

int
node_stat (const Node *node, struct stat *ret_info)
{
  if (fstatat (node->fds[0], "", ret_info, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
    return errno;
  ret_info->st_ino = node->shown;
  return 0;
}

/* @fd, of something that is known already, maybe by another name: that is kept, if there is room.
 */
static void
take_name (Node *node, int fd)
{
  g_autofree char *path = rules_path (fd);
  gsize room = NODE_NAMES;

  for (gsize i = 0; i < NODE_NAMES && path != NULL; i++)
    {
      g_autofree char *known = node->fds[i] >= 0 ? rules_path (node->fds[i]) : NULL;

      if (known == NULL)
        room = MIN (room, i);
      else if (g_str_equal (known, path))
        g_clear_pointer (&path, g_free);
    }
  if (path != NULL && room < NODE_NAMES)
    {
      int old = node->fds[room];

      node->fds[room] = fd;
      fd = old;
    }
  if (fd >= 0)
    close (fd);
}

/* @fd is the node's from here on. */
static Node *
take_node (int fd, const struct stat *info)
{
  Node key = { .dev = info->st_dev, .ino = info->st_ino };
  Node *node = g_hash_table_lookup (nodes, &key);

  if (node != NULL)
    {
      take_name (node, fd);
      return node;
    }
  node = g_new0 (Node, 1);
  *node = (Node){ info->st_dev,          info->st_ino, info->st_ino, { fd, -1, -1, -1 }, 0,
                  info->st_mode & S_IFMT };
  if (node->dev != root.dev)
    node->shown = next_foreign++;
  g_hash_table_add (nodes, node);
  return node;
}

int
node_look_up (Node *parent, const char *name, struct fuse_entry_param *ret_entry)
{
  int fd = openat (parent->fds[0], name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  struct stat info;
  Node *node;

  if (fd < 0)
    return errno;
  if (fstatat (fd, "", &info, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
    {
      int code = errno;

      close (fd);
      return code;
    }
  node = take_node (fd, &info);
  node->looked++;
  info.st_ino = node->shown;
  *ret_entry = (struct fuse_entry_param){
    .ino = node == &root ? FUSE_ROOT_ID : (uintptr_t)node,
    .attr = info,
    .attr_timeout = ATTR_SEC,
    .entry_timeout = ATTR_SEC,
  };
  return 0;
}

void
node_forget (Node *node, uint64_t n)
{
  if (node == &root)
    return;
  node->looked -= MIN (n, node->looked);
  if (node->looked > 0)
    return;
  g_hash_table_remove (nodes, node);
  for (gsize i = 0; i < NODE_NAMES; i++)
    if (node->fds[i] >= 0)
      close (node->fds[i]);
  g_free (node);
}
