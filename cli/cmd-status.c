// SPDX-License-Identifier: LGPL-2.1-or-later
// vms status
#include <stdio.h>
#include <string.h>

#include "context.h"

#define COPIES_SHOWN 10

static const char *
forward_kind (const SandboxForward *forward)
{
  return forward->kind == SANDBOX_FORWARD_TO_GUEST ? "forward" : "host";
}

static void
json_forwards (JsonBuilder *builder, const SandboxMachineStatus *status)
{
  json_builder_set_member_name (builder, "forwards");
  json_builder_begin_array (builder);
  for (guint i = 0; i < status->forwards->len; i++)
    {
      const SandboxForward *forward = g_ptr_array_index (status->forwards, i);

      json_builder_begin_object (builder);
      vms_json_string (builder, "kind", forward_kind (forward));
      vms_json_string (builder, "ports", forward->spec);
      json_builder_end_object (builder);
    }
  json_builder_end_array (builder);
}

static void
json_stale (JsonBuilder *builder, const SandboxShareStatus *share)
{
  json_builder_set_member_name (builder, "stale");
  json_builder_begin_array (builder);
  for (guint i = 0; i < share->stale->len; i++)
    {
      const SandboxStalePath *stale = g_ptr_array_index (share->stale, i);

      json_builder_begin_object (builder);
      vms_json_string (builder, "path", stale->path);
      vms_json_string (builder, "process", stale->process);
      vms_json_int (builder, "pid", stale->pid);
      json_builder_end_object (builder);
    }
  json_builder_end_array (builder);
}

static void
json_paths (JsonBuilder *builder, const char *member, const GPtrArray *paths)
{
  json_builder_set_member_name (builder, member);
  json_builder_begin_array (builder);
  for (guint i = 0; i < paths->len; i++)
    json_builder_add_string_value (builder, g_ptr_array_index (paths, i));
  json_builder_end_array (builder);
}

static void
json_status (JsonBuilder *builder, const SandboxMachineStatus *status)
{
  g_auto (GStrv) changes = g_strsplit (status->changes, "\n", -1);

  json_builder_begin_object (builder);
  vms_json_string (builder, "name", status->name);
  vms_json_string (builder, "state", sandbox_state_to_string (status->state));
  vms_json_string (builder, "profile", status->profile);
  vms_json_string (builder, "uuid", status->uuid);
  vms_json_string (builder, "object", status->object);
  vms_json_string (builder, "image", status->image);
  vms_json_string (builder, "accel", status->accel);
  vms_json_string (builder, "accel_reason", status->accel_reason);
  vms_json_string (builder, "address", status->address);
  vms_json_string (builder, "user", status->user);
  vms_json_int (builder, "cpus", status->cpus);
  vms_json_int (builder, "memory_bytes", (gint64)status->memory_bytes);
  vms_json_int (builder, "disk_bytes", (gint64)status->disk_bytes);
  vms_json_int (builder, "disk_limit_bytes", (gint64)status->disk_limit_bytes);
  vms_json_bool (builder, "encrypted", status->encrypted);
  vms_json_int (builder, "snapshots", status->snapshots);
  vms_json_int (builder, "keeper_pid", status->keeper_pid);
  vms_json_bool (builder, "ssh_ready", status->ssh_ready);
  vms_json_string (builder, "unapplied", status->unapplied);
  vms_json_string (builder, "paused", status->paused);
  vms_json_string (builder, "started", status->started);
  vms_json_string (builder, "reaches", status->reaches);
  vms_json_strings (builder, "layers", status->layers);
  vms_json_bool (builder, "provision_changed", status->provision_changed);
  vms_json_strings (builder, "changes", *status->changes != '\0' ? changes : NULL);
  vms_json_string (builder, "problem", status->problem);
  json_builder_set_member_name (builder, "shares");
  json_builder_begin_array (builder);
  for (guint i = 0; status->shares != NULL && i < status->shares->len; i++)
    {
      const SandboxShareStatus *share = g_ptr_array_index (status->shares, i);
      json_builder_begin_object (builder);
      vms_json_string (builder, "name", share->name);
      vms_json_string (builder, "source", share->source);
      vms_json_string (builder, "target", share->target);
      vms_json_string (builder, "mode", share->mode);
      vms_json_string (builder, "edits", share->edits);
      vms_json_string (builder, "edits_reason", share->edits_reason);
      json_stale (builder, share);
      json_paths (builder, "own_copies", share->own_copies);
      json_paths (builder, "foreign", share->foreign);
      vms_json_int (builder, "n_foreign", share->n_foreign);
      vms_json_bool (builder, "foreign_partly", share->foreign_partly);
      vms_json_time (builder, "until", share->until_usec);
      vms_json_string (builder, "problem", share->problem);
      json_builder_end_object (builder);
    }
  json_builder_end_array (builder);
  json_forwards (builder, status);
  json_builder_end_object (builder);
}

/* A line "label: text"; nothing when there is no text. */
static void
line (const char *label, const char *text)
{
  g_autofree char *shown = vms_escape (text);

  if (*text != '\0')
    printf ("  %-10s %s\n", label, shown);
}

/* Only what is not as it should be. */
static void
print_edits (const SandboxShareStatus *share)
{
  gboolean unseen = strcmp (share->edits, "unseen") == 0;

  if (unseen || strcmp (share->edits, "periodic") == 0)
    {
      g_autofree char *text =
          g_strdup_printf ("%s: %s (%s)", share->name,
                           unseen ? "edits on the host may not be seen in the machine"
                                  : "not watched: it looks up all names there anew all the time",
                           share->edits_reason);
      line ("edits", text);
    }
  for (guint i = 0; i < share->stale->len; i++)
    {
      const SandboxStalePath *stale = g_ptr_array_index (share->stale, i);
      g_autofree char *text = g_strdup_printf ("%s: held by %s (pid %d there)", stale->path,
                                               stale->process, stale->pid);
      line ("stale", text);
    }
}

static void
print_own_copies (const SandboxShareStatus *share)
{
  guint n = share->own_copies->len, shown = MIN (n, COPIES_SHOWN);
  g_autofree char *more =
      n > shown ? g_strdup_printf ("and %u more: --json has them", n - shown) : g_strdup ("");

  for (guint i = 0; i < shown; i++)
    {
      const char *path = g_ptr_array_index (share->own_copies, i);
      g_autofree char *text =
          g_strdup_printf ("%s: %s: edited here after it was applied or discarded, which the "
                           "machine does not see",
                           share->name, path);
      line ("own copy", text);
    }
  line ("", more);
}

static void
print_foreign (const SandboxShareStatus *share)
{
  g_autoptr (GString) text = g_string_new (NULL);

  if (share->n_foreign == 0)
    return;
  g_string_append_printf (text, "%s: %s%u here belong to others, and to nobody in the machine: ",
                          share->name, share->foreign_partly ? "at least " : "", share->n_foreign);
  for (guint i = 0; i < share->foreign->len; i++)
    g_string_append_printf (text, "%s%s", i > 0 ? ", " : "",
                            (const char *)g_ptr_array_index (share->foreign, i));
  line ("owners", text->str);
}

static void
print_shares (const SandboxMachineStatus *status)
{
  for (guint i = 0; status->shares != NULL && i < status->shares->len; i++)
    {
      const SandboxShareStatus *share = g_ptr_array_index (status->shares, i);
      g_autofree char *left = vms_time_left (share->until_usec);
      g_autofree char *text =
          g_strdup_printf ("%s: %s -> %s (%s%s%s%s%s)", share->name, share->source, share->target,
                           share->mode, *left != '\0' ? ", ends in " : "", left,
                           *share->problem != '\0' ? ", not there: " : "", share->problem);
      line ("share", text);
      print_edits (share);
      print_own_copies (share);
      print_foreign (share);
    }
}

static void
print_forwards (const SandboxMachineStatus *status)
{
  for (guint i = 0; i < status->forwards->len; i++)
    {
      const SandboxForward *forward = g_ptr_array_index (status->forwards, i);

      line (forward_kind (forward), forward->spec);
    }
}

/* Why it stands still, and what to do. */
static void
print_paused (const SandboxMachineStatus *status)
{
  g_autofree char *text = NULL;

  if (strcmp (status->paused, "disk-full") == 0)
    text = g_strdup_printf ("the host's disk is full, and nothing is lost: make room (`vms list "
                            "--disk`, `vms image prune`), then `vms start %s`",
                            status->name);
  else if (strcmp (status->paused, "disk-error") == 0)
    text = g_strdup_printf ("its disk cannot be written: see /var/log/libvirt/qemu/%s.log, then "
                            "`vms start %s`",
                            status->object, status->name);
  else if (strcmp (status->paused, "suspended") == 0)
    text = g_strdup_printf ("by `vms suspend`; `vms resume %s` lets it go on", status->name);
  else if (strcmp (status->paused, "merging") == 0)
    text =
        g_strdup_printf ("for a moment, to write out merged layers of its disk; should that have "
                         "been interrupted, `vms start %s` lets it go on",
                         status->name);
  else if (*status->paused != '\0')
    text = g_strdup ("by vms-guard, which lets it go on by itself, or by somebody");
  line ("paused", text != NULL ? text : "");
}

static void
print_status (const SandboxMachineStatus *status, gboolean guarded)
{
  g_autofree char *memory = vms_size (status->memory_bytes);
  g_autofree char *used = vms_size (status->disk_bytes);
  g_autofree char *limit = vms_size (status->disk_limit_bytes);
  g_autofree char *with = status->snapshots == 0 ? g_strdup ("")
                          : status->snapshots == 1
                              ? g_strdup (", with 1 snapshot")
                              : g_strdup_printf (", with %u snapshots", status->snapshots);
  g_autofree char *disk =
      g_strdup_printf ("%s of %s%s%s", used, limit, with, status->encrypted ? ", encrypted" : "");
  g_autofree char *size = g_strdup_printf ("%u CPUs, %s", status->cpus, memory);
  g_autofree char *accel =
      g_strdup_printf ("%s%s%s%s", status->accel, *status->accel_reason != '\0' ? " (" : "",
                       status->accel_reason, *status->accel_reason != '\0' ? ")" : "");
  g_autofree char *login = g_strdup_printf ("%s@%s%s", status->user, status->address,
                                            status->ssh_ready ? ", ready" : "");
  g_autofree char *keeper = g_strdup_printf ("pid %d", status->keeper_pid);
  g_autofree char *layers = g_strjoinv (", ", status->layers);
  g_autofree char *provision = g_strdup_printf (
      "its profile says something else by now: `vms provision %s` does it", status->name);

  printf ("%s: %s\n", status->name, sandbox_state_to_string (status->state));
  print_paused (status);
  if (status->state == SANDBOX_STATE_SUSPENDED)
    line ("suspended", "its memory is on disk; `vms resume` or `vms start` lets it go on");
  line ("profile", status->profile);
  line ("image", status->image);
  line ("layers", layers);
  line ("provision", status->provision_changed ? provision : "");
  line ("size", status->cpus > 0 ? size : "");
  line ("accel", accel);
  line ("disk", status->disk_limit_bytes > 0 ? disk : "");
  line ("ssh", *status->address != '\0' ? login : "");
  line ("reaches", status->reaches);
  line ("started", strcmp (status->started, "warm") == 0 ? "warm, from kept memory" : "");
  line ("keeper", status->keeper_pid != 0 ? keeper : "");
  if (status->state == SANDBOX_STATE_RUNNING || status->state == SANDBOX_STATE_PAUSED)
    line ("guard", guarded ? "runs" : "does not run: see `vms doctor`");
  print_shares (status);
  line ("unapplied", strcmp (status->unapplied, "some") == 0
                         ? "changes in shares: `vms diff` shows them"
                     : strcmp (status->unapplied, "unknown") == 0
                         ? "not known without a look at its disk: `vms diff` takes it"
                         : status->unapplied);
  print_forwards (status);
  line ("libvirt", status->object);
  line ("uuid", status->uuid);
  if (*status->problem != '\0')
    {
      g_autofree char *shown = vms_escape_lines (status->problem);
      printf ("  its profile is not valid:\n    %s\n", shown);
    }
  if (*status->changes != '\0')
    {
      g_autofree char *shown = vms_escape_lines (status->changes);
      printf ("  the profile was changed; applied at the next start from off:\n%s%s", shown,
              g_str_has_suffix (shown, "\n") ? "" : "\n");
    }
}

/* The machines asked for, or all of them. (transfer full) (array zero-terminated=1) */
static char **
names_wanted (VmsContext *context, const VmsArgs *args, SandboxHost *host, GError **error)
{
  g_autoptr (GPtrArray) machines = NULL;
  GPtrArray *names = NULL;

  if (args->n_operands > 0)
    return g_strdupv (args->operands);
  machines = sandbox_host_list (host, SANDBOX_LIST_DEFAULT, context->cancellable, error);
  if (machines == NULL)
    return NULL;
  names = g_ptr_array_new ();
  for (guint i = 0; i < machines->len; i++)
    g_ptr_array_add (names,
                     g_strdup (((SandboxMachineInfo *)g_ptr_array_index (machines, i))->name));
  g_ptr_array_add (names, NULL);
  return (char **)g_ptr_array_free (names, FALSE);
}

int
vms_cmd_status (VmsContext *context, const VmsArgs *args, GError **error)
{
  g_autoptr (SandboxHost) host = vms_open_host (context, error);
  g_auto (GStrv) names = host != NULL ? names_wanted (context, args, host, error) : NULL;
  g_autoptr (JsonBuilder) builder = vms_json_begin ();
  int guard_pid;

  if (names == NULL)
    return 1;
  guard_pid = sandbox_host_get_guard_pid (host);
  vms_json_int (builder, "guard_pid", guard_pid);
  json_builder_set_member_name (builder, "machines");
  json_builder_begin_array (builder);
  for (char **name = names; *name != NULL; name++)
    {
      g_autoptr (SandboxMachine) machine =
          sandbox_host_lookup (host, *name, context->cancellable, error);
      g_autoptr (SandboxMachineStatus) status =
          machine != NULL ? sandbox_machine_get_status (machine, context->cancellable, error)
                          : NULL;
      if (status == NULL)
        return 1;
      if (context->json)
        json_status (builder, status);
      else
        print_status (status, guard_pid != 0);
    }
  json_builder_end_array (builder);
  if (context->json)
    vms_json_end (builder);
  else if (*names == NULL && !context->quiet)
    vms_say ("no machines yet; `vms start work` makes one");
  return 0;
}
