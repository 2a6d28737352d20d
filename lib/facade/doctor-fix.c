// SPDX-License-Identifier: LGPL-2.1-or-later
// Fixes: shown as a line that a shell could run, and run without one.
#include "facade/doctor.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Installing packages takes its time. */
#define FIX_LIMIT_USEC (20 * 60 * G_USEC_PER_SEC)
#define OUTPUT_MAX     (64 * 1024)

static gboolean
is_plain (const char *word)
{
  return *word != '\0'
         && strspn (word, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "-_=+./:,@") == strlen (word);
}

static void
append_word (GString *text, const char *word)
{
  g_autofree char *quoted = is_plain (word) ? g_strdup (word) : g_shell_quote (word);

  if (text->len > 0 && text->str[text->len - 1] != ' ')
    g_string_append_c (text, ' ');
  g_string_append (text, quoted);
}

/* Root does it, by itself or through a helper. */
static gboolean
is_roots (const SandboxFixStep *step)
{
  return step->root || geteuid () == 0;
}

/* The program that lends root's rights; NULL: there is none. */
static char *
find_helper (void)
{
  char *path = sandbox_find_system_program ("sudo");

  return path != NULL ? path : sandbox_find_system_program ("pkexec");
}

/* What is run, and therefore shown. For root with whole paths, so that neither the caller's PATH
 * nor what may stand in its first directory decides. A program that is not there yet, because a
 * step before installs it, keeps its bare name. */
static GPtrArray *
step_argv (const SandboxFixStep *step)
{
  GPtrArray *argv = g_ptr_array_new_with_free_func (g_free);
  char *program = is_roots (step) ? sandbox_find_system_program (step->argv[0]) : NULL;

  if (step->root && geteuid () != 0)
    {
      char *helper = find_helper ();

      g_ptr_array_add (argv, helper != NULL ? helper : g_strdup ("sudo"));
    }
  g_ptr_array_add (argv, program != NULL ? program : g_strdup (step->argv[0]));
  for (char **word = step->argv + 1; *word != NULL; word++)
    g_ptr_array_add (argv, g_strdup (*word));
  return argv;
}

static char *
show_step (const SandboxFixStep *step)
{
  g_autoptr (GPtrArray) argv = step_argv (step);
  GString *text = g_string_new (NULL);

  if (step->input != NULL)
    {
      g_autofree char *line = g_strchomp (g_strdup (step->input));

      g_string_append (text, "echo");
      append_word (text, line);
      g_string_append (text, " | ");
    }
  for (guint i = 0; i < argv->len; i++)
    append_word (text, argv->pdata[i]);
  return g_string_free (text, FALSE);
}

void
_sandbox_check_show_steps (SandboxCheck *check)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < check->steps->len; i++)
    {
      g_autofree char *line = show_step (g_ptr_array_index (check->steps, i));

      g_string_append_printf (text, "%s%s", i > 0 ? " && " : "", line);
    }
  g_free (check->fix);
  check->fix = g_strdup (text->str);
}

/* A file that holds @input, to be read from its begin. */
static int
input_fd (const char *input, GError **error)
{
  sandbox_autofd int fd = memfd_create ("input", MFD_CLOEXEC);
  gsize length = strlen (input);

  if (fd < 0 || write (fd, input, length) != (gssize)length || lseek (fd, 0, SEEK_SET) != 0)
    {
      sandbox_fail_errno (error, errno, "Cannot prepare what a command is to read");
      return -1;
    }
  return g_steal_fd (&fd);
}

/* Nothing that root runs is looked for in a PATH. */
static gboolean
check_paths (const SandboxFixStep *step, const GPtrArray *argv, GError **error)
{
  for (guint i = 0; is_roots (step) && i < (step->root && geteuid () != 0 ? 2 : 1); i++)
    if (!g_path_is_absolute (argv->pdata[i]))
      return sandbox_fail (error, SANDBOX_ERROR_HOST,
                           "%s is not in " SANDBOX_SYSTEM_PATH
                           ", and root runs no program from elsewhere; install it",
                           (const char *)argv->pdata[i]);
  return TRUE;
}

/* Not in a process group of its own: sudo asks on the terminal, which only the foreground may read.
 * sudo and pkexec choose the environment of what they run by themselves.
 */
static gboolean
run_step (const SandboxFixStep *step, GCancellable *cancellable, GError **error)
{
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  g_autoptr (GPtrArray) argv = step_argv (step);
  sandbox_autofd int input = -1;

  if (!check_paths (step, argv, error)
      || (step->input != NULL && (input = input_fd (step->input, error)) < 0))
    return FALSE;
  g_ptr_array_add (argv, NULL);
  options.argv = (const char *const *)argv->pdata;
  options.env = geteuid () == 0 ? sandbox_system_env : NULL;
  options.stdin_fd = input;
  return sandbox_child_run (&options, FIX_LIMIT_USEC, OUTPUT_MAX, cancellable, NULL, NULL, NULL,
                            error);
}

static gboolean
needs_root (const SandboxCheck *check)
{
  for (guint i = 0; i < check->steps->len; i++)
    if (((const SandboxFixStep *)g_ptr_array_index (check->steps, i))->root)
      return TRUE;
  return FALSE;
}

static gboolean
check_helper (const SandboxCheck *check, GError **error)
{
  g_autofree char *helper = find_helper ();

  return helper != NULL
         || sandbox_fail (error, SANDBOX_ERROR_DENIED,
                          "Cannot fix %s: that needs root, and there is neither sudo nor pkexec "
                          "in " SANDBOX_SYSTEM_PATH "; as root, run `vms doctor --fix`, or: %s",
                          check->id, check->fix);
}

gboolean
sandbox_check_apply_fix (const SandboxCheck *check, GCancellable *cancellable, GError **error)
{
  g_return_val_if_fail (check != NULL, FALSE);
  if (check->steps == NULL)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "Cannot fix %s: there is no fix that can be done without you", check->id);
  if (needs_root (check) && geteuid () != 0 && !check_helper (check, error))
    return FALSE;
  for (guint i = 0; i < check->steps->len; i++)
    {
      const SandboxFixStep *step = g_ptr_array_index (check->steps, i);

      if (!run_step (step, cancellable, error))
        {
          g_autofree char *line = show_step (step);

          g_prefix_error (error, "Cannot fix %s: `%s`: ", check->id, line);
          return FALSE;
        }
    }
  return TRUE;
}
