// SPDX-License-Identifier: LGPL-2.1-or-later
// Shares that the machine got while it runs. What its boot mounts stands in its seed, which stays
// as it was: so after a reboot they are mounted from here. And the end of those with a time limit,
// for which a process of ours takes the machine's lock like any other that works on it.
#include "keeper.h"

#include "base/file.h"
#include "facade/facade-private.h"
#include "xml/xml-private.h"

#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

/* Without inotify. */
#define LOOK_MSEC 500
/* How exactly times are kept, also over a suspend of the host. */
#define TIMED_MSEC 1000
/* What did not work is tried again. */
#define RETRY_USEC (15 * G_USEC_PER_SEC)

struct _KeeperLive
{
  const SandboxSsh *ssh;
  const char *self, *uri, *object;
  int state_fd, inotify_fd;
  SandboxVirt *virt;
  GPtrArray *list;    /* of SandboxLiveShare */
  gboolean changed;   /* the list has to be read */
  gboolean connected; /* the machine has let us in anew: it may have rebooted */
  KeeperProcess mount, end;
  gint64 next_mount, next_end; /* monotonic; @next_mount 0: there is nothing to mount */
};

int
keeper_watch_state (int state_fd)
{
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", state_fd);
  sandbox_autofd int fd = inotify_init1 (IN_NONBLOCK | IN_CLOEXEC);

  if (fd < 0 || inotify_add_watch (fd, path, IN_CREATE | IN_MOVED_TO) < 0)
    return -1;
  return g_steal_fd (&fd);
}

KeeperLive *
keeper_live_new (const SandboxSsh *ssh, int state_fd, const char *self, SandboxVirt *virt,
                 const char *uri, const char *object)
{
  KeeperLive *live = g_new0 (KeeperLive, 1);

  live->ssh = ssh;
  live->state_fd = state_fd;
  live->self = self;
  live->virt = virt;
  live->uri = uri;
  live->object = object;
  live->inotify_fd = keeper_watch_state (state_fd);
  live->list = _sandbox_live_shares_read (state_fd);
  live->connected = TRUE;
  keeper_process_init (&live->mount);
  keeper_process_init (&live->end);
  _sandbox_live_state_write (state_fd, NULL);
  return live;
}

void
keeper_live_free (KeeperLive *live)
{
  keeper_process_clear (&live->mount);
  keeper_process_clear (&live->end);
  g_ptr_array_unref (live->list);
  sandbox_close_fd (&live->inotify_fd);
  _sandbox_live_state_write (live->state_fd, NULL);
  g_free (live);
}

void
keeper_live_poll (KeeperLive *live, GArray *pollfds)
{
  keeper_poll_add (pollfds, live->inotify_fd);
  keeper_poll_add (pollfds, live->mount.pid_fd);
  keeper_poll_add (pollfds, live->mount.stderr_fd);
  keeper_poll_add (pollfds, live->end.pid_fd);
  keeper_poll_add (pollfds, live->end.stderr_fd);
}

static void
notice (KeeperLive *live)
{
  char block[4096] __attribute__ ((aligned (__alignof__(struct inotify_event))));
  gssize n;

  if (live->inotify_fd < 0)
    live->changed = TRUE;
  while (live->inotify_fd >= 0 && (n = read (live->inotify_fd, block, sizeof block)) > 0)
    for (char *p = block; p < block + n;)
      {
        const struct inotify_event *event = (const struct inotify_event *)(gpointer)p;
        const char *name = event->len > 0 ? event->name : "";

        if ((event->mask & IN_Q_OVERFLOW) || g_str_equal (name, SANDBOX_LIVE_SHARES))
          live->changed = TRUE;
        if ((event->mask & IN_Q_OVERFLOW) || g_str_equal (name, SANDBOX_SSH_SOCKET))
          live->connected = TRUE;
        p += sizeof *event + event->len;
      }
}

/* --- mounting what a reboot has lost */

/* The whole command; NULL when there is nothing of the list in the machine. */
static char *
mount_command (const KeeperLive *live)
{
  g_autofree char *xml = _sandbox_virt_domain_xml (live->virt, live->object, TRUE, NULL);
  g_autoptr (SandboxDomainMeta) meta = xml ? _sandbox_xml_read_domain (xml, NULL) : NULL;
  g_autoptr (GPtrArray) shares = g_ptr_array_new ();

  for (guint i = 0; meta && i < meta->shares->len; i++)
    {
      SandboxPlanShare *share = g_ptr_array_index (meta->shares, i);

      if (_sandbox_live_shares_find (live->list, share->tag))
        g_ptr_array_add (shares, share);
    }
  return shares->len > 0 ? _sandbox_mount_command (live->ssh, shares, meta->uid, meta->gid, NULL)
                         : NULL;
}

static void
start_mount (KeeperLive *live)
{
  g_autofree char *command = mount_command (live);
  g_autoptr (GPtrArray) argv = NULL;

  live->next_mount = 0;
  if (!command)
    return;
  argv = _sandbox_ssh_argv (live->ssh, FALSE, TRUE);
  g_ptr_array_add (argv, g_strdup (command));
  _sandbox_live_state_write (live->state_fd, "being mounted again");
  if (!keeper_process_start (&live->mount, argv, live->self))
    live->next_mount = g_get_monotonic_time () + RETRY_USEC;
}

/* What it says of its shares is looked at by those who list them; here counts whether it
 * complained.
 */
static void
finish_mount (KeeperLive *live)
{
  const char *said = g_strchomp (live->mount.said->str);

  _sandbox_live_state_write (live->state_fd, *said ? said : NULL);
  if (*said)
    live->next_mount = g_get_monotonic_time () + RETRY_USEC;
}

static void
mount_step (KeeperLive *live)
{
  if (keeper_process_ended (&live->mount))
    finish_mount (live);
  if (live->connected && _sandbox_ssh_master_alive (live->ssh))
    {
      live->connected = FALSE;
      live->next_mount = g_get_monotonic_time ();
    }
  if (!live->mount.pid && live->next_mount && g_get_monotonic_time () >= live->next_mount)
    start_mount (live);
}

/* --- the end of those whose time is over */

char *
keeper_owner (SandboxVirt *virt, const char *object)
{
  g_autofree char *xml = _sandbox_virt_domain_xml (virt, object, TRUE, NULL);
  g_autoptr (SandboxDomainMeta) meta = xml ? _sandbox_xml_read_domain (xml, NULL) : NULL;

  return meta ? g_strdup (meta->owner) : NULL;
}

static void
start_end (KeeperLive *live, const SandboxLiveShare *share)
{
  g_autoptr (GPtrArray) argv = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *owner = keeper_owner (live->virt, live->object);
  const char *const words[] = { live->self, "--end-share", live->uri, live->ssh->state_path };

  live->next_end = g_get_monotonic_time () + RETRY_USEC;
  if (!owner)
    return;
  for (guint i = 0; i < G_N_ELEMENTS (words); i++)
    g_ptr_array_add (argv, g_strdup (words[i]));
  g_ptr_array_add (argv, g_strdup (owner));
  g_ptr_array_add (argv, g_strdup (share->tag));
  keeper_process_start (&live->end, argv, live->self);
}

/* When to look again, milliseconds. */
static int
end_step (KeeperLive *live)
{
  int wait_msec = -1;

  if (keeper_process_ended (&live->end) && *g_strchomp (live->end.said->str))
    _sandbox_live_state_write (live->state_fd, live->end.said->str);
  for (guint i = 0; i < live->list->len; i++)
    {
      const SandboxLiveShare *share = g_ptr_array_index (live->list, i);

      if (!share->until_usec)
        continue;
      wait_msec = TIMED_MSEC;
      if (share->until_usec <= g_get_real_time () && !live->end.pid
          && g_get_monotonic_time () >= live->next_end)
        start_end (live, share);
    }
  return wait_msec;
}

int
keeper_live_step (KeeperLive *live, gboolean *ret_changed)
{
  int wait_msec = live->inotify_fd < 0 ? LOOK_MSEC : -1;

  notice (live);
  *ret_changed = live->changed;
  if (live->changed)
    {
      g_ptr_array_unref (live->list);
      live->list = _sandbox_live_shares_read (live->state_fd);
      live->changed = FALSE;
      live->next_end = 0;
    }
  mount_step (live);
  wait_msec = keeper_sooner (wait_msec, end_step (live));
  if (live->next_mount || (live->connected && live->list->len > 0))
    wait_msec = keeper_sooner (wait_msec, TIMED_MSEC);
  return wait_msec;
}

SandboxHost *
keeper_host_open (const char *uri, const char *state_path, const char *owner, GError **error)
{
  SandboxHostOptions options = SANDBOX_HOST_OPTIONS_INIT;
  g_autofree char *state_dir = g_path_get_dirname (state_path);

  options.uri = uri;
  options.state_dir = state_dir;
  options.owner = owner;
  return sandbox_host_open (&options, NULL, error);
}

int
keeper_live_end (const char *uri, const char *state_path, const char *owner, const char *tag)
{
  g_autofree char *name = g_path_get_basename (state_path);
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxHost) host = keeper_host_open (uri, state_path, owner, &error);

  if (host && _sandbox_machine_end_share (host, name, tag, &error))
    return 0;
  fprintf (stderr, "ending the share %s: %s\n", tag, error->message);
  return 1;
}
