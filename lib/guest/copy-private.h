// SPDX-License-Identifier: LGPL-2.1-or-later
// The parts of copying: a stream through ssh, and the receiver that trusts nothing.
#pragma once

#include "guest/guest-private.h"
#include "guest/tar.h"

/* --- copy-stream.c: a command in the guest at whose end of a socket we write, or read */
typedef struct _SandboxStream SandboxStream;
SandboxStream *_sandbox_stream_open (const SandboxSsh *ssh, const char *remote_command,
                                     gboolean reading, GCancellable *cancellable, GError **error);
/* Reading, and the command reads @stdin_fd. */
SandboxStream *_sandbox_stream_open_fed (const SandboxSsh *ssh, const char *remote_command,
                                         int stdin_fd, GCancellable *cancellable, GError **error);
/* From now on all that waits for the guest ends after that time, TIMED_OUT: one that sends a byte
 * now and then is silent for no ten minutes. */
void _sandbox_stream_limit (SandboxStream *stream, gint64 usec);
gboolean
_sandbox_stream_write (SandboxStream *stream, const void *data, gsize length, GError **error);
/* A SandboxTarReadFunc. */
gboolean _sandbox_stream_read (void *data, gsize length, gpointer stream, GError **error);
/* What is there, at least one byte; 0: the other side closed, -1: @error. */
gssize _sandbox_stream_read_some (SandboxStream *stream, void *data, gsize length, GError **error);
/* Reads and forgets what still comes, within reason, until the other side closes. */
gboolean _sandbox_stream_drain (SandboxStream *stream, GError **error);
/* The other side closed before all was read, and has not been waited for. */
gboolean _sandbox_stream_ended (const SandboxStream *stream);
/* No more data; waits for the command to end. @ret_text: the end of what it wrote to stderr. */
gboolean
_sandbox_stream_finish (SandboxStream *stream, int *ret_status, char **ret_text, GError **error);
/* Ends it if it still runs. */
void _sandbox_stream_free (SandboxStream *stream);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxStream, _sandbox_stream_free)

/* --- receive.c: an archive from an enemy becomes @name below @parent_fd, or nothing does.
 * Entries: files and directories, names of plain characters, no "..", nothing outside, nothing
 * twice; of symbolic links those that lead to something in the same tree. Modes lose setuid, setgid
 * and sticky, and what the umask takes. Without @overwrite EXISTS when the name is taken; with it
 * directories are merged, files replaced (never written through, so a link of the host's is not
 * followed). */
#define SANDBOX_RECEIVE_ENTRIES_MAX (4 * 1000 * 1000)
#define SANDBOX_RECEIVE_DEPTH_MAX   100
/* The host's disk keeps this much free. */
#define SANDBOX_RECEIVE_KEEP_FREE_BYTES (G_GUINT64_CONSTANT (512) * 1024 * 1024)
/* @done (nullable): asked after the end of the archive, before anything gets its name. */
typedef gboolean (*SandboxReceiveDoneFunc) (gpointer user_data, GError **error);
/* @ret_note: which links were left out, for people; NULL when none was. */
gboolean _sandbox_receive (SandboxTarReadFunc func, SandboxReceiveDoneFunc done, gpointer user_data,
                           int parent_fd, const char *name, gboolean overwrite, char **ret_note,
                           GError **error);
gboolean _sandbox_receive_is_plain (const char *text);
/* Adds all names but "." and "..". */
gboolean _sandbox_list_names (int dir_fd, GPtrArray *names, GError **error);
/* What @overwrite does; the tree @from below @from_fd is empty or gone afterwards. */
gboolean _sandbox_merge (int from_fd, const char *from, int to_fd, const char *to, guint depth,
                         GError **error);

/* --- receive-links.c: the links of one archive */
typedef struct _SandboxReceiveLinks SandboxReceiveLinks;
SandboxReceiveLinks *_sandbox_receive_links_new (void);
void _sandbox_receive_links_free (SandboxReceiveLinks *links);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxReceiveLinks, _sandbox_receive_links_free)
/* @path: below the top, without parts that say nothing. */
void _sandbox_receive_links_add (SandboxReceiveLinks *links, const char *path, const char *target);
/* The directory that is to hold @path, reached through no link; -1 with @error. */
typedef int (*SandboxReceiveParentFunc) (const char *path, gpointer user_data, GError **error);
/* When all else is there: those that lead to something below @top_fd. */
gboolean
_sandbox_receive_links_make (SandboxReceiveLinks *links, int top_fd,
                             SandboxReceiveParentFunc parent, gpointer user_data, GError **error);
/* (nullable) (transfer full) */
char *_sandbox_receive_links_note (const SandboxReceiveLinks *links);
