// SPDX-License-Identifier: LGPL-2.1-or-later
// Which TCP ports are listened on, and by whom: from the kernel's tables in /proc.
#pragma once

#include <glib.h>

/* One row of a table. Of IPv6 only what takes IPv4 connections too. */
typedef struct
{
  guint32 address; /* host byte order; 0: every address */
  guint16 port;
  guint uid;
  guint64 inode;
} SandboxListener;

/* Of SandboxListener, from the text of /proc/net/tcp, /proc/net/tcp6 or both; what is no such row
 * is left out, so that text of a guest may be given. (transfer full) */
GArray *sandbox_listeners_parse (const char *text);
/* Those of this host. (transfer full) */
GArray *sandbox_listeners_read (void);

/* A process of this host that has a socket. */
typedef struct
{
  gint pid;
  char *name;    /* as the kernel knows it; unescaped */
  char *command; /* its arguments with "\n" between them, at most 16 KiB; unescaped */
} SandboxHolder;
/* Who holds the sockets with the @inodes (of guint64): as far as this user may see. (transfer full)
 * (element-type guint64 SandboxHolder) */
GHashTable *sandbox_holders_find (const GArray *inodes);
/* Whether one of its arguments is @argument. */
gboolean sandbox_holder_has_argument (const SandboxHolder *holder, const char *argument);

/* Whether 127.0.0.1:@port can be listened on now. */
gboolean sandbox_port_is_free (guint16 port);
