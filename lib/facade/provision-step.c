// SPDX-License-Identifier: LGPL-2.1-or-later
// Where verbs meet provisioning: the step that puts a new disk on the layers of its profile, and
// making layers ahead of time.
#include "facade/provision-private.h"

#include <string.h>

/* One that was made anew of the same, with the same digest before its time, is as good. */
static gboolean
is_same_layer (const char *a, const char *b)
{
  g_autofree char *a_id = _sandbox_layer_id_of_path (a), *b_id = _sandbox_layer_id_of_path (b);

  return strcmp (a, b) == 0
         || (a_id != NULL && b_id != NULL && strncmp (a_id, b_id, strcspn (a_id, "-") + 1) == 0);
}

gboolean
_sandbox_provision_differs (SandboxHost *host, SandboxProfile *profile,
                            const SandboxImageRef *image, gboolean *ret_differs, GError **error)
{
  SandboxLayering layering = { .host = host, .profile = profile, .no_build = TRUE };
  SandboxReport report = { NULL, NULL, "" };
  SandboxImageRef wanted = { .id = image->id, .disk = image->disk };
  g_autoptr (GError) local = NULL;
  gboolean found;

  layering.report = &report;
  found = _sandbox_layers_ensure (&layering, &wanted, NULL, NULL, &local);
  *ret_differs =
      !found || !is_same_layer (_sandbox_layer_top (&wanted), _sandbox_layer_top (image));
  g_strfreev (wanted.layers);
  if (found || g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

gboolean
_sandbox_provision_check (SandboxMachine *machine, SandboxProfile *profile, gboolean new_disk,
                          GError **error)
{
  g_autoptr (GPtrArray) groups = NULL;

  if (!new_disk)
    return TRUE;
  groups = _sandbox_provision_groups (machine->host, profile, error);
  return groups != NULL;
}

gboolean
_sandbox_provision_missing (SandboxHost *host, SandboxProfile *profile, SandboxImageRef *image,
                            char **ret_missing, GError **error)
{
  SandboxReport report = { NULL, NULL, "" };
  SandboxLayering layering = {
    .host = host, .report = &report, .profile = profile, .no_build = TRUE
  };
  g_autoptr (GPtrArray) groups = _sandbox_provision_groups (host, profile, error);
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GError) local = NULL;
  guint n_there;

  if (groups == NULL)
    return FALSE;
  if (image != NULL && !_sandbox_layers_ensure (&layering, image, NULL, NULL, &local)
      && !g_error_matches (local, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND))
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  n_there = image != NULL && image->layers != NULL ? g_strv_length (image->layers) : 0;
  for (guint i = n_there; i < groups->len; i++)
    {
      const SandboxGroup *group = groups->pdata[i];

      g_string_append_printf (text, "%s%s: %s", i > n_there ? "; " : "", group->id,
                              g_strchomp (group->what));
    }
  *ret_missing = text->len > 0 ? g_string_free (g_steal_pointer (&text), FALSE) : NULL;
  return TRUE;
}

gboolean
_sandbox_provision_changed (const SandboxLayering *layering, SandboxMachine *machine,
                            const SandboxImageRef *image)
{
  gboolean differs;

  return _sandbox_provision_differs (layering->host, layering->profile, image, &differs, NULL)
         && differs && !_sandbox_provision_is_noted (layering, machine);
}

/* A disk that is there keeps what it stands on, as with images. */
gboolean
_sandbox_step_provision (gpointer data, GCancellable *cancellable, GError **error)
{
  SandboxWork *work = data;
  SandboxLayering layering = { .host = work->host,
                               .report = &work->report,
                               .profile = work->profile,
                               .no_build = work->options.no_build };

  if (work->image == NULL)
    return TRUE;
  if (!work->image->pinned)
    return _sandbox_layers_ensure (&layering, work->image, NULL, cancellable, error);
  if (_sandbox_provision_changed (&layering, work->machine, work->image))
    _sandbox_report (&work->report, "changes",
                     "what its profile provisions has changed (applies at recreate, or at once by "
                     "`vms provision`)",
                     0, 0);
  return TRUE;
}

gboolean
sandbox_host_provision (SandboxHost *host, const char *profile_name,
                        const SandboxProvisionOptions *options, SandboxProgressFunc progress,
                        gpointer user_data, GCancellable *cancellable, char **ret_id,
                        GError **error)
{
  SandboxProvisionOptions own = SANDBOX_PROVISION_OPTIONS_INIT;
  SandboxReport report = { progress, user_data, profile_name };
  g_autoptr (SandboxProfile) profile = NULL;
  g_autoptr (SandboxImageRef) image = NULL;
  g_autoptr (GPtrArray) checked = NULL;
  g_autofree char *image_id = NULL, *id = NULL;
  SandboxLayering layering = { .host = host, .report = &report };

  if (!_sandbox_options_copy (&own, sizeof own, options, error))
    return FALSE;
  profile = sandbox_profile_load (&host->profiles, profile_name, error);
  /* the image takes minutes: what is wrong is said before */
  if (profile != NULL)
    checked = _sandbox_provision_groups (host, profile, error);
  if (checked == NULL
      || !sandbox_host_build_image (host, _sandbox_profile_values (profile)->image, FALSE, progress,
                                    user_data, cancellable, &image_id, error))
    return FALSE;
  image = _sandbox_image_ref (host, image_id, error);
  if (image == NULL)
    return FALSE;
  layering.profile = profile;
  layering.update = own.update;
  layering.debug = own.debug;
  if (!_sandbox_layers_ensure (&layering, image, &id, cancellable, error))
    return FALSE;
  if (ret_id != NULL)
    *ret_id = id != NULL ? g_strconcat ("layer-", id, NULL) : g_steal_pointer (&image_id);
  return TRUE;
}
