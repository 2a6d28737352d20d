// SPDX-License-Identifier: LGPL-2.1-or-later
// Brings rules back: what quickstart.sh loaded, and what libvirt has to be asked for.
#include "guard.h"

#include "base/child.h"
#include "base/error.h"

#include <fcntl.h>
#include <unistd.h>

#define BRIDGE_SWITCH "/proc/sys/net/bridge/bridge-nf-call-iptables"
#define PROGRAM_USEC  (10 * G_USEC_PER_SEC)
#define TEXT_MAX      2000

/* FALSE: it failed, and that was logged unless @quiet. */
static gboolean
run (gboolean quiet, const char *const *argv)
{
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  g_autoptr (GError) error = NULL;
  g_autofree char *complaint = NULL;
  int status = 0;

  options.argv = argv;
  if (sandbox_child_run (&options, PROGRAM_USEC, TEXT_MAX, NULL, NULL, &complaint, &status, &error)
      && status == 0)
    return TRUE;
  if (!quiet)
    guard_log ("%s failed: %s", argv[0], error ? error->message : g_strstrip (complaint));
  return FALSE;
}

void
guard_restore_switch (void)
{
  static const char *const modprobe[] = { "modprobe", "br_netfilter", NULL };
  int fd;

  if (access (BRIDGE_SWITCH, F_OK) != 0)
    run (FALSE, modprobe);
  fd = open (BRIDGE_SWITCH, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write (fd, "1", 1) != 1)
    guard_log ("net.bridge.bridge-nf-call-iptables cannot be set to 1: machines stay paused");
  else
    guard_log ("net.bridge.bridge-nf-call-iptables is 1 again");
  if (fd >= 0)
    close (fd);
}

gboolean
guard_restore_ports (void)
{
  static const char *const nft[] = { "nft", "-f", GUARD_PORTS_FILE, NULL };

  return run (FALSE, nft);
}

/* libvirt makes these chains when its first network starts, and never again in its life: what it
 * fills them with, when its rules are to be made anew, is refused where they are not there. A newer
 * libvirt, which does not use them, does not mind. */
static void
make_chains_of_networks (void)
{
  static const char *const chains[][3] = {
    { "filter", "INPUT", "LIBVIRT_INP" },       { "filter", "OUTPUT", "LIBVIRT_OUT" },
    { "filter", "FORWARD", "LIBVIRT_FWO" },     { "filter", "FORWARD", "LIBVIRT_FWI" },
    { "filter", "FORWARD", "LIBVIRT_FWX" },     { "nat", "POSTROUTING", "LIBVIRT_PRT" },
    { "mangle", "POSTROUTING", "LIBVIRT_PRT" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (chains); i++)
    {
      const char *table = chains[i][0], *parent = chains[i][1], *chain = chains[i][2];
      const char *const make[] = { "iptables", "-w", "-t", table, "-N", chain, NULL };
      const char *const look[] = { "iptables", "-w", "-t", table, "-C", parent, "-j", chain, NULL };
      const char *const jump[] = { "iptables", "-w", "-t", table, "-I", parent, "-j", chain, NULL };

      run (TRUE, make);
      if (!run (TRUE, look))
        run (FALSE, jump);
    }
}

void
guard_restore_all (void)
{
  make_chains_of_networks ();
  if (guard_daemons_reload ())
    guard_log ("libvirt makes its rules anew");
  else
    guard_log ("libvirt's daemon does not run (no process as in /run/libvirtd.pid): it cannot make "
               "its rules anew");
}
