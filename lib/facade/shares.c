// SPDX-License-Identifier: LGPL-2.1-or-later
// Shared directories on the host: made when wanted, found without links, checked, and kept apart
// from those of other machines.
//
// Root in a machine may put anything into what is shared with it, symbolic links that belong to the
// host's user included. So no path that we hand to libvirt may lead through another machine's
// share: that machine would choose what this one gets.
#include "facade/facade-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *
_sandbox_path_resolve (const char *path)
{
  g_autofree char *rest = g_strdup ("");
  g_autofree char *head = g_strdup (path);

  while (strcmp (head, "/") != 0)
    {
      char *real = realpath (head, NULL);
      char *parent, *longer;

      if (real != NULL)
        {
          char *result = g_strconcat (real, rest, NULL);

          free (real);
          return result;
        }
      longer = g_strconcat (strrchr (head, '/'), rest, NULL);
      g_free (rest);
      rest = longer;
      parent = g_path_get_dirname (head);
      g_free (head);
      head = parent;
    }
  return g_strdup (path);
}

void
_sandbox_shares_pin (SandboxPlan *plan)
{
  for (guint i = 0; i < plan->shares->len; i++)
    {
      SandboxPlanShare *share = plan->shares->pdata[i];
      char *resolved = _sandbox_path_resolve (share->source);

      g_free (share->source);
      share->source = resolved;
      resolved = _sandbox_path_resolve (share->door);
      g_free (share->door);
      share->door = resolved;
    }
}

/* Makes @path with its parents, private; what was made is remembered, outermost first. */
static gboolean
make_directories (SandboxWork *work, const char *path, GError **error)
{
  g_autofree char *parent = g_path_get_dirname (path);

  if (g_file_test (path, G_FILE_TEST_IS_DIR))
    return TRUE;
  if (strcmp (parent, path) != 0 && !make_directories (work, parent, error))
    return FALSE;
  if (mkdir (path, 0700) < 0)
    return sandbox_fail_errno (error, errno, "start %s: making the shared directory %s",
                               work->machine->name, path);
  if (work->made.directories == NULL)
    work->made.directories = g_ptr_array_new_with_free_func (g_free);
  g_ptr_array_add (work->made.directories, g_strdup (path));
  return TRUE;
}

/* As whom the source has to be fit for sharing: root may share what belongs to the guest's user,
 * too. */
static uid_t
share_owner (const SandboxWork *work, const SandboxPlanShare *share)
{
  struct stat info;

  if (work->host->uid == 0 && stat (share->source, &info) == 0 && info.st_uid == work->plan->uid)
    return work->plan->uid;
  return work->host->uid;
}

static gboolean
check_share (SandboxWork *work, guint index, GError **error)
{
  const SandboxPlanShare *share = work->plan->shares->pdata[index];
  g_autofree char *resolved = NULL;

  if (!sandbox_share_source_check (share->source, share_owner (work, share), &resolved, error))
    return FALSE;
  if (strcmp (resolved, share->source) != 0)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "sharing directory %s: it became a link to %s just now; try again",
                         share->source, resolved);
  for (guint i = 0; i < work->plan->shares->len; i++)
    {
      const SandboxPlanShare *other = work->plan->shares->pdata[i];

      if (i != index && sandbox_path_overlaps (share->source, other->source))
        return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                             "sharing directory %s: it and %s of the share \"%s\" lie one in the "
                             "other; use separate directories",
                             share->source, other->source, other->tag);
    }
  return TRUE;
}

gboolean
_sandbox_share_make (SandboxWork *work, guint index, GError **error)
{
  const SandboxPlanShare *share = work->plan->shares->pdata[index];

  if (share->create && !g_file_test (share->source, G_FILE_TEST_EXISTS))
    {
      if (!make_directories (work, share->source, error))
        return FALSE;
      /* Root's guests have an ordinary user all the same, who could not write in a directory of
       * root's. */
      if (work->host->uid == 0 && chown (share->source, work->plan->uid, work->plan->gid) < 0)
        return sandbox_fail_errno (error, errno, "start %s: giving %s to uid %u",
                                   work->machine->name, share->source, work->plan->uid);
    }
  return check_share (work, index, error);
}

gboolean
_sandbox_step_shares (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  gboolean added = work->options.shares != NULL && work->options.shares[0] != NULL;

  /* a running machine keeps the shares it has; one that was just asked for is checked all the same,
   * before it stays in the profile */
  if (_sandbox_pieces_running (&work->pieces) && !added)
    return TRUE;
  for (guint i = 0; i < work->plan->shares->len; i++)
    if (!_sandbox_share_make (work, i, error))
      {
        g_prefix_error (error,
                        "share \"%s\": ", ((SandboxPlanShare *)work->plan->shares->pdata[i])->tag);
        return FALSE;
      }
  return _sandbox_pieces_running (&work->pieces)
         || _sandbox_share_doors_write (work, cancellable, error);
}

void
_sandbox_undo_shares (gpointer data)
{
  SandboxWork *work = data;

  for (guint i = work->made.directories != NULL ? work->made.directories->len : 0; i > 0; i--)
    rmdir (work->made.directories->pdata[i - 1]);
}

/* Calls @func for each of the user's machines but @except (nullable), until it returns FALSE. */
static gboolean
each_machine (SandboxHost *host, const char *except,
              gboolean (*func) (const SandboxDomainMeta *meta, gpointer user_data, GError **error),
              gpointer user_data, GError **error)
{
  g_autofree char *prefix = _sandbox_host_prefix (host);
  g_autoptr (GPtrArray) domains = _sandbox_virt_list_domains (host->virt, prefix, error);

  if (domains == NULL)
    return FALSE;
  for (guint i = 0; i < domains->len; i++)
    {
      const SandboxVirtDomain *domain = domains->pdata[i];
      g_autoptr (SandboxDomainMeta) meta = NULL;
      g_autoptr (GError) local = NULL;
      g_autofree char *xml = NULL;

      if (g_strcmp0 (domain->name, except) == 0)
        continue;
      /* as it runs: it may have got shares since it was started */
      xml = _sandbox_virt_domain_xml (host->virt, domain->name, TRUE, &local);
      /* one that vanished meanwhile shares nothing; of another one that cannot be read nobody knows
       */
      if (xml == NULL && !g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return FALSE;
        }
      /* without our words in it, it is none of ours */
      meta = xml != NULL ? _sandbox_xml_read_domain (xml, NULL) : NULL;
      if (meta != NULL && !func (meta, user_data, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
check_apart (const SandboxDomainMeta *meta, gpointer user_data, GError **error)
{
  const SandboxPlan *plan = user_data;

  for (guint i = 0; i < plan->shares->len; i++)
    for (guint k = 0; k < meta->shares->len; k++)
      {
        const SandboxPlanShare *mine = plan->shares->pdata[i], *theirs = meta->shares->pdata[k];

        /* the same directory in both is the user's choice, and neither can turn it elsewhere */
        if (strcmp (mine->source, theirs->source) == 0
            || !sandbox_path_overlaps (mine->source, theirs->source))
          continue;
        return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                             "start %s: its share %s and %s, which machine \"%s\" shares, lie one "
                             "in the other: what runs in one machine could choose what the other "
                             "one gets; share separate directories, or the same one",
                             plan->name, mine->source, theirs->source, meta->name);
      }
  return TRUE;
}

gboolean
_sandbox_shares_check_apart (SandboxWork *work, GError **error)
{
  return work->plan->shares->len == 0
         || each_machine (work->host, work->machine->object, check_apart, work->plan, error);
}

static gboolean
add_shares (const SandboxDomainMeta *meta, gpointer user_data, GError **error)
{
  for (guint i = 0; i < meta->shares->len; i++)
    {
      const SandboxPlanShare *share = meta->shares->pdata[i];

      g_ptr_array_add (user_data, _sandbox_path_resolve (share->source));
    }
  return TRUE;
}

char **
_sandbox_shares_of_all (SandboxHost *host, GError **error)
{
  g_autoptr (GPtrArray) places = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *boxes = g_build_filename (host->home, "vms", NULL);

  /* also what machines that are gone have left there */
  g_ptr_array_add (places, _sandbox_path_resolve (boxes));
  if (!each_machine (host, NULL, add_shares, places, error))
    return NULL;
  g_ptr_array_add (places, NULL);
  return (char **)g_ptr_array_free (g_steal_pointer (&places), FALSE);
}
