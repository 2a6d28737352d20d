// SPDX-License-Identifier: LGPL-2.1-or-later
// What the files of this layer share with one another and with their tests.
#pragma once

#include "guest/guest.h"

#define SANDBOX_KEY_MAX 4096

/* Files of the state directory that the keeper writes: its lock, what ssh complained of, what
 * itself did. */
#define SANDBOX_KEEPER_LOCK      "keeper.lock"
#define SANDBOX_SSH_SOCKET       "ssh.sock"
#define SANDBOX_SSH_COMPLAINT    "ssh.error"
#define SANDBOX_KEEPER_MESSAGES  "keeper.messages"
#define SANDBOX_KEEPER_ARGUMENTS "keeper.args"
/* As _sandbox_keeper_ensure() was called last for this directory. */
gboolean _sandbox_keeper_ensure_again (const char *state_path, SandboxSsh **ret_ssh,
                                       GCancellable *cancellable, GError **error);
/* The program's path. */
char *_sandbox_keeper_path (void);

/* The same, with lines of shell in front, which run as root first and have ended with "|| exit"
 * when they fail. (live-shares.c) */
char *_sandbox_mount_command_after (const SandboxSsh *ssh, const char *first_script,
                                    const GPtrArray *shares, guint uid, guint gid, GError **error);

/* @length (512 at most) random bytes of this host's kernel, in hexadecimal. NULL with @error.
 * (warm.c) */
char *_sandbox_random_hex (gsize length, GError **error);

/* The absolute path of an open directory, for programs that want names. NULL with @error when it
 * has none any more. */
char *_sandbox_fd_path (int fd, GError **error);

/* "option=value" for ssh -o, or the value alone for a configuration file: quoted, with percent
 * signs doubled. */
char *_sandbox_ssh_quote_path (const char *path);
/* One word for a POSIX shell. */
void _sandbox_shell_quote (GString *text, const char *word);

char *_sandbox_ssh_socket_path (const SandboxSsh *ssh);

/* What runs in the keeper: authenticates once, everything else goes through it. @proxy_command
 * (nullable): hands over the connection. */
GPtrArray *_sandbox_ssh_master_argv (const SandboxSsh *ssh, const char *proxy_command);
/* What ssh said on stderr, as an error: GUEST, always FALSE. */
gboolean
_sandbox_ssh_fail (GError **error, const SandboxSsh *ssh, const char *doing, const char *text);
gboolean _sandbox_ssh_is_host_key_error (const char *text);
char *_sandbox_ssh_reason (const char *text);

/* --- forwards.c: the list of what is forwarded now, written by the library, followed by the keeper
 */
#define SANDBOX_FORWARDS       "forwards"
#define SANDBOX_FORWARDS_STATE "forwards.state"
gboolean _sandbox_forwards_write_state (int state_fd, const char *digest, const GArray *refused);

/* One port of the side that listens, and where its connections go on the other side. */
typedef struct
{
  guint16 listens, connects;
} SandboxForwardPort;
/* An ssh that does nothing but forward @ports (of SandboxForwardPort). @proxy_command as below. */
GPtrArray *_sandbox_ssh_forward_argv (const SandboxSsh *ssh, const char *proxy_command,
                                      SandboxListens kind, const GArray *ports);

/* --- connections that are only looked at (ssh-socket.c) */
/* Waits @timeout_usec for a TCP connection; the socket, or -1 with *@ret_errno. */
int _sandbox_tcp_connect (const char *address, guint port, gint64 timeout_usec, int *ret_errno);

/* --- shares of mode=review in the guest, as the contract with it says: the host's directory is
 * mounted at LOWER + TAG; LAYERS + TAG has "upper", what the machine changed, and "work" */
#define SANDBOX_GUEST_LOWER  "/run/vms/lower/"
#define SANDBOX_GUEST_LAYERS "/var/lib/vms/shares/"
/* And what it has of others on its disk: TAG/PATH for each of shadow=. */
#define SANDBOX_GUEST_SHADOWS "/var/lib/vms/shadows/"

/* --- live-shares.c: the whole command for ssh that mounts @shares (of SandboxPlanShare) in a
 * machine whose user is @user, those that are not mounted yet. What fails it says on stderr, and by
 * its exit status. NULL with @error. */
char *_sandbox_mount_command (const SandboxSsh *ssh, const GPtrArray *shares, guint uid, guint gid,
                              GError **error);
/* --- shares.c: those of the plan that are not in this mount table, for a message; NULL when all
 * are. */
char *_sandbox_mounts_missing (const char *table, const SandboxPlan *plan);
