// SPDX-License-Identifier: LGPL-2.1-or-later
// The process in the machine that makes its overlays forget what they looked up: one for as long as
// the machine runs, so that it costs the machine no process each time. What it answers is the
// guest's word, and bounded.
#include "keeper.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define SCRIPT           "forget.pl"
#define RETRY_FIRST_USEC (500 * 1000)
#define RETRY_MAX_USEC   (10 * G_USEC_PER_SEC)
#define WORKED_USEC      (30 * G_USEC_PER_SEC)
/* How long an answer may take. */
#define ANSWER_USEC (60 * G_USEC_PER_SEC)
/* Of one answer at most this much is read, and of what is held this many are kept. */
#define ANSWER_MAX (256 * 1024)
#define HELD_MAX   64
#define BLOCK      4096

struct _KeeperRefresh
{
  const SandboxSsh *ssh;
  const char *self;
  char *command;
  KeeperProcess process;
  int to_fd, from_fd;
  GString *line;
  gsize answered;    /* bytes of this answer */
  guint asked, done; /* numbers of requests; the answer is complete when they are equal */
  gint64 asked_at, next_start, retry_usec;
  gboolean looks; /* the last request asks for what is held */
  gboolean works;
  GPtrArray *held, *coming; /* of SandboxShareHeld */
  char *problem;
};

/* "exec sudo -n perl -e SCRIPT -- TAG TARGET..." */
static char *
make_command (const char *self, const GPtrArray *shares)
{
  g_autofree char *directory = g_path_get_dirname (self);
  g_autofree char *path = g_build_filename (directory, SCRIPT, NULL);
  g_autofree char *script = NULL;
  g_autoptr (GString) command = g_string_new ("exec sudo -n perl -e ");

  if (!g_file_get_contents (path, &script, NULL, NULL))
    return NULL;
  _sandbox_shell_quote (command, script);
  g_string_append (command, " --");
  for (guint i = 0; i < shares->len; i++)
    {
      const SandboxPlanShare *share = g_ptr_array_index (shares, i);

      g_string_append_c (command, ' ');
      _sandbox_shell_quote (command, share->tag);
      g_string_append_c (command, ' ');
      _sandbox_shell_quote (command, share->target);
    }
  return g_string_free (g_steal_pointer (&command), FALSE);
}

KeeperRefresh *
keeper_refresh_new (const SandboxSsh *ssh, const char *self, const GPtrArray *shares)
{
  KeeperRefresh *refresh = g_new0 (KeeperRefresh, 1);

  refresh->ssh = ssh;
  refresh->self = self;
  refresh->command = make_command (self, shares);
  refresh->to_fd = refresh->from_fd = -1;
  refresh->line = g_string_new (NULL);
  refresh->retry_usec = RETRY_FIRST_USEC;
  refresh->held = g_ptr_array_new_with_free_func (_sandbox_share_held_free);
  refresh->coming = g_ptr_array_new_with_free_func (_sandbox_share_held_free);
  refresh->problem = refresh->command ? NULL : g_strdup ("forget.pl is not installed");
  keeper_process_init (&refresh->process);
  return refresh;
}

void
keeper_refresh_poll (KeeperRefresh *refresh, GArray *pollfds)
{
  keeper_poll_add (pollfds, refresh->process.pid_fd);
  keeper_poll_add (pollfds, refresh->process.stderr_fd);
  keeper_poll_add (pollfds, refresh->from_fd);
}

static void
schedule (KeeperRefresh *refresh)
{
  refresh->next_start = g_get_monotonic_time () + refresh->retry_usec;
  refresh->retry_usec = MIN (2 * refresh->retry_usec, RETRY_MAX_USEC);
}

static void
forget_pipes (KeeperRefresh *refresh)
{
  sandbox_close_fd (&refresh->to_fd);
  sandbox_close_fd (&refresh->from_fd);
  g_string_truncate (refresh->line, 0);
  refresh->asked = refresh->done = 0;
  refresh->works = FALSE;
}

static gboolean
make_pipe (int *ret_ours, int *ret_theirs, guint ours)
{
  int fds[2];

  if (pipe2 (fds, O_CLOEXEC) < 0)
    return FALSE;
  *ret_ours = fds[ours];
  *ret_theirs = fds[1 - ours];
  fcntl (*ret_ours, F_SETFL, O_NONBLOCK);
  return TRUE;
}

static void
start (KeeperRefresh *refresh)
{
  g_autoptr (GPtrArray) argv = NULL;
  sandbox_autofd int in = -1, out = -1;

  schedule (refresh);
  /* its own connection would be one more login */
  if (!_sandbox_ssh_master_alive (refresh->ssh))
    return;
  argv = _sandbox_ssh_argv (refresh->ssh, FALSE, TRUE);
  g_ptr_array_add (argv, g_strdup (refresh->command));
  if (!make_pipe (&refresh->to_fd, &in, 1) || !make_pipe (&refresh->from_fd, &out, 0)
      || !keeper_process_start_piped (&refresh->process, argv, refresh->self, in, out))
    {
      forget_pipes (refresh);
      return;
    }
  keeper_refresh_ask (refresh, 1);
}

/* FALSE: nothing that our script says. */
static gboolean
take_line (KeeperRefresh *refresh, const char *line)
{
  g_autofree char *end = g_strdup_printf ("end %u", refresh->asked);
  SandboxShareHeld *held;

  if (g_str_equal (line, end))
    {
      if (refresh->looks)
        {
          g_ptr_array_unref (refresh->held);
          refresh->held = refresh->coming;
          refresh->coming = g_ptr_array_new_with_free_func (_sandbox_share_held_free);
        }
      refresh->done = refresh->asked;
      refresh->works = TRUE;
      g_clear_pointer (&refresh->problem, g_free);
      return TRUE;
    }
  held = refresh->coming->len < HELD_MAX ? _sandbox_share_held_parse (line) : NULL;
  if (held)
    g_ptr_array_add (refresh->coming, held);
  return held != NULL;
}

static gboolean
take (KeeperRefresh *refresh, const char *block, gsize length)
{
  refresh->answered += length;
  g_string_append_len (refresh->line, block, (gssize)length);
  while (refresh->line->len > 0)
    {
      char *stop = memchr (refresh->line->str, '\n', refresh->line->len);
      g_autofree char *line = NULL;

      if (!stop)
        break;
      line = g_strndup (refresh->line->str, (gsize)(stop - refresh->line->str));
      g_string_erase (refresh->line, 0, stop + 1 - refresh->line->str);
      if (refresh->done == refresh->asked || !take_line (refresh, line))
        return FALSE;
    }
  return refresh->line->len <= SANDBOX_SHARE_HELD_LINE_MAX && refresh->answered <= ANSWER_MAX;
}

static gboolean
listen (KeeperRefresh *refresh)
{
  char block[BLOCK];
  gssize n = 1;

  while (refresh->from_fd >= 0 && (n = read (refresh->from_fd, block, sizeof block)) > 0)
    if (!take (refresh, block, (gsize)n))
      return FALSE;
  if (n == 0)
    sandbox_close_fd (&refresh->from_fd);
  return TRUE;
}

static void
end (KeeperRefresh *refresh, const char *problem)
{
  GString *said = g_steal_pointer (&refresh->process.said);

  refresh->process.said = g_string_new (said->str);
  g_free (refresh->problem);
  refresh->problem = g_strdup (problem);
  keeper_process_clear (&refresh->process);
  keeper_process_init (&refresh->process);
  g_string_free (said, TRUE);
  forget_pipes (refresh);
  schedule (refresh);
}

static void
note_end (KeeperRefresh *refresh)
{
  const char *said = refresh->process.said->str;
  const char *last = strrchr (g_strchomp (refresh->process.said->str), '\n');

  if (g_get_monotonic_time () - refresh->process.started > WORKED_USEC)
    refresh->retry_usec = RETRY_FIRST_USEC;
  g_free (refresh->problem);
  refresh->problem = g_strdup (last ? last + 1 : said);
  forget_pipes (refresh);
  schedule (refresh);
}

int
keeper_refresh_step (KeeperRefresh *refresh)
{
  gint64 now = g_get_monotonic_time ();

  if (!refresh->command)
    return -1;
  if (keeper_process_ended (&refresh->process))
    note_end (refresh);
  else if (!listen (refresh))
    end (refresh, "the machine answers with something else");
  else if (refresh->process.pid && refresh->asked != refresh->done
           && now > refresh->asked_at + ANSWER_USEC)
    end (refresh, "the machine does not answer");
  if (!refresh->process.pid && now >= refresh->next_start)
    start (refresh);
  if (!refresh->process.pid)
    return (int)MAX (1, (refresh->next_start - now) / 1000 + 1);
  return refresh->asked != refresh->done || refresh->process.pid_fd < 0 ? 500 : -1;
}

gboolean
keeper_refresh_is_ready (const KeeperRefresh *refresh)
{
  return refresh->process.pid && refresh->to_fd >= 0 && refresh->asked == refresh->done;
}

gboolean
keeper_refresh_ask (KeeperRefresh *refresh, guint tries)
{
  g_autofree char *line = NULL;
  gsize length;

  if (!keeper_refresh_is_ready (refresh))
    return FALSE;
  line = g_strdup_printf ("%u %u\n", refresh->asked + 1, tries);
  length = strlen (line);
  if (write (refresh->to_fd, line, length) != (gssize)length)
    return FALSE;
  refresh->asked++;
  refresh->looks = tries > 0;
  refresh->answered = 0;
  refresh->asked_at = g_get_monotonic_time ();
  g_ptr_array_set_size (refresh->coming, 0);
  return TRUE;
}

gboolean
keeper_refresh_works (const KeeperRefresh *refresh, const char **ret_problem)
{
  *ret_problem = refresh->problem;
  return refresh->works;
}

const GPtrArray *
keeper_refresh_held (const KeeperRefresh *refresh)
{
  return refresh->held;
}

void
keeper_refresh_free (KeeperRefresh *refresh)
{
  keeper_process_clear (&refresh->process);
  forget_pipes (refresh);
  g_string_free (refresh->line, TRUE);
  g_ptr_array_unref (refresh->held);
  g_ptr_array_unref (refresh->coming);
  g_free (refresh->problem);
  g_free (refresh->command);
  g_free (refresh);
}
