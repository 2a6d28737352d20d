// SPDX-License-Identifier: LGPL-2.1-or-later
// Directories of a share that a machine has on its own disk (shadow=). They are mounted over the
// directory of that name in the share, and when the host removes or replaces that, the machine's
// kernel takes the mount away with it: what the machine writes there from then on would be the
// host's. So their names are watched.
//
// The names belong to whoever may write to the share: nothing is followed out of it, and all that
// comes of an event is that the machine is asked to mount what is not mounted.
#include "keeper.h"

#include "base/file.h"
#include "xml/xml-private.h"

#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define EVENTS                                                                                     \
  (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF             \
   | IN_ONLYDIR | IN_EXCL_UNLINK)
#define OPEN_DIR (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* A directory that is replaced goes and comes again; and a machine that removes its own all the
 * time is not asked all the time. */
#define GATHER_USEC (300 * 1000)
#define PAUSE_USEC  (2 * G_USEC_PER_SEC)
/* The machine believes what it has looked up for a second, and loses the mount after that. */
#define SETTLE_USEC (1500 * 1000)
#define RETRY_USEC  (15 * G_USEC_PER_SEC)
/* Where nothing tells that a process has ended. */
#define LOOK_MSEC 500
/* What a shadow lies in is mounted, or is being taken away by somebody. */
#define SHADOWS_ONLY "shadows_only=yes\n"

struct _KeeperShadows
{
  const SandboxSsh *ssh;
  const char *self;
  GPtrArray *shares; /* of SandboxPlanShare: those that have some */
  guint uid, gid;
  int inotify_fd;
  GHashTable *names; /* -> a name that counts in some directory */
  KeeperProcess mount;
  gint64 due, settle, asked; /* monotonic; 0: not */
};

/* What one share names, part by part, as far as it is there. */
static void
watch_path (KeeperShadows *shadows, const char *source, const char *path)
{
  g_auto (GStrv) parts = g_strsplit (path, "/", -1);
  sandbox_autofd int fd = open (source, OPEN_DIR);

  for (char **part = parts; *part && fd >= 0; part++)
    {
      g_autofree char *link = g_strdup_printf ("/proc/self/fd/%d", fd);
      sandbox_autofd int above = fd;

      inotify_add_watch (shadows->inotify_fd, link, EVENTS);
      g_hash_table_add (shadows->names, g_strdup (*part));
      fd = openat (above, *part, OPEN_DIR);
    }
}

static void
watch (KeeperShadows *shadows)
{
  sandbox_close_fd (&shadows->inotify_fd);
  g_hash_table_remove_all (shadows->names);
  if (shadows->shares->len > 0)
    shadows->inotify_fd = inotify_init1 (IN_NONBLOCK | IN_CLOEXEC);
  for (guint i = 0; shadows->inotify_fd >= 0 && i < shadows->shares->len; i++)
    {
      const SandboxPlanShare *share = shadows->shares->pdata[i];
      g_auto (GStrv) paths = g_strsplit (share->shadow, ";", -1);

      for (char **path = paths; *path; path++)
        watch_path (shadows, share->source, *path);
    }
}

static void
find_shares (KeeperShadows *shadows, SandboxVirt *virt, const char *object)
{
  g_autofree char *xml = _sandbox_virt_domain_xml (virt, object, TRUE, NULL);
  g_autoptr (SandboxDomainMeta) meta = xml ? _sandbox_xml_read_domain (xml, NULL) : NULL;

  for (guint i = 0; meta && i < meta->shares->len; i++)
    {
      const SandboxPlanShare *share = meta->shares->pdata[i];

      if (*share->shadow)
        g_ptr_array_add (shadows->shares, _sandbox_plan_share_copy (share));
    }
  shadows->uid = meta ? meta->uid : 0;
  shadows->gid = meta ? meta->gid : 0;
}

KeeperShadows *
keeper_shadows_new (const SandboxSsh *ssh, const char *self, SandboxVirt *virt, const char *object)
{
  KeeperShadows *shadows = g_new0 (KeeperShadows, 1);

  shadows->ssh = ssh;
  shadows->self = self;
  shadows->inotify_fd = -1;
  shadows->names = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  shadows->shares = g_ptr_array_new_with_free_func (_sandbox_plan_share_free);
  keeper_process_init (&shadows->mount);
  find_shares (shadows, virt, object);
  watch (shadows);
  /* what happened before nobody has seen */
  if (shadows->shares->len > 0)
    {
      shadows->due = g_get_monotonic_time () + GATHER_USEC;
      shadows->settle = shadows->due + SETTLE_USEC;
    }
  return shadows;
}

void
keeper_shadows_poll (KeeperShadows *shadows, GArray *pollfds)
{
  keeper_poll_add (pollfds, shadows->inotify_fd);
  keeper_poll_add (pollfds, shadows->mount.pid_fd);
  keeper_poll_add (pollfds, shadows->mount.stderr_fd);
}

/* TRUE: one of them may not be mounted any more. */
static gboolean
listen (KeeperShadows *shadows)
{
  char block[4096] __attribute__ ((aligned (__alignof__(struct inotify_event))));
  gboolean changed = FALSE;
  gssize n;

  while (shadows->inotify_fd >= 0 && (n = read (shadows->inotify_fd, block, sizeof block)) > 0)
    for (char *p = block; p < block + n;)
      {
        const struct inotify_event *event = (const struct inotify_event *)(gpointer)p;

        changed = changed || event->len == 0 || g_hash_table_contains (shadows->names, event->name);
        p += sizeof *event + event->len;
      }
  if (changed)
    watch (shadows);
  return changed;
}

static void
start (KeeperShadows *shadows, gint64 now)
{
  g_autofree char *command = NULL;
  g_autoptr (GPtrArray) argv = NULL;

  shadows->due = 0;
  shadows->asked = now;
  /* its own connection would be one more login */
  if (!_sandbox_ssh_master_alive (shadows->ssh))
    {
      shadows->due = now + PAUSE_USEC;
      return;
    }
  command = _sandbox_mount_command_after (shadows->ssh, SHADOWS_ONLY, shadows->shares, shadows->uid,
                                          shadows->gid, NULL);
  if (!command)
    return;
  argv = _sandbox_ssh_argv (shadows->ssh, FALSE, TRUE);
  g_ptr_array_add (argv, g_steal_pointer (&command));
  if (!keeper_process_start (&shadows->mount, argv, shadows->self))
    shadows->due = now + RETRY_USEC;
}

static int
until (gint64 then, gint64 now)
{
  return then ? (int)MAX (1, (then - now) / 1000 + 1) : -1;
}

int
keeper_shadows_step (KeeperShadows *shadows)
{
  gint64 now = g_get_monotonic_time ();

  /* whether they are mounted is looked at by those who list shares */
  if (keeper_process_ended (&shadows->mount) && shadows->mount.said->len > 0 && !shadows->due)
    shadows->due = now + RETRY_USEC;
  if (listen (shadows))
    {
      shadows->due = MAX (now + GATHER_USEC, shadows->asked + PAUSE_USEC);
      shadows->settle = now + SETTLE_USEC;
    }
  if (shadows->settle && now >= shadows->settle)
    {
      shadows->settle = 0;
      shadows->due = shadows->due ? shadows->due : MAX (now, shadows->asked + PAUSE_USEC);
    }
  if (!shadows->mount.pid && shadows->due && now >= shadows->due)
    start (shadows, now);
  if (shadows->mount.pid)
    return shadows->mount.pid_fd < 0 ? LOOK_MSEC : -1;
  return keeper_sooner (until (shadows->due, now), until (shadows->settle, now));
}

void
keeper_shadows_free (KeeperShadows *shadows)
{
  keeper_process_clear (&shadows->mount);
  sandbox_close_fd (&shadows->inotify_fd);
  g_hash_table_unref (shadows->names);
  g_ptr_array_unref (shadows->shares);
  g_free (shadows);
}
