// SPDX-License-Identifier: LGPL-2.1-or-later
// Steps: order, undo in reverse, cancellation, and the fault points that other tests rely on.
#include "base/error.h"
#include "base/steps.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct
{
  GString *log;
  GCancellable *cancel_in_b;
  gboolean fail_in_c;
} Context;

static gboolean
run_a (gpointer data, GCancellable *cancellable, GError **error)
{
  g_string_append (((Context *)data)->log, "a ");
  return TRUE;
}

static gboolean
run_b (gpointer data, GCancellable *cancellable, GError **error)
{
  Context *context = data;

  g_string_append (context->log, "b ");
  if (context->cancel_in_b)
    g_cancellable_cancel (context->cancel_in_b);
  return TRUE;
}

static gboolean
run_c (gpointer data, GCancellable *cancellable, GError **error)
{
  Context *context = data;

  g_string_append (context->log, "c ");
  if (context->fail_in_c)
    return sandbox_fail (error, SANDBOX_ERROR_HOST, "c cannot");
  return TRUE;
}

static void
undo_a (gpointer data)
{
  g_string_append (((Context *)data)->log, "-a ");
}

static void
undo_c (gpointer data)
{
  g_string_append (((Context *)data)->log, "-c ");
}

static const SandboxStep steps[] = {
  { "a", "doing a", run_a, undo_a },
  { "b", "doing b", run_b, NULL },
  { "c", "doing c", run_c, undo_c },
};

static void
count_steps (const SandboxStep *step, gpointer user_data)
{
  g_string_append_printf (user_data, "[%s] ", step->id);
}

static gboolean
run (Context *context, GString *told, GCancellable *cancellable, GError **error)
{
  return sandbox_steps_run ("test", steps, G_N_ELEMENTS (steps), context, told ? count_steps : NULL,
                            told, cancellable, error);
}

static void
test_good (void)
{
  g_autoptr (GString) log = g_string_new (NULL);
  Context context = { .log = log };

  g_assert_true (run (&context, log, NULL, NULL));
  g_assert_cmpstr (log->str, ==, "[a] a [b] b [c] c ");
}

static void
test_undo (void)
{
  g_autoptr (GString) log = g_string_new (NULL);
  g_autoptr (GError) error = NULL;
  Context context = { .log = log, .fail_in_c = TRUE };

  g_assert_false (run (&context, NULL, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_HOST);
  g_assert_cmpstr (log->str, ==, "a b c -c -a ");
}

static void
test_cancel (void)
{
  g_autoptr (GString) log = g_string_new (NULL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  Context context = { .log = log, .cancel_in_b = cancellable };

  g_assert_false (run (&context, NULL, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpstr (log->str, ==, "a b -a ");
}

static void
test_fault_fail (void)
{
  static const char *const rows[][2] = {
    { "test:a:before:fail", "-a " },    { "test:b:before:fail", "a -a " },
    { "test:b:after:fail", "a b -a " }, { "test:c:after:fail", "a b c -c -a " },
    { "other:b:after:fail", "a b c " }, { "test:bb:after:fail", "a b c " },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (GString) log = g_string_new (NULL);
      Context context = { .log = log };

      g_setenv ("SANDBOX_FAULT", rows[i][0], TRUE);
      g_assert_cmpint (run (&context, NULL, NULL, NULL), ==, i >= 4);
      g_assert_cmpstr (log->str, ==, rows[i][1]);
    }
  g_unsetenv ("SANDBOX_FAULT");
}

static void
test_fault_kill (void)
{
  int status = 0;
  pid_t pid = fork ();

  g_assert_cmpint (pid, >=, 0);
  if (pid == 0)
    {
      Context context = { .log = g_string_new (NULL) };

      g_setenv ("SANDBOX_FAULT", "test:b:after:kill", TRUE);
      run (&context, NULL, NULL, NULL);
      _exit (0);
    }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_true (WIFSIGNALED (status) && WTERMSIG (status) == SIGKILL);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/steps/good", test_good);
  g_test_add_func ("/steps/undo", test_undo);
  g_test_add_func ("/steps/cancel", test_cancel);
  g_test_add_func ("/steps/fault-fail", test_fault_fail);
  g_test_add_func ("/steps/fault-kill", test_fault_kill);
  return g_test_run ();
}
