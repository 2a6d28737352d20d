// SPDX-License-Identifier: LGPL-2.1-or-later
// Progress on stderr, with the time that has passed.
#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* How often the time in the live line moves on. */
#define TICK_USEC (G_USEC_PER_SEC / 5)
/* Operations shorter than this need no line. */
#define QUICK_USEC (G_USEC_PER_SEC / 4)
/* Without a live line, a phase that goes on tells each so often what it is at. */
#define SILENT_USEC (60 * G_USEC_PER_SEC)

/* The phases whose notes are news for the user and stay on the terminal: how a changed profile
 * differs, what the machine reaches, what became of its own copies of shared files, files there
 * that are nobody's, profiles that lose what they inherit, and links that were not copied. */
static const char *const phases_news[] = { "boots",  "changes", "follow", "heirs", "links",
                                           "owners", "policy",  "room",   NULL };

/* Those that --quiet does not hold back: what was asked for was not done as a whole. */
static const char *const phases_warnings[] = { "links", NULL };

struct _VmsProgress
{
  char *object;
  gboolean quiet, verbose, live;
  gint64 begin_usec, phase_usec, line_usec;
  GMutex mutex;
  GCond cond;
  GThread *ticker; /* NULL when quiet */
  gboolean ended;
  /* what was last said, under @mutex */
  char *phase, *note;
  guint64 done, total;
};

static guint
terminal_columns (void)
{
  struct winsize size;

  return ioctl (STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

static char *
describe (VmsProgress *progress)
{
  g_autofree char *percent = NULL;
  g_autofree char *note = vms_escape (progress->note);

  if (progress->total > 0)
    percent = g_strdup_printf (
        " %d%%", (int)(100.0 * MIN (progress->done, progress->total) / progress->total));
  return g_strdup_printf ("%s: %s%s", progress->object, note, percent != NULL ? percent : "");
}

/* Of all lines: there is one terminal. */
static int held;

void
vms_progress_hold (gboolean hold)
{
  g_atomic_int_set (&held, hold);
  if (hold && isatty (STDERR_FILENO))
    fputs ("\r\033[K", stderr);
}

static void
draw (VmsProgress *progress)
{
  if (g_atomic_int_get (&held))
    return;

  g_autofree char *text = describe (progress);
  g_autofree char *elapsed = vms_elapsed (g_get_monotonic_time () - progress->begin_usec);
  g_autofree char *tail = g_strdup_printf (" (%s)", elapsed);
  guint columns = terminal_columns (), room = strlen (tail) + 1;
  g_autofree char *cut = vms_cut (text, columns > room ? columns - room : 0);

  fprintf (stderr, "\r\033[K%s%s%s%s", cut, vms_colour (STDERR_FILENO, VMS_DIM), tail,
           vms_colour (STDERR_FILENO, VMS_PLAIN));
  fflush (stderr);
}

/* One line per phase, and one a minute while it goes on; with --verbose one per change. */
static void
print_line (VmsProgress *progress, gboolean new_phase)
{
  g_autofree char *text = describe (progress);
  g_autofree char *elapsed = vms_elapsed (progress->phase_usec - progress->begin_usec);

  if (!new_phase && !progress->verbose && progress->phase_usec - progress->line_usec < SILENT_USEC)
    return;
  progress->line_usec = progress->phase_usec;
  fprintf (stderr, "%s (%s, %s)\n", text, progress->phase, elapsed);
}

/* Nothing may be new for long, and nobody shall wonder. What was news is not said again. */
static void
remind (VmsProgress *progress)
{
  if (g_atomic_int_get (&held) || progress->phase == NULL
      || g_strv_contains (phases_news, progress->phase))
    return;
  progress->phase_usec = g_get_monotonic_time ();
  print_line (progress, FALSE);
}

static gpointer
tick (gpointer data)
{
  VmsProgress *progress = data;
  gint64 next = progress->begin_usec + QUICK_USEC;

  g_mutex_lock (&progress->mutex);
  while (!progress->ended)
    {
      if (!progress->live && progress->line_usec + SILENT_USEC > g_get_monotonic_time ())
        next = progress->line_usec + SILENT_USEC;
      else if (!progress->live)
        next = g_get_monotonic_time () + SILENT_USEC;
      if (g_cond_wait_until (&progress->cond, &progress->mutex, next))
        continue;
      if (!progress->live)
        remind (progress);
      else if (progress->phase != NULL)
        draw (progress);
      next = g_get_monotonic_time () + TICK_USEC;
    }
  g_mutex_unlock (&progress->mutex);
  return NULL;
}

VmsProgress *
vms_progress_new (VmsContext *context, const char *object, gboolean live)
{
  VmsProgress *progress = g_new0 (VmsProgress, 1);
  const char *term = g_getenv ("TERM");

  progress->object = vms_escape (object);
  progress->quiet = context->quiet;
  progress->verbose = context->verbose;
  progress->live = live && !context->quiet && !context->verbose && isatty (STDERR_FILENO)
                   && term != NULL && strcmp (term, "dumb") != 0;
  progress->begin_usec = g_get_monotonic_time ();
  g_mutex_init (&progress->mutex);
  g_cond_init (&progress->cond);
  if (!progress->quiet)
    progress->ticker = g_thread_new ("progress", tick, progress);
  return progress;
}

static void
end_ticker (VmsProgress *progress)
{
  if (progress->ticker == NULL)
    return;
  g_mutex_lock (&progress->mutex);
  progress->ended = TRUE;
  g_cond_signal (&progress->cond);
  g_mutex_unlock (&progress->mutex);
  g_thread_join (g_steal_pointer (&progress->ticker));
  if (!progress->live)
    return;
  fputs ("\r\033[K", stderr);
  fflush (stderr);
}

void
vms_progress_free (VmsProgress *progress)
{
  end_ticker (progress);
  g_mutex_clear (&progress->mutex);
  g_cond_clear (&progress->cond);
  g_free (progress->object);
  g_free (progress->phase);
  g_free (progress->note);
  g_free (progress);
}

static void
print_news (VmsProgress *progress)
{
  g_autofree char *note = vms_escape (progress->note);

  fprintf (stderr, "%s%s: %s\n", progress->live ? "\r\033[K" : "", progress->object, note);
}

void
vms_progress_update (const SandboxProgress *update, gpointer user_data)
{
  VmsProgress *progress = user_data;
  gboolean new_phase, changed;

  if (progress->quiet && !g_strv_contains (phases_warnings, update->phase))
    return;
  g_mutex_lock (&progress->mutex);
  new_phase = g_strcmp0 (progress->phase, update->phase) != 0;
  changed = new_phase || g_strcmp0 (progress->note, update->note) != 0;
  g_free (progress->phase);
  g_free (progress->note);
  progress->phase = vms_escape (update->phase);
  progress->note = g_strdup (update->note);
  progress->done = update->done;
  progress->total = update->total;
  progress->phase_usec = g_get_monotonic_time ();
  if (g_strv_contains (phases_news, update->phase))
    print_news (progress);
  else if (!progress->live && changed)
    print_line (progress, new_phase);
  g_mutex_unlock (&progress->mutex);
}

char *
vms_progress_elapsed (VmsProgress *progress)
{
  return vms_elapsed (g_get_monotonic_time () - progress->begin_usec);
}

void
vms_progress_done (VmsProgress *progress, const char *format, ...)
{
  va_list list;
  g_autofree char *text = NULL;

  end_ticker (progress);
  if (progress->quiet)
    return;
  va_start (list, format);
  text = g_strdup_vprintf (format, list);
  va_end (list);
  vms_say ("%s: %s", progress->object, text);
}
