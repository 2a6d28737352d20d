// SPDX-License-Identifier: LGPL-2.1-or-later
// The guest's side of a machine that goes on after it stood still.
#include "guest/guest-private.h"

#include "base/error.h"
#include "base/file.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WAKE_USEC     (60 * G_USEC_PER_SEC)
#define ANSWER_MAX    (16 * 1024)
#define ENTROPY_BYTES 64
#define TRIES         3
#define SLOW_USEC     (2 * G_USEC_PER_SEC)

/* Reads "ENTROPY TIME". The random numbers come first: whatever is made after them differs. A
 * machine that is slow to read has a battery clock, which did not stand still. */
static const char WAKE[] =
    "use strict; my ($e, $t) = split ' ', <STDIN>; $e = pack 'H*', $e;\n"
    "open my $r, '<', '/dev/random' or die 'random';\n"
    "ioctl($r, 0x40085203, pack('ii', 8 * length $e, length $e) . $e) or die \"entropy: $!\";\n"
    "ioctl($r, 0x5207, 0) or die \"reseed: $!\";\n"
    "my $c; if (open $c, '<', '/sys/class/rtc/rtc0/since_epoch') { my $s = <$c>;\n"
    "  $t = $s + 0.5 if $s > $t && $s - $t < 60 }\n"
    "system('date -s @' . $t . ' >/dev/null') == 0 or die 'time';\n";

/* In memory only. -1 with @error. */
static int
make_input (GError **error)
{
  sandbox_autofd int fd = memfd_create ("wake", MFD_CLOEXEC);
  g_autofree char *entropy = _sandbox_random_hex (ENTROPY_BYTES, error);
  g_autofree char *line = NULL;
  double now = (double)g_get_real_time () / G_USEC_PER_SEC;
  char number[G_ASCII_DTOSTR_BUF_SIZE];

  if (entropy == NULL)
    return -1;
  line = g_strdup_printf ("%s %s\n", entropy, g_ascii_formatd (number, sizeof number, "%.2f", now));
  if (fd < 0 || write (fd, line, strlen (line)) != (gssize)strlen (line)
      || lseek (fd, 0, SEEK_SET) != 0)
    {
      sandbox_fail (error, SANDBOX_ERROR_HOST, "writing what the machine gets");
      return -1;
    }
  return g_steal_fd (&fd);
}

gboolean
_sandbox_guest_wake (const SandboxSsh *ssh, GCancellable *cancellable, GError **error)
{
  const char *const argv[] = { "sudo", "-n", "perl", "-e", WAKE, NULL };
  g_autofree char *command = _sandbox_ssh_command (argv, NULL, FALSE);

  /* the time that it got is as old as its answer took */
  for (guint i = 0; i < TRIES; i++)
    {
      gint64 began = g_get_monotonic_time ();
      sandbox_autofd int fd = make_input (error);
      g_autofree char *said = NULL;

      if (fd >= 0)
        said = _sandbox_ssh_capture (ssh, command, fd, ANSWER_MAX, WAKE_USEC, cancellable, error);
      if (said == NULL)
        return FALSE;
      if (g_get_monotonic_time () - began < SLOW_USEC)
        break;
    }
  return TRUE;
}
