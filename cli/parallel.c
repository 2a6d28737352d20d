// SPDX-License-Identifier: LGPL-2.1-or-later
// Runs a verb on several machines at once, one thread each.
#include "parallel.h"

#include <string.h>

/* Machines that are worked on at the same time; more wait for their turn. */
#define AT_ONCE 8

typedef struct
{
  VmsContext *context;
  const VmsArgs *args;
  SandboxHost *host;
  VmsMachineFunc func;
} Shared;

typedef struct
{
  const char *name;
  int status;
} Job;

static void
run_job (gpointer data, gpointer user_data)
{
  Job *job = data;
  Shared *shared = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (VmsProgress) progress = vms_progress_new (shared->context, job->name, FALSE);

  if (shared->func (shared->context, shared->args, shared->host, job->name, progress, &error))
    return;
  job->status = vms_exit_status (error);
  vms_error (error);
}

static int
run_jobs (Shared *shared, GArray *jobs)
{
  GThreadPool *pool = g_thread_pool_new (run_job, shared, AT_ONCE, FALSE, NULL);
  int status = 0;

  for (guint i = 0; i < jobs->len; i++)
    g_thread_pool_push (pool, &g_array_index (jobs, Job, i), NULL);
  g_thread_pool_free (pool, FALSE, TRUE);
  for (guint i = 0; i < jobs->len && status == 0; i++)
    status = g_array_index (jobs, Job, i).status;
  return status;
}

int
vms_for_each (VmsContext *context, const VmsArgs *args, VmsMachineFunc func, GError **error)
{
  g_autoptr (SandboxHost) host = vms_open_host (context, error);
  g_autoptr (GArray) jobs = g_array_new (FALSE, TRUE, sizeof (Job));
  Shared shared = { context, args, host, func };

  if (host == NULL)
    return 1;
  for (guint i = 0; i < args->n_operands; i++)
    {
      Job job = { args->operands[i], 0 };
      gboolean seen = FALSE;
      for (guint j = 0; j < jobs->len && !seen; j++)
        seen = strcmp (g_array_index (jobs, Job, j).name, job.name) == 0;
      if (!seen)
        g_array_append_val (jobs, job);
    }
  /* they work at once: which of them reads the first line would be a matter of luck */
  if (jobs->len > 1 && context->passphrase_fd >= 0)
    {
      vms_fail (error, SANDBOX_ERROR_INVALID,
                "--passphrase-fd gives the passphrase of one machine, and %u are named: name one "
                "at a time; nothing was done",
                jobs->len);
      return 1;
    }
  if (jobs->len == 1)
    {
      g_autoptr (VmsProgress) progress = vms_progress_new (context, args->operands[0], TRUE);
      return func (context, args, host, args->operands[0], progress, error) ? 0 : 1;
    }
  return run_jobs (&shared, jobs);
}
