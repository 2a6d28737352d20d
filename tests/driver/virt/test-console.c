// SPDX-License-Identifier: LGPL-2.1-or-later
// Consoles of a real domain: what the firmware says, cancelled, both ways, and an end by the
// domain's own.

#include <string.h>
#include <unistd.h>
#include "common.h"
#include <sandbox/error.h>

/* The last thing it says before it boots again. */
#define BANNER "No bootable device"

typedef struct
{
  SandboxVirt *virt;
  char *name;
  guint fds, threads;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autofree char *xml = NULL;
  g_autoptr (GError) error = NULL;

  f->virt = connect_to (SYSTEM_URI);
  f->name = own_name ("con");
  xml = domain_xml (f->name, NULL);
  g_assert_true (_sandbox_virt_domain_define (f->virt, xml, &error));
  g_assert_no_error (error);
  g_assert_true (_sandbox_virt_domain_start (f->virt, f->name, &error));
  g_assert_no_error (error);
  f->fds = count_fds ();
  f->threads = count_threads ();
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  remove_domain (f->virt, f->name);
  g_assert_cmpuint (count_fds (), ==, f->fds);
  g_assert_cmpuint (count_threads (), ==, f->threads);
  _sandbox_virt_unref (f->virt);
  g_free (f->name);
}

typedef struct
{
  GString *text;
  const char *stop_at; /* NULL: never */
} Reader;

static gboolean
on_data (const char *bytes, gsize length, gpointer user_data)
{
  Reader *reader = user_data;

  g_string_append_len (reader->text, bytes, length);
  return !reader->stop_at || !strstr (reader->text->str, reader->stop_at);
}

static void
test_read (Fixture *f, gconstpointer data)
{
  g_autoptr (GString) text = g_string_new (NULL);
  Reader reader = { text, BANNER };
  g_autoptr (GError) error = NULL;

  g_assert_true (
      _sandbox_virt_console_read (f->virt, f->name, "serial0", on_data, &reader, NULL, &error));
  g_assert_no_error (error);
  g_assert_nonnull (strstr (text->str, BANNER));
}

static gpointer
cancel_thread (gpointer data)
{
  g_usleep (300000);
  g_cancellable_cancel (data);
  return NULL;
}

/* While nothing comes, that is, while the read is blocked. */
static void
test_cancel (Fixture *f, gconstpointer data)
{
  for (int i = 0; i < 3; i++)
    {
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      g_autoptr (GString) text = g_string_new (NULL);
      Reader reader = { text, NULL };
      g_autoptr (GError) error = NULL;
      GThread *thread = g_thread_new ("cancel", cancel_thread, cancellable);
      gint64 start = g_get_monotonic_time ();

      g_assert_false (_sandbox_virt_console_read (f->virt, f->name, "console1", on_data, &reader,
                                                  cancellable, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      g_assert_cmpint (g_get_monotonic_time () - start, <, 5 * G_USEC_PER_SEC);
      g_thread_join (thread);
    }
}

static gpointer
kill_thread (gpointer data)
{
  Fixture *f = data;
  g_autoptr (GError) error = NULL;

  g_usleep (300000);
  // on the same handle: a blocked console keeps nobody else waiting
  g_assert_true (_sandbox_virt_domain_kill (f->virt, f->name, &error));
  g_assert_no_error (error);
  return NULL;
}

static void
test_end (Fixture *f, gconstpointer data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GString) text = g_string_new (NULL);
  Reader reader = { text, NULL };
  g_autoptr (GError) error = NULL;
  GThread *thread = g_thread_new ("kill", kill_thread, f);

  g_assert_true (
      _sandbox_virt_console_read (f->virt, f->name, NULL, on_data, &reader, cancellable, &error));
  g_assert_no_error (error);
  g_thread_join (thread);
}

static void
test_errors (Fixture *f, gconstpointer data)
{
  g_autoptr (GString) text = g_string_new (NULL);
  Reader reader = { text, NULL };
  g_autoptr (GError) error = NULL;

  g_assert_false (
      _sandbox_virt_console_read (f->virt, f->name, "console7", on_data, &reader, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_false (
      _sandbox_virt_console_read (f->virt, "none", "serial0", on_data, &reader, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_true (_sandbox_virt_domain_kill (f->virt, f->name, &error));
  g_assert_false (
      _sandbox_virt_console_read (f->virt, f->name, "serial0", on_data, &reader, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_WRONG_STATE);
}

typedef struct
{
  Fixture *f;
  int in_fd, out_fd;
  GCancellable *cancellable;
  gboolean ok;
  GError *error;
} Attached;

static gpointer
attach_thread (gpointer data)
{
  Attached *a = data;

  a->ok = _sandbox_virt_console_attach (a->f->virt, a->f->name, "serial0", a->in_fd, a->out_fd,
                                        a->cancellable, &a->error);
  return NULL;
}

/* Reads from @fd until @part came. */
static void
expect (int fd, const char *part)
{
  g_autoptr (GString) text = g_string_new (NULL);

  while (!strstr (text->str, part))
    {
      GPollFD poll_fd = { .fd = fd, .events = G_IO_IN };
      char buffer[512];
      gssize got;

      g_assert_cmpint (g_poll (&poll_fd, 1, 20000), ==, 1);
      got = read (fd, buffer, sizeof buffer);
      g_assert_cmpint (got, >, 0);
      g_string_append_len (text, buffer, got);
    }
}

typedef enum
{
  END_BY_KEY,
  END_BY_EOF,
  END_BY_CANCEL,
  END_BY_DOMAIN,
} End;

static void
test_attach (Fixture *f, gconstpointer data)
{
  End end = GPOINTER_TO_INT (data);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  Attached a = { .f = f, .cancellable = cancellable };
  int in[2], out[2];
  GThread *thread = NULL;

  g_assert_cmpint (pipe (in), ==, 0);
  g_assert_cmpint (pipe (out), ==, 0);
  a.in_fd = in[0];
  a.out_fd = out[1];
  thread = g_thread_new ("attach", attach_thread, &a);
  expect (out[0], BANNER);
  g_assert_cmpint (write (in[1], "hello", 5), ==, 5);
  if (end == END_BY_KEY)
    g_assert_cmpint (write (in[1], "x\x1dy", 3), ==, 3);
  if (end == END_BY_EOF)
    close (in[1]);
  if (end == END_BY_CANCEL)
    g_cancellable_cancel (cancellable);
  if (end == END_BY_DOMAIN)
    g_assert_true (_sandbox_virt_domain_kill (f->virt, f->name, &error));
  g_thread_join (thread);
  g_assert_cmpint (a.ok, ==, end != END_BY_CANCEL);
  if (end == END_BY_CANCEL)
    g_assert_error (a.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  else
    g_assert_no_error (a.error);
  g_clear_error (&a.error);
  close (in[0]);
  if (end != END_BY_EOF)
    close (in[1]);
  close (out[0]);
  close (out[1]);
}

/* ESC again and again, until somebody heard it. */
static gpointer
type_thread (gpointer data)
{
  Attached *a = data;

  while (!g_cancellable_is_cancelled (a->cancellable))
    {
      g_assert_cmpint (write (a->in_fd, "\x1b", 1), ==, 1);
      g_usleep (50000);
    }
  return NULL;
}

/* What is typed arrives: the firmware's boot menu opens. */
static void
test_input (Fixture *f, gconstpointer data)
{
  g_autoptr (GCancellable) heard = g_cancellable_new ();
  Attached a = { .f = f };
  Attached typist = { .cancellable = heard };
  g_autoptr (GError) error = NULL;
  int in[2], out[2];
  GThread *thread = NULL, *type = NULL;

  g_assert_cmpint (pipe (in), ==, 0);
  g_assert_cmpint (pipe (out), ==, 0);
  a.in_fd = in[0];
  a.out_fd = out[1];
  typist.in_fd = in[1];
  thread = g_thread_new ("attach", attach_thread, &a);
  type = g_thread_new ("type", type_thread, &typist);
  expect (out[0], "Select boot device");
  g_cancellable_cancel (heard);
  g_thread_join (type);
  g_assert_cmpint (write (in[1], "\x1d", 1), ==, 1);
  g_thread_join (thread);
  g_assert_no_error (a.error);
  g_assert_true (a.ok);
  for (int i = 0; i < 2; i++)
    {
      close (in[i]);
      close (out[i]);
    }
}

/* Two at one console: the second is told so, and the first goes on. */
static void
test_busy (Fixture *f, gconstpointer data)
{
  Attached a = { .f = f };
  g_autoptr (GString) text = g_string_new (NULL);
  Reader reader = { text, NULL };
  g_autoptr (GError) error = NULL;
  int in[2], out[2];
  GThread *thread = NULL;

  g_assert_cmpint (pipe (in), ==, 0);
  g_assert_cmpint (pipe (out), ==, 0);
  a.in_fd = in[0];
  a.out_fd = out[1];
  thread = g_thread_new ("attach", attach_thread, &a);
  expect (out[0], BANNER);
  // no more comes, so it goes on only if it was not cut off
  g_assert_false (
      _sandbox_virt_console_read (f->virt, f->name, "serial0", on_data, &reader, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_BUSY);
  close (in[1]);
  g_thread_join (thread);
  g_assert_true (a.ok);
  close (in[0]);
  close (out[0]);
  close (out[1]);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, data, func)                                                                      \
  g_test_add ("/virt/console/" name, Fixture, GINT_TO_POINTER (data), set_up, func, tear_down)
  ADD ("read", 0, test_read);
  ADD ("cancel", 0, test_cancel);
  ADD ("end", 0, test_end);
  ADD ("errors", 0, test_errors);
  ADD ("attach/key", END_BY_KEY, test_attach);
  ADD ("attach/eof", END_BY_EOF, test_attach);
  ADD ("attach/cancel", END_BY_CANCEL, test_attach);
  ADD ("attach/domain", END_BY_DOMAIN, test_attach);
  ADD ("input", 0, test_input);
  ADD ("busy", 0, test_busy);
#undef ADD
  return run_with_system ();
}
