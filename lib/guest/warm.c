// SPDX-License-Identifier: LGPL-2.1-or-later
// The guest's side of kept memory: made small and quiet before it is kept, and made another machine
// after it was restored.
//
// At both times nothing of anybody's has run in the guest: it is as trusted as the image.
#include "guest/guest-private.h"

#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#define SETTLE_USEC (180 * G_USEC_PER_SEC)
#define ADOPT_USEC  (60 * G_USEC_PER_SEC)
#define TRIES       3
#define RETRY_USEC  (300 * 1000)
#define ANSWER_MAX  (16 * 1024)
/* Mixed into the kernel's pool, and left for the next boot. */
#define ENTROPY_BYTES 64
#define SEED_BYTES    512

/* sshd is up before the rest of the system, which shall not be half started. What a restored
 * machine would find on its disk after a power cut is what is on it now, so all of it is put there;
 * but not the seed of the random numbers, which must not be used twice, nor what programs made up
 * to tell this machine from others, as the init of a copy would remove it. Those that have it in
 * memory are stopped, and make it anew when ADOPT starts them.
 *
 * A kernel that boots on an emulated processor of a busy host may take it for much slower or faster
 * than it is; its clock then runs at a multiple of time, unlike the battery clock. Such a boot is
 * not kept: it would be that of many machines. */
static const char SETTLE[] =
    "systemctl is-system-running --wait >/dev/null 2>&1\n"
    "read -r rtc </sys/class/rtc/rtc0/since_epoch && off=$(($(date +%s) - rtc))\n"
    "[ \"${off#-}\" -le 3 ] || { echo \"its clock does not run right (${off} s off)\" >&2; exit 1; "
    "}\n"
    "was=$(for unit in docker.service iscsid.service NetworkManager.service; do\n"
    "  if systemctl -q is-active $unit; then echo $unit; fi; done)\n"
    "echo $was >/run/vms/stopped\n"
    "[ -z \"$was\" ] || systemctl stop $was || exit 1\n"
    "systemctl stop systemd-random-seed.service 2>/dev/null\n"
    "rm -f /var/lib/systemd/random-seed /var/lib/systemd/credential.secret \\\n"
    "  /var/lib/docker/engine-id /etc/docker/key.json /etc/nvme/hostnqn /etc/nvme/hostid \\\n"
    "  /var/lib/dhcp/*.leases /var/lib/dhcpcd/* /var/lib/NetworkManager/secret_key \\\n"
    "  /var/lib/NetworkManager/*.lease\n"
    "iscsi=/etc/iscsi/initiatorname.iscsi\n"
    "[ ! -f $iscsi ] || echo GenerateName=yes >$iscsi\n"
    "journalctl --sync 2>/dev/null\n"
    "sync && echo 3 >/proc/sys/vm/drop_caches || exit 1\n"
    "sync";

/* Reads lines "KEY VALUE", an empty line, and the seed. The random numbers come first: whatever is
 * made after them differs from what another machine from the same memory makes. The clock of the
 * machine stood still, its battery clock did not; the host's word counts where that is older. sshd
 * reads its host key when it starts. What nobody waits for comes after that: what was stopped, and
 * a little later the journal of the new boot id. */
static const char ADOPT[] =
    "use strict; my (%h, $tar); binmode STDIN;\n"
    "while (<STDIN>) { chomp; last if $_ eq ''; my ($k, $v) = split / /, $_, 2; $h{$k} = $v }\n"
    "{ local $/; $tar = <STDIN> }\n"
    "open my $r, '<', '/dev/random' or die 'random';\n"
    "my $e = pack 'H*', $h{entropy};\n"
    "ioctl($r, 0x40085203, pack('ii', 8 * length $e, length $e) . $e) or die \"entropy: $!\";\n"
    "ioctl($r, 0x5207, 0) or die \"reseed: $!\";\n"
    "my $t = $h{time}; my $c = '/sys/class/rtc/rtc0/since_epoch';\n"
    "if (open my $f, '<', $c) { my $s = <$f>; $t = $s + 0.5 if $s > $t }\n"
    "system('date -s @' . $t . ' >/dev/null') == 0 or die 'time';\n"
    "umask 077; unlink grep { !/ed25519/ } glob '/etc/ssh/ssh_host_*';\n"
    "sub put { my ($p, $d, $m, $o) = @_; my $n = \"$p.vms\";\n"
    "  open my $f, '>', $n or die \"$n: $!\"; print $f $d or die; close $f or die \"$n: $!\";\n"
    "  chmod $m, $n; chown $h{uid}, $h{gid}, $n if $o; rename $n, $p or die \"$p: $!\" }\n"
    "while (length $tar > 512) {\n"
    "  my ($p, $m, $s, $y) = unpack 'Z100 Z8 x16 Z12 x20 a1', $tar; last if $p eq '';\n"
    "  $s = oct $s; my $d = substr $tar, 512, $s; $tar = substr $tar, 512 + 512 * int(($s + 511) / "
    "512);\n"
    "  my $o = $p =~ s{^home/}{/home/$h{user}/}; $p =~ s{^root/}{/} or $o or\n"
    "    do { put('/etc/vms/identity', $d, 0644) if $p eq 'identity'; next };\n"
    "  $p =~ s{/$}{}; $m = oct $m;\n"
    "  if ($y ne '5') { put($p, $d, $m, $o) }\n"
    "  elsif (!-d $p) { mkdir $p, $m or die \"$p: $!\"; chown $h{uid}, $h{gid}, $p if $o }\n"
    "}\n"
    "open my $f, '<', '/run/sshd.pid' or die 'sshd'; kill 'HUP', <$f> + 0 or die 'sshd';\n"
    "put('/var/lib/systemd/random-seed', pack('H*', $h{seed}), 0600);\n"
    "put('/etc/machine-id', \"$h{id}\\n\", 0444);\n"
    "my $d = '/var/lib/dbus/machine-id'; put($d, \"$h{id}\\n\", 0444) if -f $d && !-l $d;\n"
    "put('/run/vms/boot_id', \"$h{boot}\\n\", 0444);\n"
    "system('mount --bind /run/vms/boot_id /proc/sys/kernel/random/boot_id') == 0 or die 'boot "
    "id';\n"
    "exit 0 if fork; setpgrp; close STDOUT; close STDERR;\n"
    "my @u = open($f, '<', '/run/vms/stopped') ? split ' ', <$f> // '' : ();\n"
    "system 'systemctl', '--no-block', 'start', @u if @u;\n"
    "sleep 3;\n"
    "exec 'systemctl', '--no-block', 'restart', 'systemd-journald.service';\n";

gboolean
_sandbox_guest_settle (const SandboxSsh *ssh, GCancellable *cancellable, GError **error)
{
  const char *const first[] = { "sudo", "-n", "sh", "-c", SETTLE, NULL };
  /* what a connection needs of the disk is in memory again, and kept */
  const char *const then[] = { "sudo", "-n", "perl", "-e", "exit", NULL };
  g_autofree char *settle = _sandbox_ssh_command (first, NULL, FALSE);
  g_autofree char *touch = _sandbox_ssh_command (then, NULL, FALSE);
  g_autofree char *said =
      _sandbox_ssh_capture (ssh, settle, -1, ANSWER_MAX, SETTLE_USEC, cancellable, error);
  g_autofree char *more = NULL;

  if (said != NULL)
    more = _sandbox_ssh_capture (ssh, touch, -1, ANSWER_MAX, ADOPT_USEC, cancellable, error);
  return more != NULL;
}

char *
_sandbox_random_hex (gsize length, GError **error)
{
  guint8 bytes[SEED_BYTES];
  GString *text;

  g_assert (length <= sizeof bytes);
  for (gsize done = 0; done < length;)
    {
      gssize n = getrandom (bytes + done, length - done, 0);

      if (n < 0 && errno != EINTR)
        {
          sandbox_fail_errno (error, errno, "reading random numbers");
          return NULL;
        }
      done += n > 0 ? (gsize)n : 0;
    }
  text = g_string_new (NULL);
  for (gsize i = 0; i < length; i++)
    g_string_append_printf (text, "%02x", bytes[i]);
  explicit_bzero (bytes, sizeof bytes);
  return g_string_free (text, FALSE);
}

static gboolean
write_all (int fd, gconstpointer data, gsize length, GError **error)
{
  for (gsize done = 0; done < length;)
    {
      gssize n = write (fd, (const char *)data + done, length - done);

      if (n < 0 && errno != EINTR)
        return sandbox_fail_errno (error, errno, "writing what the machine gets");
      done += n > 0 ? (gsize)n : 0;
    }
  return TRUE;
}

/* What ADOPT reads, in memory only: it has keys. -1 with @error. */
static int
make_input (GBytes *seed, const SandboxPlan *plan, GError **error)
{
  sandbox_autofd int fd = memfd_create ("adopt", MFD_CLOEXEC);
  g_autofree char *entropy = _sandbox_random_hex (ENTROPY_BYTES, error);
  g_autofree char *random = entropy != NULL ? _sandbox_random_hex (SEED_BYTES, error) : NULL;
  g_autofree char *boot = g_uuid_string_random ();
  g_autofree char *head = NULL;
  double now = (double)g_get_real_time () / G_USEC_PER_SEC;
  char number[G_ASCII_DTOSTR_BUF_SIZE];

  if (random == NULL)
    return -1;
  head = g_strdup_printf ("entropy %s\nseed %s\ntime %s\nuser %s\nuid %u\ngid %u\nid %s\nboot "
                          "%s\n\n",
                          entropy, random, g_ascii_formatd (number, sizeof number, "%.2f", now),
                          plan->user, plan->uid, plan->gid, plan->machine_id, boot);
  if (fd < 0)
    {
      sandbox_fail_errno (error, errno, "writing what the machine gets");
      return -1;
    }
  if (!write_all (fd, head, strlen (head), error)
      || !write_all (fd, g_bytes_get_data (seed, NULL), g_bytes_get_size (seed), error))
    return -1;
  lseek (fd, 0, SEEK_SET);
  return g_steal_fd (&fd);
}

gboolean
_sandbox_guest_adopt (const SandboxSsh *ssh, GBytes *seed, const SandboxPlan *plan,
                      GCancellable *cancellable, GError **error)
{
  g_autoptr (GString) script = g_string_new ("perl -e ");
  g_autofree char *command = NULL;

  _sandbox_shell_quote (script, ADOPT);
  g_string_append (script, " || exit 1\n");
  command =
      _sandbox_mount_command_after (ssh, script->str, plan->shares, plan->uid, plan->gid, error);
  for (guint i = 1; command != NULL; i++)
    {
      sandbox_autofd int fd = make_input (seed, plan, error);
      g_autoptr (GError) local = NULL;
      g_autofree char *said = NULL;

      if (fd < 0)
        return FALSE;
      said = _sandbox_ssh_capture (ssh, command, fd, ANSWER_MAX, ADOPT_USEC, cancellable, &local);
      if (said != NULL)
        return TRUE;
      /* its network card may take a moment */
      if (i == TRIES || g_error_matches (local, G_IO_ERROR, G_IO_ERROR_CANCELLED)
          || !_sandbox_pause (RETRY_USEC, cancellable, NULL))
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return FALSE;
        }
    }
  return FALSE;
}
