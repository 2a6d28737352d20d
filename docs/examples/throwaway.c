// SPDX-License-Identifier: LGPL-2.1-or-later
// Runs a command in a virtual machine that exists for this command only: throwaway [COMMAND
// [ARGUMENT...]]
//
// cc -o throwaway throwaway.c $(pkg-config --cflags --libs libsandbox-1)
#include <sandbox/sandbox.h>
#include <stdio.h>
#include <unistd.h>

static void
on_progress (const SandboxProgress *progress, gpointer user_data)
{
  if (progress->done == 0)
    fprintf (stderr, "%s: %s\n", progress->phase, progress->note);
}

int
main (int argc, char **argv)
{
  SandboxHostOptions host_options = SANDBOX_HOST_OPTIONS_INIT;
  SandboxRunOptions run_options = SANDBOX_RUN_OPTIONS_INIT;
  SandboxExecOptions options = SANDBOX_EXEC_OPTIONS_INIT;
  const char *const uname[] = { "uname", "-a", NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxHost) host = sandbox_host_open (&host_options, NULL, &error);
  g_autoptr (SandboxMachine) machine = NULL; /* dropping this reference destroys the machine */
  int status = 1;

  options.argv = argc > 1 ? (const char *const *)argv + 1 : uname;
  options.stdin_fd = STDIN_FILENO;
  options.stdout_fd = STDOUT_FILENO;
  options.stderr_fd = STDERR_FILENO;
  if (host != NULL)
    machine = sandbox_host_run (host, &run_options, on_progress, NULL, NULL, &error);
  if (machine == NULL || !sandbox_machine_exec (machine, &options, NULL, &status, &error))
    {
      fprintf (stderr, "throwaway: %s\n", error->message);
      return 125;
    }
  return status;
}
