// SPDX-License-Identifier: LGPL-2.1-or-later
// Making layers. Each group of steps runs in a throwaway machine of its own on what is there
// already, without shares and with the network of mode=nat; the disk of that machine, cleaned of
// all that is its own, becomes the layer.
#include "facade/provision-private.h"

#include <string.h>

#define CLEAN_USEC (5 * 60 * G_USEC_PER_SEC)
#define STOP_USEC  (3 * 60 * G_USEC_PER_SEC)
#define START_USEC (10 * 60 * G_USEC_PER_SEC)

typedef struct
{
  const SandboxLayering *layering;
  const SandboxGroup *group;
  SandboxImageRef *image; /* what the layer is made on */
  char *digest, *id;
  guint64 bytes;      /* what the profile's disk= says: room to install in */
  const char *parent; /* id of the layer or the image below */
  SandboxMachine *machine;
  SandboxGroupRun run;
  SandboxLock *lock;
} Build;

static void
build_clear (Build *build)
{
  _sandbox_group_run_clear (&build->run);
  /* with the last reference the machine goes */
  g_clear_pointer (&build->machine, sandbox_machine_unref);
  g_clear_pointer (&build->lock, sandbox_lock_remove);
  g_free (build->digest);
  g_free (build->id);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Build, build_clear)

int
_sandbox_layer_lock_fd (SandboxHost *host, gboolean create, GError **error)
{
  g_autofree char *path = g_build_filename (host->cache_dir, "layers", NULL);

  return sandbox_dir_open (path, create, error);
}

/* --- the machine */

static void
say (const Build *build, const char *note)
{
  _sandbox_report (build->layering->report, build->group->id, note, 0, 0);
}

/* Nothing of what the user's defaults say, shares above all: what is installed comes from the
 * internet, and nothing else is within reach. That stands in the text, because a machine that is
 * kept for a look at a failure is started again by it, with whoever took it over in it. Its disk
 * stands on the image itself, as the layer will: never on one that kept memory needs. */
static char *
profile_text (const Build *build)
{
  const SandboxProfileValues *values = _sandbox_profile_values (build->layering->profile);
  GString *text = g_string_new ("[profile]\ninherits=base\ndefaults=no\n");
  g_autofree char *forbid = g_strjoinv (";", values->forbid);

  g_string_append_printf (
      text,
      "[machine]\nencrypt=no\nstart=boot\nimage=%s\nuser=%s\naccel=%s\ndisk=%" G_GUINT64_FORMAT
      "KiB\n",
      values->image, values->user, _sandbox_accel_to_string (values->accel), build->bytes / 1024);
  if (values->cpus > 0)
    g_string_append_printf (text, "cpus=%u\n", values->cpus);
  if (values->memory_bytes > 0)
    g_string_append_printf (text, "memory=%" G_GUINT64_FORMAT "KiB\n", values->memory_bytes / 1024);
  g_string_append (text, "[network]\nmode=nat\negress=\nallow=\nforward=\nhost=\n"
                         "[provision]\nuse=\npackages=\nnpm=\nsetup=\nfiles=\nenv=\n");
  g_string_append_printf (text, "[policy]\nforbid=%s\n", forbid);
  return g_string_free (text, FALSE);
}

/* Its own progress is not told step by step: it is one step of ours. */
static gboolean
start_machine (gpointer data, GCancellable *cancellable, GError **error)
{
  Build *build = data;
  g_autofree char *text = profile_text (build);
  g_autofree char *note =
      g_strdup_printf ("%s: starting a machine for: %s", build->group->id, build->group->what);

  say (build, note);
  build->machine = _sandbox_host_run_bare (build->layering->host, text, build->image, NULL,
                                           START_USEC, cancellable, error);
  if (build->machine == NULL)
    return FALSE;
  return _sandbox_group_run_init (&build->run, build->machine, build->layering, build->group,
                                  error);
}

static void
end_machine (gpointer data)
{
  Build *build = data;

  _sandbox_group_run_clear (&build->run);
  g_clear_pointer (&build->machine, sandbox_machine_unref);
}

/* --- what runs in it */

static gboolean
send_bundle (gpointer data, GCancellable *cancellable, GError **error)
{
  return _sandbox_group_send (&((Build *)data)->run, cancellable, error);
}

static gboolean
run_group (gpointer data, GCancellable *cancellable, GError **error)
{
  Build *build = data;
  g_autoptr (SandboxPlan) plan =
      sandbox_machine_plan (build->machine, NULL, NULL, cancellable, error);

  return plan != NULL && _sandbox_group_run (&build->run, plan, cancellable, error);
}

/* Scripts, and what packages bring with them, have put in what they like. */
static gboolean
check_policy (gpointer data, GCancellable *cancellable, GError **error)
{
  return _sandbox_group_look (&((Build *)data)->run, cancellable, error);
}

static gboolean
clean_guest (gpointer data, GCancellable *cancellable, GError **error)
{
  return _sandbox_group_script (&((Build *)data)->run, "clean", NULL, CLEAN_USEC, cancellable,
                                error);
}

/* --- the layer */

static gboolean
stop_machine (gpointer data, GCancellable *cancellable, GError **error)
{
  Build *build = data;
  g_autofree char *note = g_strdup_printf ("%s: powering the machine off", build->group->id);

  say (build, note);
  return sandbox_machine_stop (build->machine, FALSE, STOP_USEC, NULL, NULL, cancellable, error);
}

static gboolean
copy_disk (gpointer data, GCancellable *cancellable, GError **error)
{
  Build *build = data;
  SandboxHost *host = build->layering->host;
  g_autoptr (GDateTime) now = g_date_time_new_now_utc ();
  g_autofree char *time = g_date_time_format (now, "%Y%m%dT%H%M%S");
  g_autofree char *from = g_strconcat (build->machine->object, ".qcow2", NULL);
  g_autofree char *to = NULL, *xml = NULL, *note = NULL;

  if (!_sandbox_layer_check_below (host, from, build->image, error))
    return FALSE;
  build->id = g_strdup_printf ("%s-%s", build->digest, time);
  to = g_strconcat ("layer.", build->id, ".qcow2", NULL);
  note = g_strdup_printf ("%s: keeping its disk as a layer", build->group->id);
  say (build, note);
  xml = _sandbox_xml_base_volume (to, build->bytes, _sandbox_layer_top (build->image));
  return _sandbox_virt_volume_clone (host->virt, from, xml, error);
}

static void
remove_layer (gpointer data)
{
  Build *build = data;

  if (build->id != NULL)
    _sandbox_layer_remove_volumes (build->layering->host, build->id, NULL);
}

static const char *
subject_of (const SandboxLayering *layering)
{
  return _sandbox_provision_subject (&layering->host->profiles, layering->profile);
}

/* All of it is ours or was checked when it was read, but for what people are shown, which is
 * escaped for a terminal and here for JSON. */
static char *
manifest_text (const Build *build)
{
  const SandboxProfileValues *values = _sandbox_profile_values (build->layering->profile);
  g_autofree char *what = g_strescape (build->group->what, "\b\f\n\r\t\v");

  return g_strdup_printf (
      "{\n  \"format\": 1,\n  \"id\": \"%s\",\n  \"uid\": %u,\n  \"profile\": "
      "\"%s\",\n  \"user\": \"%s\",\n  \"image\": \"%s\",\n  \"parent\": "
      "\"%s\",\n  \"step\": \"%s\",\n  \"what\": \"%s\",\n  \"registry\": \"%s\"\n}\n",
      build->id, build->layering->host->uid, subject_of (build->layering), values->user,
      build->image->id, build->parent, build->group->id, what,
      build->run.registry != NULL ? build->run.registry : "");
}

static gboolean
write_manifest (gpointer data, GCancellable *cancellable, GError **error)
{
  Build *build = data;
  SandboxVirt *virt = build->layering->host->virt;
  g_autofree char *name = g_strconcat ("layer.", build->id, ".json", NULL);
  g_autofree char *text = manifest_text (build);
  g_autofree char *xml = _sandbox_xml_raw_volume (name, strlen (text), 0644);

  return _sandbox_virt_volume_create (virt, xml, NULL, error)
         && _sandbox_virt_volume_upload (virt, name, text, strlen (text), error);
}

static const SandboxStep steps[] = {
  { "machine", "starting a machine for it", start_machine, end_machine },
  { "send", "sending what it needs", send_bundle, NULL },
  { "run", "installing", run_group, NULL },
  { "policy", "looking for what is forbidden", check_policy, NULL },
  { "clean", "removing what is the machine's own", clean_guest, NULL },
  { "stop", "powering off", stop_machine, NULL },
  { "copy", "keeping the disk", copy_disk, remove_layer },
  { "manifest", "completing the layer", write_manifest, NULL },
};

/* --- which layers */

/* One at a time makes a layer; who waited finds it made. */
static gboolean
lock_layer (Build *build, GCancellable *cancellable, GError **error)
{
  SandboxHost *host = build->layering->host;
  g_autofree char *file = g_strconcat (build->digest, ".lock", NULL);
  sandbox_autofd int fd = _sandbox_layer_lock_fd (host, TRUE, error);

  if (fd >= 0)
    build->lock = sandbox_lock_acquire (fd, file, "provisioning", -1, _sandbox_on_lock_wait,
                                        (gpointer)build->layering->report, cancellable, error);
  return build->lock != NULL;
}

static gboolean
make_layer (Build *build, GCancellable *cancellable, GError **error)
{
  const SandboxLayering *layering = build->layering;
  const char *profile = subject_of (layering);
  g_autofree char *before = NULL;

  /* what is there now is not new enough for an update, what somebody else makes meanwhile is */
  if (!_sandbox_layer_find (layering->host, build->digest, build->bytes, &before, error))
    return FALSE;
  if (before != NULL && !layering->update)
    {
      build->id = g_steal_pointer (&before);
      return TRUE;
    }
  if (layering->no_build)
    return sandbox_fail (error, SANDBOX_ERROR_NOT_FOUND,
                         "%s: its provisioning (%s) was not made yet; run `vms image build %s`",
                         profile, build->group->what, profile);
  if (!lock_layer (build, cancellable, error)
      || !_sandbox_layer_find (layering->host, build->digest, build->bytes, &build->id, error))
    return FALSE;
  if (build->id != NULL && g_strcmp0 (build->id, before) != 0)
    return TRUE;
  g_clear_pointer (&build->id, g_free);
  return _sandbox_layer_clean (layering->host, build->digest, error)
         && sandbox_steps_run ("provision", steps, G_N_ELEMENTS (steps), build, NULL, NULL,
                               cancellable, error);
}

static void
copy_ids (GPtrArray *to, const GPtrArray *from)
{
  g_ptr_array_set_size (to, 0);
  for (guint i = 0; i < from->len; i++)
    g_ptr_array_add (to, g_strdup (from->pdata[i]));
}

/* To @longest: of all chains of layers that are there for @groups, on the image @ids[0], the
 * longest one, and the newest of these. What goes by the newest first layer alone loses the whole
 * chain on an older one as soon as somebody has begun another. */
static gboolean
find_chain (const SandboxLayering *layering, const GPtrArray *groups, guint64 bytes, GPtrArray *ids,
            GPtrArray *longest, GError **error)
{
  const SandboxHost *host = layering->host;
  guint n = ids->len - 1;
  g_autofree char *digest = NULL;
  g_autoptr (GPtrArray) found = NULL;

  if (ids->len > longest->len)
    copy_ids (longest, ids);
  if (n == groups->len)
    return TRUE;
  digest =
      _sandbox_provision_digest (ids->pdata[n], groups->pdata[n],
                                 _sandbox_profile_values (layering->profile), host->uid, host->gid);
  found = _sandbox_layer_fitting (layering->host, digest, bytes, error);
  for (guint i = 0; found != NULL && i < found->len && longest->len <= groups->len; i++)
    {
      g_ptr_array_add (ids, g_strdup (found->pdata[i]));
      if (!find_chain (layering, groups, bytes, ids, longest, error))
        return FALSE;
      g_ptr_array_set_size (ids, (gint)n + 1);
    }
  return found != NULL;
}

/* The layer of the group that comes next in @ids, which gets its id. */
static gboolean
make_next (const SandboxLayering *layering, const GPtrArray *groups, guint64 bytes,
           SandboxImageRef *image, GPtrArray *ids, GCancellable *cancellable, GError **error)
{
  const SandboxHost *host = layering->host;
  SandboxLayering one = *layering;
  g_auto (Build) build = { .layering = &one, .group = groups->pdata[ids->len - 1], .image = image };

  build.parent = ids->pdata[ids->len - 1];
  build.bytes = bytes;
  build.digest = _sandbox_provision_digest (
      build.parent, build.group, _sandbox_profile_values (layering->profile), host->uid, host->gid);
  /* the first one anew: then the next ones stand on another parent, and are new by themselves */
  one.update = layering->update && ids->len == 1;
  if (!make_layer (&build, cancellable, error)
      || !_sandbox_layer_use (layering->host, build.id, image, error))
    return FALSE;
  g_ptr_array_add (ids, g_steal_pointer (&build.id));
  return TRUE;
}

gboolean
_sandbox_layers_ensure (const SandboxLayering *layering, SandboxImageRef *image, char **ret_id,
                        GCancellable *cancellable, GError **error)
{
  const SandboxProfileValues *values = _sandbox_profile_values (layering->profile);
  g_autoptr (GPtrArray) groups =
      _sandbox_provision_groups (layering->host, layering->profile, error);
  g_autoptr (GPtrArray) first = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GPtrArray) ids = g_ptr_array_new_with_free_func (g_free); /* the image's before all */
  guint64 bytes = MAX (values->disk_bytes, image->bytes);

  g_ptr_array_add (first, g_strdup (image->id));
  copy_ids (ids, first);
  if (groups == NULL
      || (!layering->update && !find_chain (layering, groups, bytes, first, ids, error)))
    return FALSE;
  for (guint i = 1; i < ids->len; i++)
    if (!_sandbox_layer_use (layering->host, ids->pdata[i], image, error))
      return FALSE;
  while (ids->len <= groups->len)
    if (!make_next (layering, groups, bytes, image, ids, cancellable, error))
      return FALSE;
  if (ret_id != NULL)
    *ret_id = groups->len > 0 ? g_strdup (ids->pdata[groups->len]) : NULL;
  return TRUE;
}
