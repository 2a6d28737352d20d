// SPDX-License-Identifier: LGPL-2.1-or-later
// The ssh client's arguments: one place that says what may pass between host and guest, and one
// that quotes commands.
#include "guest/guest-private.h"

#include "base/error.h"
#include "base/file.h"

#include <string.h>
#include <sys/un.h>
#include <unistd.h>

SandboxSsh *
_sandbox_ssh_new (const char *state_path, const char *uuid, const char *address, const char *user)
{
  SandboxSsh *ssh = g_new0 (SandboxSsh, 1);

  ssh->state_path = g_strdup (state_path);
  ssh->uuid = g_strdup (uuid);
  ssh->address = g_strdup (address);
  ssh->user = g_strdup (user);
  ssh->port = 22;
  return ssh;
}

void
_sandbox_ssh_free (SandboxSsh *ssh)
{
  if (!ssh)
    return;
  g_free (ssh->state_path);
  g_free (ssh->uuid);
  g_free (ssh->address);
  g_free (ssh->user);
  g_free (ssh);
}

char *
_sandbox_fd_path (int fd, GError **error)
{
  g_autofree char *link = g_strdup_printf ("/proc/self/fd/%d", fd);
  g_autoptr (GError) local = NULL;
  char *path = g_file_read_link (link, &local);

  if (!path)
    sandbox_fail (error, SANDBOX_ERROR_FAILED, "finding the state directory: %s", local->message);
  return path;
}

char *
_sandbox_ssh_socket_path (const SandboxSsh *ssh)
{
  return g_build_filename (ssh->state_path, "ssh.sock", NULL);
}

/* ssh makes the socket under a longer name first: a dot and sixteen characters. */
gboolean
_sandbox_ssh_socket_fits (const SandboxSsh *ssh, GError **error)
{
  g_autofree char *path = _sandbox_ssh_socket_path (ssh);
  gsize max = sizeof (((struct sockaddr_un *)NULL)->sun_path) - 18;

  if (strlen (path) <= max)
    return TRUE;
  return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                       "the path of the machine's ssh socket is %" G_GSIZE_FORMAT
                       " bytes long and may have %" G_GSIZE_FORMAT
                       ": %s; use a shorter state directory (XDG_DATA_HOME) or machine name",
                       strlen (path), max, path);
}

char *
_sandbox_ssh_quote_path (const char *path)
{
  GString *text = g_string_new ("\"");

  for (; *path; path++)
    {
      if (*path == '"' || *path == '\\')
        g_string_append_c (text, '\\');
      else if (*path == '%')
        g_string_append_c (text, '%');
      g_string_append_c (text, *path);
    }
  return g_string_free (g_string_append_c (text, '"'), FALSE);
}

static void add_option (GPtrArray *argv, const char *format, ...) G_GNUC_PRINTF (2, 3);

static void
add_option (GPtrArray *argv, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_ptr_array_add (argv, g_strdup ("-o"));
  g_ptr_array_add (argv, g_strdup_vprintf (format, args));
  va_end (args);
}

static void
add_path_option (GPtrArray *argv, const char *name, const char *directory, const char *file)
{
  g_autofree char *path = g_build_filename (directory, file, NULL);
  g_autofree char *quoted = _sandbox_ssh_quote_path (path);

  add_option (argv, "%s=%s", name, quoted);
}

/* The same everywhere. No trust on first use, one key offered, nothing of the host's passed on: a
 * guest is hostile.
 * ("-F none" reads neither the user's nor the system's configuration; the rest is said anyway where
 * a build of ssh could have other defaults.) */
static const char *const FIXED_OPTIONS[] = {
  "StrictHostKeyChecking=yes",
  "GlobalKnownHostsFile=/dev/null",
  "KnownHostsCommand=none",
  "CheckHostIP=no",
  "UpdateHostKeys=no",
  "VerifyHostKeyDNS=no",
  "HashKnownHosts=no",
  "HostKeyAlgorithms=ssh-ed25519",
  "IdentitiesOnly=yes",
  "IdentityAgent=none",
  "CertificateFile=none",
  "AddKeysToAgent=no",
  "PKCS11Provider=none",
  "SecurityKeyProvider=none",
  "PreferredAuthentications=publickey",
  "PubkeyAuthentication=yes",
  "PasswordAuthentication=no",
  "KbdInteractiveAuthentication=no",
  "HostbasedAuthentication=no",
  "GSSAPIAuthentication=no",
  "BatchMode=yes",
  "ForwardAgent=no",
  "ForwardX11=no",
  "Tunnel=no",
  "PermitLocalCommand=no",
  "CanonicalizeHostname=no",
  "ProxyJump=none",
  "Compression=no",
  "ControlMaster=no",
  "ControlPersist=no",
  "ConnectTimeout=30",
  "ServerAliveInterval=20",
  "ServerAliveCountMax=6",
  /* Cheap for guests whose processor is emulated: there this cipher moves twice as much as AES in
   * any mode, and the post-quantum key exchange, which between a host and its own guest protects
   * nothing, takes a second more. */
  "KexAlgorithms=curve25519-sha256,curve25519-sha256@libssh.org",
  "Ciphers=chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes128-ctr",
};

static GPtrArray *
base_argv (const SandboxSsh *ssh)
{
  GPtrArray *argv = g_ptr_array_new_with_free_func (g_free);

  g_ptr_array_add (argv, g_strdup ("ssh"));
  g_ptr_array_add (argv, g_strdup ("-F"));
  g_ptr_array_add (argv, g_strdup ("none"));
  for (gsize i = 0; i < G_N_ELEMENTS (FIXED_OPTIONS); i++)
    add_option (argv, "%s", FIXED_OPTIONS[i]);
  add_path_option (argv, "UserKnownHostsFile", ssh->state_path, "known_hosts");
  add_path_option (argv, "IdentityFile", ssh->state_path, "user_key");
  add_option (argv, "HostKeyAlias=vms-%s", ssh->uuid);
  add_option (argv, "Port=%u", ssh->port);
  return argv;
}

/* After the destination ssh goes on to look for options: the "--" keeps it from finding any in the
 * command. */
static void
add_destination (GPtrArray *argv, const SandboxSsh *ssh)
{
  g_ptr_array_add (argv, g_strdup_printf ("%s@%s", ssh->user, ssh->address));
  g_ptr_array_add (argv, g_strdup ("--"));
}

GPtrArray *
_sandbox_ssh_argv (const SandboxSsh *ssh, gboolean pty, gboolean use_master)
{
  GPtrArray *argv = base_argv (ssh);

  if (use_master && _sandbox_ssh_socket_fits (ssh, NULL))
    add_path_option (argv, "ControlPath", ssh->state_path, "ssh.sock");
  else
    add_option (argv, "ControlPath=none");
  add_option (argv, "ClearAllForwardings=yes");
  add_option (argv, "LogLevel=ERROR");
  add_option (argv, "EscapeChar=%s", pty ? "~" : "none");
  g_ptr_array_add (argv, g_strdup (pty ? "-tt" : "-T"));
  add_destination (argv, ssh);
  return argv;
}

static void
add_proxy (GPtrArray *argv, const char *proxy_command)
{
  if (!proxy_command)
    return;
  /* the first mention of an option wins */
  g_ptr_array_insert (argv, 3, g_strdup ("-oProxyUseFdpass=yes"));
  g_ptr_array_insert (argv, 3, g_strdup_printf ("-oProxyCommand=%s", proxy_command));
  /* counts from when the connection is handed over: a guest that then says nothing is not waited
   * for for ever */
  g_ptr_array_insert (argv, 3, g_strdup ("-oConnectTimeout=60"));
}

GPtrArray *
_sandbox_ssh_master_argv (const SandboxSsh *ssh, const char *proxy_command)
{
  GPtrArray *argv = base_argv (ssh);

  g_ptr_array_insert (argv, 3, g_strdup ("-oControlMaster=yes"));
  /* what a command that goes through it is given; of its own environment it has none */
  g_ptr_array_insert (argv, 3, g_strdup ("-oSendEnv=" SANDBOX_SSH_ENV));
  add_proxy (argv, proxy_command);
  add_path_option (argv, "ControlPath", ssh->state_path, "ssh.sock");
  add_option (argv, "LogLevel=ERROR");
  g_ptr_array_add (argv, g_strdup ("-nNT"));
  add_destination (argv, ssh);
  return argv;
}

/* No session, no master, no configuration: the ports in these arguments are all that ssh listens on
 * or lets the guest ask for. "localhost" is looked up in the guest: development servers listen on
 * either of its loopback addresses. */
GPtrArray *
_sandbox_ssh_forward_argv (const SandboxSsh *ssh, const char *proxy_command, SandboxListens kind,
                           const GArray *ports)
{
  GPtrArray *argv = base_argv (ssh);

  add_proxy (argv, proxy_command);
  add_option (argv, "ControlPath=none");
  add_option (argv, "ExitOnForwardFailure=yes");
  add_option (argv, "GatewayPorts=no");
  /* only what ends it: a guest can make it complain as often as it likes */
  add_option (argv, "LogLevel=FATAL");
  for (guint i = 0; i < ports->len; i++)
    {
      const SandboxForwardPort *port = &g_array_index (ports, SandboxForwardPort, i);

      g_ptr_array_add (
          argv, kind == SANDBOX_LISTENS_ON_HOST
                    ? g_strdup_printf ("-L127.0.0.1:%u:localhost:%u", port->listens, port->connects)
                    : g_strdup_printf ("-R*:%u:127.0.0.1:%u", port->listens, port->connects));
    }
  g_ptr_array_add (argv, g_strdup ("-nNT"));
  add_destination (argv, ssh);
  return argv;
}

gboolean
_sandbox_ssh_write_known_hosts (int state_fd, const char *uuid, GError **error)
{
  g_autofree char *public = _sandbox_key_public (state_fd, "host_key", error);
  g_autofree char *line = NULL;

  if (!public)
    return FALSE;
  line = g_strdup_printf ("vms-%s %s\n", uuid, public);
  return sandbox_file_write_at (state_fd, "known_hosts", line, strlen (line), 0600, error);
}

void
_sandbox_shell_quote (GString *text, const char *word)
{
  g_string_append_c (text, '\'');
  for (; *word; word++)
    {
      if (*word == '\'')
        g_string_append (text, "'\\''");
      else
        g_string_append_c (text, *word);
    }
  g_string_append_c (text, '\'');
}

static void
add_word (GString *text, const char *word)
{
  g_string_append_c (text, ' ');
  _sandbox_shell_quote (text, word);
}

char *
_sandbox_ssh_env (const char *const *env)
{
  GString *text = g_string_new (SANDBOX_SSH_ENV "=export");

  for (; *env; env++)
    add_word (text, *env);
  return g_string_free (text, FALSE);
}

/* Values stand in no command line, which every user of a computer can read: they come in a variable
 * of ours, by ssh's own means, and a shell between takes them out of it. A server that does not
 * know of it leaves it away, and then there is no command. The shell is a plain one: the user's may
 * have variables that nobody can set. */
static const char TAKE_ENV[] =
    " sh -c '[ -n \"${" SANDBOX_SSH_ENV "-}\" ] || { echo \"The variables did not arrive, and the "
    "command was not run: this machine was started by an older version of vms, which has it refuse "
    "them; restart it.\" >&2; exit 125; }; eval \"$" SANDBOX_SSH_ENV "\"; unset " SANDBOX_SSH_ENV
    "; exec \"$@\"' sh";

/* The user's shell in the guest reads this: words in single quotes mean the same to every shell of
 * the Bourne family. "env" starts what @argv names, never a builtin or a function of that shell. It
 * is not the last command, so that the shell stays and turns a signal into 128+n; what the shell
 * would say of that signal goes nowhere, stderr is the command's alone. */
char *
_sandbox_ssh_command (const char *const *argv, const char *cwd, gboolean with_env)
{
  GString *text = g_string_new (NULL);

  if (cwd)
    {
      /* "./": "-" means something else to cd, and CDPATH takes no part */
      g_string_append (text, cwd[0] == '/' ? "cd -- " : "cd -- ./");
      _sandbox_shell_quote (text, cwd);
      g_string_append (text, " || exit 125; ");
    }
  g_string_append (text, "exec 3>&2 2>/dev/null; env --");
  if (with_env)
    g_string_append (text, TAKE_ENV);
  if (!argv || !argv[0])
    g_string_append (text, " \"${SHELL:-/bin/sh}\" -l");
  else if (strchr (argv[0], '=') && !with_env)
    /* env would take such a name for one more variable */
    g_string_append (text, " sh -c 'exec \"$0\" \"$@\"'");
  for (; argv && *argv; argv++)
    add_word (text, *argv);
  g_string_append (text, " 2>&3 3>&-; exit $?");
  return g_string_free (text, FALSE);
}
