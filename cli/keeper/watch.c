// SPDX-License-Identifier: LGPL-2.1-or-later
// Shares of mode=review: what changes on the host is seen in the machine. An overlay keeps what it
// has looked up: a name that came, or went, or means something else on the host stays as it was in
// the machine, or is a "Stale file handle". So the host's directory is watched, and after a change
// the machine forgets.
#include "keeper.h"

#include "base/file.h"
#include "xml/xml-private.h"

#include <string.h>
#include <unistd.h>

/* Changes come in crowds: the machine forgets this long after the first of them, and not more often
 * than that. */
#define GATHER_USEC (100 * 1000)
#define PAUSE_USEC  (400 * 1000)
/* Below the overlay the guest's kernel believes what it has looked up for a second (the file server
 * says so). What the machine looked up meanwhile may still be the old: so it forgets once more
 * after that. And what a process was just walking through cannot be forgotten in that moment; nor
 * does anything tell so, when the process has let go of it since. So it is done again, some more
 * times, after the last change. */
static const gint64 settle_usec[] = {
  1100 * 1000,         3 * G_USEC_PER_SEC,  9 * G_USEC_PER_SEC,
  27 * G_USEC_PER_SEC, 81 * G_USEC_PER_SEC, 243 * G_USEC_PER_SEC
};
/* Where nothing tells of changes. */
#define PERIOD_USEC (800 * 1000)
/* What a process held is tried again. */
#define HELD_USEC (2 * G_USEC_PER_SEC)
/* How often at once: those who read the same without a pause leave it alone only for moments. */
#define TRIES         1
#define SETTLED_TRIES 6

struct _KeeperWatch
{
  int state_fd;
  GPtrArray *shares, *trees;         /* of SandboxPlanShare, of KeeperTree; side by side */
  KeeperRefresh *refresh;            /* NULL: there are no such shares */
  gint64 due, settle, asked, looked; /* monotonic; 0: not */
  guint n_settled;                   /* since the last change */
  guint32 told;                      /* what the state file was written for */
};

static GPtrArray *
find_shares (SandboxVirt *virt, const char *object)
{
  g_autofree char *xml = _sandbox_virt_domain_xml (virt, object, TRUE, NULL);
  SandboxDomainMeta *meta = xml ? _sandbox_xml_read_domain (xml, NULL) : NULL;
  GPtrArray *shares = g_ptr_array_new_with_free_func (_sandbox_plan_share_free);

  for (guint i = 0; meta && i < meta->shares->len; i++)
    {
      const SandboxPlanShare *share = g_ptr_array_index (meta->shares, i);

      if (share->mode == SANDBOX_SHARE_REVIEW)
        {
          SandboxPlanShare *own = g_new0 (SandboxPlanShare, 1);

          own->tag = g_strdup (share->tag);
          own->source = g_strdup (share->source);
          own->target = g_strdup (share->target);
          g_ptr_array_add (shares, own);
        }
    }
  _sandbox_domain_meta_free (meta);
  return shares;
}

KeeperWatch *
keeper_watch_new (const SandboxSsh *ssh, int state_fd, const char *self, SandboxVirt *virt,
                  const char *object)
{
  KeeperWatch *watch = g_new0 (KeeperWatch, 1);

  watch->state_fd = state_fd;
  watch->shares = find_shares (virt, object);
  watch->trees = g_ptr_array_new_with_free_func ((GDestroyNotify)keeper_tree_free);
  for (guint i = 0; i < watch->shares->len; i++)
    {
      const SandboxPlanShare *share = g_ptr_array_index (watch->shares, i);

      g_ptr_array_add (watch->trees, keeper_tree_new (share->source, KEEPER_TREE_MAX));
    }
  if (watch->shares->len > 0)
    watch->refresh = keeper_refresh_new (ssh, self, watch->shares);
  unlinkat (state_fd, SANDBOX_SHARE_STATE, 0);
  return watch;
}

void
keeper_watch_poll (KeeperWatch *watch, GArray *pollfds)
{
  for (guint i = 0; i < watch->trees->len; i++)
    keeper_poll_add (pollfds, keeper_tree_fd (g_ptr_array_index (watch->trees, i)));
  if (watch->refresh)
    keeper_refresh_poll (watch->refresh, pollfds);
}

static void
note_change (KeeperWatch *watch, gint64 now)
{
  if (!watch->due)
    watch->due = MAX (now + GATHER_USEC, watch->asked + PAUSE_USEC);
  watch->n_settled = 0;
  watch->settle = now + settle_usec[0];
}

/* Written when it says something new. */
static void
tell (KeeperWatch *watch)
{
  g_autoptr (GArray) shares = g_array_new (FALSE, FALSE, sizeof (SandboxShareEdits));
  const GPtrArray *held = keeper_refresh_held (watch->refresh);
  const char *problem = NULL;
  gboolean works = keeper_refresh_works (watch->refresh, &problem);
  guint32 now = 1 + works + 31 * g_str_hash (problem ? problem : "");

  for (guint i = 0; i < watch->trees->len; i++)
    {
      const KeeperTree *tree = g_ptr_array_index (watch->trees, i);
      SandboxShareEdits edits = {
        .tag = ((SandboxPlanShare *)watch->shares->pdata[i])->tag,
        .how = !works || keeper_tree_is_gone (tree) ? SANDBOX_EDITS_UNSEEN
               : keeper_tree_is_whole (tree)        ? SANDBOX_EDITS_WATCHED
                                                    : SANDBOX_EDITS_PERIODIC,
        .directories = keeper_tree_size (tree),
      };

      if (works && keeper_tree_is_gone (tree))
        problem = "the directory was replaced on the host: restart the machine";
      now = now * 31 + edits.how * 7 + edits.directories;
      g_array_append_val (shares, edits);
    }
  for (guint i = 0; i < held->len; i++)
    now = now * 31 + g_str_hash (((SandboxShareHeld *)held->pdata[i])->path)
          + (guint32)((SandboxShareHeld *)held->pdata[i])->pid;
  if (now == watch->told || !_sandbox_share_state_write (watch->state_fd, shares, held, problem))
    return;
  watch->told = now;
}

static int
until (gint64 then, gint64 now)
{
  return then ? (int)MAX (1, (then - now) / 1000 + 1) : -1;
}

/* Whatever is due; it waits while the machine is still at the last. What is held is looked for when
 * there is some quiet, or from time to time. */
static void
ask (KeeperWatch *watch, gint64 now)
{
  gboolean due = watch->due && now >= watch->due;
  gboolean settled = watch->settle && now >= watch->settle;
  gboolean look = settled || now >= watch->looked + HELD_USEC;
  guint tries = settled ? SETTLED_TRIES : look ? TRIES : 0;

  if ((!due && !settled) || !keeper_refresh_ask (watch->refresh, tries))
    return;
  watch->asked = now;
  watch->due = 0;
  if (look)
    watch->looked = now;
  if (!settled)
    return;
  watch->n_settled++;
  watch->settle =
      watch->n_settled < G_N_ELEMENTS (settle_usec) ? now + settle_usec[watch->n_settled] : 0;
}

int
keeper_watch_step (KeeperWatch *watch)
{
  gint64 now = g_get_monotonic_time ();
  gboolean more = FALSE, whole = TRUE;
  int timeout_msec;

  if (!watch->refresh)
    return -1;
  for (guint i = 0; i < watch->trees->len; i++)
    {
      KeeperTree *tree = g_ptr_array_index (watch->trees, i);
      gboolean changed = FALSE;

      more = keeper_tree_step (tree, &changed) || more;
      whole = whole && keeper_tree_is_whole (tree);
      if (changed)
        note_change (watch, now);
    }
  timeout_msec = keeper_refresh_step (watch->refresh);
  if (!watch->due && !whole)
    watch->due = watch->asked + PERIOD_USEC;
  if (!watch->due && keeper_refresh_held (watch->refresh)->len > 0)
    watch->due = watch->asked + HELD_USEC;
  ask (watch, now);
  tell (watch);
  /* while the machine is at the last one, its answer is what comes next */
  if (keeper_refresh_is_ready (watch->refresh))
    timeout_msec = keeper_sooner (
        timeout_msec, keeper_sooner (until (watch->due, now), until (watch->settle, now)));
  return more ? 0 : timeout_msec;
}

void
keeper_watch_free (KeeperWatch *watch)
{
  if (watch->refresh)
    keeper_refresh_free (watch->refresh);
  g_ptr_array_unref (watch->trees);
  g_ptr_array_unref (watch->shares);
  unlinkat (watch->state_fd, SANDBOX_SHARE_STATE, 0);
  g_free (watch);
}
