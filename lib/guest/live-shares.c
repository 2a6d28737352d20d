// SPDX-License-Identifier: LGPL-2.1-or-later
// The guest's side of shares that come and go while it runs. The programs run there as root; what
// they say is the guest's word and bounded. Nothing of what keeps the host safe depends on them:
// that is the share helper's, and whether the device is gone says libvirt.
#include "config.h"
#include "guest/guest-private.h"

#include "base/error.h"
#include "base/names.h"

#include <string.h>

#define MOUNT_USEC   (240 * G_USEC_PER_SEC)
#define UNMOUNT_USEC (60 * G_USEC_PER_SEC)
#define ANSWER_USEC  (20 * G_USEC_PER_SEC)
#define ANSWER_MAX   (16 * 1024)
#define HOLDERS_MAX  16

/* Behind the functions of the image's mount-share; "$@": TAG TARGET MODE SHADOW... A device that
 * was plugged in just now takes the guest's kernel a moment, and an emulated one some more. One at
 * a time: the keeper may be at it, too. */
static const char MOUNT[] =
    "\nnew=''; shadows_only=${shadows_only:-}; user=$1; uid=$2; gid=$3; bad=0; shift 3\n"
    "load_modules() { modprobe \"$1\" 2>/dev/null || :; }\n"
    "uptime() { read -r now _ </proc/uptime; now=${now%.*}; }\n"
    "exec 9>/run/vms/mount.lock; flock -w 200 9; umask 022; uptime; end=$((now + 90))\n"
    "while [ $# -gt 3 ]; do\n"
    "  type=virtiofs; [ \"$3\" != review ] || type=overlay\n"
    "  if mountpoint -q \"$2\" && grep -q \"^$1 [^ ]* $type \" /proc/self/mounts; then\n"
    "    said=$(mount_shadows \"$1\" \"$2\" \"$4\" 2>&1) || bad=1\n"
    "  elif [ -z \"$shadows_only\" ]; then\n"
    "    until said=$(mount_share \"$1\" \"$2\" \"$3\" \"$4\" 2>&1); do\n"
    "      why=$?\n"
    "      [ \"$3\" != review ] || umount \"/run/vms/lower/$1\" 2>/dev/null\n"
    "      uptime; [ $why != 2 ] && [ -d \"$2\" ] && [ \"$now\" -lt $end ] || { bad=1; break; }\n"
    "      sleep 1\n"
    "    done\n"
    "  fi\n"
    "  [ $bad = 0 ] || printf '%s: %s\\n' \"$1\" \"$said\" >&2\n"
    "  shift 4\n"
    "done\n"
    "exit $bad\n";

/* $1: TAG, $2: TARGET, $3: -l or nothing, $4: SHADOW. Not while the keeper mounts shadows; who
 * mounts for longer waits for the device of another share. */
static const char UNMOUNT[] =
    "exec 9>/run/vms/mount.lock && flock -w 10 9\n"
    "set -f; IFS=';'\n"
    "for name in $4; do umount $3 \"$2/$name\" 2>/dev/null; done\n"
    "unset IFS\n"
    "for dir in \"$2\" \"/run/vms/lower/$1\"; do\n"
    "  while mountpoint -q \"$dir\"; do umount $3 \"$dir\" || exit 1; done\n"
    "done";

/* By file system and not by path, so that nobody is left out who sees it at another place. */
static const char HOLDERS[] =
    "my %dev; for (@ARGV) { my @s = stat or next; $dev{$s[0]} = 1 }\n"
    "my @root = stat '/'; delete $dev{$root[0]};\n"
    "my $n = 0;\n"
    "sub names { opendir my $d, $_[0] or return; readdir $d }\n"
    "for my $p (map {\"/proc/$_\"} grep {/^\\d+$/} names('/proc')) {\n"
    "  for my $l ((map {\"$p/$_\"} 'cwd', 'root', 'exe'), (map {\"$p/fd/$_\"} grep {/^\\d/} "
    "names(\"$p/fd\")),\n"
    "             (map {\"$p/map_files/$_\"} grep {/-/} names(\"$p/map_files\"))) {\n"
    "    my @s = stat $l or next; $dev{$s[0]} or next;\n"
    "    open my $f, '<', \"$p/comm\" or last; chomp(my $c = <$f>);\n"
    "    print substr($p, 6), ' ', unpack('H*', $c), \"\\n\"; exit if ++$n >= 16; last;\n"
    "  }\n"
    "}\n";

static char *
read_functions (GError **error)
{
  const char *images = g_getenv ("SANDBOX_IMAGES_DIR");
  g_autofree char *path =
      g_build_filename (images != NULL ? images : SANDBOX_DATADIR "/images", "mount-share", NULL);
  g_autoptr (GError) local = NULL;
  char *text = NULL;

  if (!g_file_get_contents (path, &text, NULL, &local))
    sandbox_fail (error, SANDBOX_ERROR_HOST, "mounting a share: %s; install libsandbox again",
                  local->message);
  return text;
}

char *
_sandbox_mount_command (const SandboxSsh *ssh, const GPtrArray *shares, guint uid, guint gid,
                        GError **error)
{
  return _sandbox_mount_command_after (ssh, "", shares, uid, gid, error);
}

char *
_sandbox_mount_command_after (const SandboxSsh *ssh, const char *first_script,
                              const GPtrArray *shares, guint uid, guint gid, GError **error)
{
  g_autofree char *functions = read_functions (error);
  g_autofree char *script =
      functions != NULL ? g_strconcat (first_script, functions, MOUNT, NULL) : NULL;
  g_autofree char *uid_text = g_strdup_printf ("%u", uid), *gid_text = g_strdup_printf ("%u", gid);
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  const char *first[] = { "sudo", "-n", "sh", "-c", script, "sh", ssh->user, uid_text, gid_text };

  if (script == NULL)
    return NULL;
  for (guint i = 0; i < G_N_ELEMENTS (first); i++)
    g_ptr_array_add (argv, (gpointer)first[i]);
  for (guint i = 0; i < shares->len; i++)
    {
      const SandboxPlanShare *share = g_ptr_array_index (shares, i);

      g_ptr_array_add (argv, share->tag);
      g_ptr_array_add (argv, share->target);
      g_ptr_array_add (argv, (gpointer)_sandbox_plan_share_mount (share));
      g_ptr_array_add (argv, share->shadow);
    }
  g_ptr_array_add (argv, NULL);
  return _sandbox_ssh_command ((const char *const *)argv->pdata, NULL, FALSE);
}

gboolean
_sandbox_guest_mount_share (const SandboxSsh *ssh, const SandboxPlanShare *share, guint uid,
                            guint gid, GCancellable *cancellable, GError **error)
{
  g_autoptr (GPtrArray) shares = g_ptr_array_new ();
  g_autofree char *command = NULL, *said = NULL, *table = NULL;

  g_ptr_array_add (shares, (gpointer)share);
  command = _sandbox_mount_command (ssh, shares, uid, gid, error);
  if (command == NULL)
    return FALSE;
  said = _sandbox_ssh_capture (ssh, command, -1, ANSWER_MAX, MOUNT_USEC, cancellable, error);
  if (said != NULL)
    table = _sandbox_guest_read_mounts (ssh, cancellable, error);
  if (table == NULL)
    return FALSE;
  if (_sandbox_mounts_have (table, share))
    return TRUE;
  return sandbox_fail (error, SANDBOX_ERROR_GUEST,
                       "the machine says that it did, but its mount table does not have it");
}

/* One of our scripts, as root. */
static char *
run (const SandboxSsh *ssh, const char *shell, const char *option, const char *script,
     const char *const *args, gint64 timeout_usec, GCancellable *cancellable, GError **error)
{
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_autofree char *command = NULL;
  const char *first[] = { "sudo", "-n", shell, option, script };

  for (guint i = 0; i < G_N_ELEMENTS (first); i++)
    g_ptr_array_add (argv, (gpointer)first[i]);
  for (; *args != NULL; args++)
    g_ptr_array_add (argv, (gpointer)*args);
  g_ptr_array_add (argv, NULL);
  command = _sandbox_ssh_command ((const char *const *)argv->pdata, NULL, FALSE);
  return _sandbox_ssh_capture (ssh, command, -1, ANSWER_MAX, timeout_usec, cancellable, error);
}

/* "12 6261736801": the name in hexadecimal. NULL when it is anything else. */
static char *
describe_holder (const char *line)
{
  g_auto (GStrv) words = g_strsplit (line, " ", -1);
  g_autoptr (GString) name = g_string_new (NULL);
  g_autofree char *shown = NULL;
  guint64 pid = 0;

  if (g_strv_length (words) != 2 || !sandbox_uint_parse (words[0], 1, G_MAXINT, &pid, NULL))
    return NULL;
  for (const char *p = words[1]; g_ascii_isxdigit (p[0]) && g_ascii_isxdigit (p[1]); p += 2)
    g_string_append_c (name,
                       (char)(g_ascii_xdigit_value (p[0]) * 16 + g_ascii_xdigit_value (p[1])));
  shown = sandbox_escape (name->str, (gssize)name->len, 64);
  return g_strdup_printf ("%s (%u)", shown, (guint)pid);
}

char *
_sandbox_guest_find_holders (const SandboxSsh *ssh, const SandboxPlanShare *share,
                             GCancellable *cancellable, GError **error)
{
  g_autofree char *lower = g_strconcat (SANDBOX_GUEST_LOWER, share->tag, NULL);
  const char *args[] = { "--", share->target,
                         share->mode == SANDBOX_SHARE_REVIEW ? lower : share->target, NULL };
  g_autofree char *out = run (ssh, "perl", "-e", HOLDERS, args, UNMOUNT_USEC, cancellable, error);
  g_autoptr (GString) text = g_string_new (NULL);
  g_auto (GStrv) lines = NULL;
  guint n = 0;

  if (out == NULL)
    return NULL;
  lines = g_strsplit (out, "\n", -1);
  for (guint i = 0; lines[i] != NULL && n < HOLDERS_MAX; i++)
    {
      g_autofree char *one = describe_holder (lines[i]);

      if (one == NULL)
        continue;
      g_string_append_printf (text, "%s%s", n++ > 0 ? ", " : "", one);
    }
  return g_string_free (g_steal_pointer (&text), FALSE);
}

gboolean
_sandbox_guest_unmount_share (const SandboxSsh *ssh, const SandboxPlanShare *share, gboolean force,
                              GCancellable *cancellable, GError **error)
{
  const char *args[] = { "sh", share->tag, share->target, force ? "-l" : "", share->shadow, NULL };
  g_autofree char *out = run (ssh, "sh", "-c", UNMOUNT, args, UNMOUNT_USEC, cancellable, error);

  return out != NULL;
}

gboolean
_sandbox_guest_remove_layer (const SandboxSsh *ssh, const char *tag, GCancellable *cancellable,
                             GError **error)
{
  g_autofree char *layer = g_strconcat (SANDBOX_GUEST_LAYERS, tag, NULL);
  g_autofree char *shadows = g_strconcat (SANDBOX_GUEST_SHADOWS, tag, NULL);
  const char *args[] = { "sh", layer, shadows, NULL };
  g_autofree char *out =
      run (ssh, "sh", "-c", "rm -rf -- \"$@\"", args, UNMOUNT_USEC, cancellable, error);

  return out != NULL;
}

gboolean
_sandbox_guest_share_answers (const SandboxSsh *ssh, const SandboxPlanShare *share,
                              GCancellable *cancellable)
{
  const char *args[] = { "sh", share->target, NULL };
  static const char script[] = "timeout -s KILL 5 ls -d -- \"$1/.\" >/dev/null 2>&1\n"
                               "[ $? -ne 2 ] || echo gone";
  g_autofree char *out = run (ssh, "sh", "-c", script, args, ANSWER_USEC, cancellable, NULL);

  return out == NULL || strstr (out, "gone") == NULL;
}
