// SPDX-License-Identifier: LGPL-2.1-or-later
// vms verify
#include <stdio.h>
#include <unistd.h>

#include "progress.h"

static VmsColour
colour_of (SandboxVerdict verdict)
{
  static const VmsColour colours[] = {
    [SANDBOX_VERDICT_PASS] = VMS_GREEN,
    [SANDBOX_VERDICT_FAIL] = VMS_RED,
    [SANDBOX_VERDICT_UNKNOWN] = VMS_YELLOW,
  };

  return colours[verdict];
}

static guint
count (GPtrArray *findings, SandboxVerdict verdict)
{
  guint n = 0;

  for (guint i = 0; i < findings->len; i++)
    n += ((SandboxFinding *)g_ptr_array_index (findings, i))->verdict == verdict;
  return n;
}

static void
print_findings (GPtrArray *findings)
{
  g_autoptr (VmsTable) table =
      vms_table_new ("VERDICT", "PROPERTY", "TARGET", "EXPECTED", "FOUND", NULL);

  for (guint i = 0; i < findings->len; i++)
    {
      const SandboxFinding *finding = g_ptr_array_index (findings, i);

      vms_table_add (table, colour_of (finding->verdict),
                     sandbox_verdict_to_string (finding->verdict), finding->property,
                     finding->target, finding->expected, finding->found);
    }
  vms_table_print (table);
}

static void
json_findings (GPtrArray *findings, const char *name, gboolean inside)
{
  g_autoptr (JsonBuilder) builder = vms_json_begin ();

  vms_json_string (builder, "name", name);
  vms_json_bool (builder, "inside", inside);
  vms_json_bool (builder, "holds", count (findings, SANDBOX_VERDICT_FAIL) == 0);
  json_builder_set_member_name (builder, "findings");
  json_builder_begin_array (builder);
  for (guint i = 0; i < findings->len; i++)
    {
      const SandboxFinding *finding = g_ptr_array_index (findings, i);

      json_builder_begin_object (builder);
      vms_json_string (builder, "id", finding->id);
      vms_json_string (builder, "property", finding->property);
      vms_json_string (builder, "target", finding->target);
      vms_json_string (builder, "expected", finding->expected);
      vms_json_string (builder, "found", finding->found);
      vms_json_string (builder, "verdict", sandbox_verdict_to_string (finding->verdict));
      json_builder_end_object (builder);
    }
  json_builder_end_array (builder);
  vms_json_end (builder);
}

int
vms_cmd_verify (VmsContext *context, const VmsArgs *args, GError **error)
{
  const char *name = args->operands[0];
  g_autofree char **lan = vms_args_get_all (args, "lan");
  g_autofree char **internet = vms_args_get_all (args, "public");
  g_autofree char **metadata = vms_args_get_all (args, "metadata");
  SandboxVerifyOptions options = SANDBOX_VERIFY_OPTIONS_INIT;
  g_autoptr (SandboxMachine) machine = NULL;
  g_autoptr (VmsProgress) progress = NULL;
  g_autoptr (GPtrArray) findings = NULL;
  guint failed;

  if (!vms_args_get_time (args, "timeout", &options.timeout_usec, error))
    return 1;
  machine = vms_open_machine (context, name, error);
  if (machine == NULL)
    return 1;
  options.inside = vms_args_has (args, "inside");
  options.lan = (const char *const *)lan;
  options.internet = (const char *const *)internet;
  options.metadata = (const char *const *)metadata;
  progress = vms_progress_new (context, name, TRUE);
  findings = sandbox_machine_verify (machine, &options, vms_progress_update, progress,
                                     context->cancellable, error);
  if (findings == NULL)
    return 1;
  failed = count (findings, SANDBOX_VERDICT_FAIL);
  vms_progress_done (progress, "%u pass, %u fail, %u unknown",
                     count (findings, SANDBOX_VERDICT_PASS), failed,
                     count (findings, SANDBOX_VERDICT_UNKNOWN));
  if (context->json)
    json_findings (findings, name, options.inside);
  else
    print_findings (findings);
  return failed > 0 ? 1 : 0;
}
