// SPDX-License-Identifier: LGPL-2.1-or-later
// The block of an ssh configuration file that makes `ssh NAME` work, and work safely under a user's
// own `Host *`.
//
// Of most options ssh takes the first value it meets, so a block at the top of the configuration
// decides them. But IdentityFile, CertificateFile, SendEnv and the forwards of a later `Host *` are
// added all the same, and the system's own file adds SendEnv too. Hence:
// - the connection is always the keeper's: it authenticated with "-F none", and sends no variable
// whatever its clients ask
//   for. The client itself may not authenticate at all: without the keeper it is let in nowhere and
//   offers nothing.
// - before anything else the keeper's program is asked (--ready): it starts a missing keeper, and
// says no when the user's
//   configuration adds forwards for this name. Then all forwards are dropped, those of the command
//   line included.
#include "guest/guest-private.h"

#include <string.h>

static const char *const BLOCK_OPTIONS[] = {
  "StrictHostKeyChecking yes",
  "GlobalKnownHostsFile /dev/null",
  "KnownHostsCommand none",
  "NoHostAuthenticationForLocalhost no",
  "CheckHostIP no",
  "UpdateHostKeys no",
  "VerifyHostKeyDNS no",
  "HostKeyAlgorithms ssh-ed25519",
  "CanonicalizeHostname no",
  "AddressFamily inet",
  "ControlMaster no",
  "ControlPersist no",
  "PubkeyAuthentication no",
  "PasswordAuthentication no",
  "KbdInteractiveAuthentication no",
  "HostbasedAuthentication no",
  "GSSAPIAuthentication no",
  "IdentityFile none",
  "IdentitiesOnly yes",
  "IdentityAgent none",
  "CertificateFile none",
  "PKCS11Provider none",
  "SecurityKeyProvider none",
  "AddKeysToAgent no",
  "ForwardAgent no",
  "ForwardX11 no",
  "ForwardX11Trusted no",
  "Tunnel no",
  "GatewayPorts no",
  "PermitLocalCommand no",
  "RemoteCommand none",
  "RequestTTY auto",
  "Compression no",
  "SendEnv -*",
  "SetEnv VMS=1",
};

/* For the exec criterion, which knows no way to write a double quote, and expands percent signs.
 * NULL: cannot be said. */
static char *
ready_command (const SandboxSsh *ssh, const char *alias)
{
  g_autofree char *program = _sandbox_keeper_path ();
  g_autoptr (GString) text = g_string_new ("exec ");

  if (strpbrk (program, "\"\r\n") || strpbrk (ssh->state_path, "\"\r\n"))
    return NULL;
  _sandbox_shell_quote (text, program);
  g_string_append (text, " --ready ");
  _sandbox_shell_quote (text, ssh->state_path);
  g_string_append_printf (text, " %s", alias);
  g_string_replace (text, "%", "%%", 0);
  return g_string_free (g_steal_pointer (&text), FALSE);
}

static void
add_path (GString *text, const char *option, const SandboxSsh *ssh, const char *file)
{
  g_autofree char *path = g_build_filename (ssh->state_path, file, NULL);
  g_autofree char *quoted = _sandbox_ssh_quote_path (path);

  g_string_append_printf (text, "  %s %s\n", option, quoted);
}

char *
_sandbox_ssh_config_block (const SandboxSsh *ssh, const char *alias)
{
  g_autofree char *command = ready_command (ssh, alias);
  GString *text = g_string_new (NULL);

  if (command)
    g_string_append_printf (text, "Match originalhost %s !exec \"%s\"\n  ClearAllForwardings yes\n",
                            alias, command);
  g_string_append_printf (text, "Host %s\n", alias);
  if (!command)
    g_string_append (text, "  ClearAllForwardings yes\n");
  g_string_append_printf (text, "  HostName %s\n  Port %u\n  User %s\n  HostKeyAlias vms-%s\n",
                          ssh->address, ssh->port, ssh->user, ssh->uuid);
  /* Only without a master does ssh get here, that is, when the machine is off: its network is gone
   * then, and its address would be looked for in the world outside. (A ProxyJump of the user's that
   * follows is ignored; one before it would take the place of this.) */
  g_string_append_printf (text,
                          "  ProxyCommand sh -c 'echo \"vms: no connection to %s through its "
                          "keeper (a ControlPath of your own "
                          "cannot be used); see to it with: vms start %s\" >&2; exit 1'\n",
                          alias, alias);
  add_path (text, "UserKnownHostsFile", ssh, "known_hosts");
  add_path (text, "ControlPath", ssh, "ssh.sock");
  for (gsize i = 0; i < G_N_ELEMENTS (BLOCK_OPTIONS); i++)
    g_string_append_printf (text, "  %s\n", BLOCK_OPTIONS[i]);
  return g_string_free (text, FALSE);
}
