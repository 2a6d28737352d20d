// SPDX-License-Identifier: LGPL-2.1-or-later
// Copying both ways over a real sshd.
#include "fixture.h"

#include "base/error.h"
#include "base/file.h"
#include "guest/copy-private.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *
in (Fixture *fixture, const char *name)
{
  return g_build_filename (fixture->guest, name, NULL);
}

static void
sh (Fixture *fixture, const char *script)
{
  const char *argv[] = { "sh", "-ec", script, "sh", fixture->guest, NULL };
  g_autofree char *output = NULL;
  int status = -1;

  output = fixture_run (argv, &status);
  if (status)
    g_error ("%s: %s", script, output);
}

/* Of trees without links. */
static gboolean
copy_out (const SandboxSsh *ssh, const char *guest_path, const char *host_path,
          const char *const *shared, gboolean overwrite, GCancellable *cancellable, GError **error)
{
  g_autofree char *note = NULL;
  gboolean ok = _sandbox_guest_copy_out (ssh, guest_path, host_path, shared, overwrite, &note,
                                         cancellable, error);

  g_assert_null (note);
  return ok;
}

/* A tree with what trees have. */
#define MAKE_TREE                                                                                  \
  "cd \"$1\"; mkdir -p tree/sub/empty host guest; echo one >tree/one; echo two >'tree/sub/a b'; "  \
  "head -c 3000000 /dev/urandom >tree/big; chmod 700 tree/one; : >tree/zero; "                     \
  "echo n >tree/$(printf 'n%.0s' $(seq 150)); echo d >tree/-dash; touch -d @1000000000 tree/one"

static void
test_both_ways (void)
{
  Fixture fixture;
  g_autoptr (GError) error = NULL;

  fixture_set_up (&fixture);
  if (fixture_start_sshd (&fixture, NULL))
    {
      g_autofree char *tree = in (&fixture, "tree"), *guest = in (&fixture, "guest"),
                      *host = in (&fixture, "host");
      g_autofree char *guest_tree = in (&fixture, "guest/tree"),
                      *host_new = in (&fixture, "host/new name");
      g_autofree char *one = in (&fixture, "tree/one"),
                      *guest_one = in (&fixture, "guest/it's one");

      sh (&fixture, MAKE_TREE);
      /* into a directory, by its name */
      _sandbox_guest_copy_in (fixture.ssh, tree, guest, NULL, FALSE, NULL, &error);
      g_assert_no_error (error);
      sh (&fixture,
          "cd \"$1\"; diff -r tree guest/tree; [ $(stat -c %a%Y guest/tree/one) = 7001000000000 ]");
      _sandbox_guest_copy_in (fixture.ssh, one, guest_one, NULL, FALSE, NULL, &error);
      g_assert_no_error (error);
      sh (&fixture, "cd \"$1\"; cmp tree/one \"guest/it's one\"; [ $(ls -A guest | wc -l) = 2 ]");
      /* and back, by its name and by another */
      copy_out (fixture.ssh, guest_tree, host, NULL, FALSE, NULL, &error);
      g_assert_no_error (error);
      copy_out (fixture.ssh, guest_one, host_new, NULL, FALSE, NULL, &error);
      g_assert_no_error (error);
      sh (&fixture, "cd \"$1\"; diff -r tree host/tree; cmp tree/one 'host/new name'; [ $(ls -A "
                    "host | wc -l) = 2 ]");
    }
  fixture_tear_down (&fixture);
}

static void
test_overwrite (void)
{
  Fixture fixture;
  g_autoptr (GError) error = NULL;

  fixture_set_up (&fixture);
  if (fixture_start_sshd (&fixture, NULL))
    {
      g_autofree char *tree = in (&fixture, "tree"), *guest = in (&fixture, "guest"),
                      *host = in (&fixture, "host");
      g_autofree char *one = in (&fixture, "tree/one");

      sh (&fixture, MAKE_TREE
          "; cp -a tree guest; cp -a tree host; echo old >guest/tree/one; echo old >host/tree/one; "
          "echo mine >guest/tree/mine; echo mine >host/tree/mine");
      g_assert_false (_sandbox_guest_copy_in (fixture.ssh, tree, guest, NULL, FALSE, NULL, &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_EXISTS);
      g_clear_error (&error);
      g_assert_false (copy_out (fixture.ssh, tree, host, NULL, FALSE, NULL, &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_EXISTS);
      g_clear_error (&error);
      sh (&fixture, "cd \"$1\"; grep -q old guest/tree/one; grep -q old host/tree/one");
      _sandbox_guest_copy_in (fixture.ssh, tree, guest, NULL, TRUE, NULL, &error);
      g_assert_no_error (error);
      copy_out (fixture.ssh, tree, host, NULL, TRUE, NULL, &error);
      g_assert_no_error (error);
      sh (&fixture, "cd \"$1\"; rm guest/tree/mine host/tree/mine; diff -r tree guest/tree; diff "
                    "-r tree host/tree; "
                    "[ $(ls -A guest host | wc -l) = 5 ]");
    }
  fixture_tear_down (&fixture);
}

/* What stands in a directory that a guest may write in can be a link to the user's keys. */
static void
test_link_at_the_top (void)
{
  Fixture fixture;
  g_autoptr (GError) error = NULL;

  fixture_set_up (&fixture);
  if (fixture_start_sshd (&fixture, NULL))
    {
      g_autofree char *file = in (&fixture, "to-file"), *dir = in (&fixture, "to-dir");
      g_autofree char *guest = in (&fixture, "guest");
      const char *const links[] = { file, dir };

      sh (&fixture, "cd \"$1\"; mkdir keys guest; echo secret >keys/id; ln -s keys/id to-file; ln "
                    "-s keys to-dir");
      for (gsize i = 0; i < G_N_ELEMENTS (links); i++)
        {
          g_assert_false (
              _sandbox_guest_copy_in (fixture.ssh, links[i], guest, NULL, FALSE, NULL, &error));
          g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
          g_assert_nonnull (strstr (error->message, "keys"));
          g_clear_error (&error);
        }
      sh (&fixture, "cd \"$1\"; [ $(ls -A guest | wc -l) = 0 ]");
    }
  fixture_tear_down (&fixture);
}

static void
expect_out (Fixture *fixture, const char *guest_path, const char *host_path, gint code)
{
  g_autofree char *host = in (fixture, host_path);
  g_autoptr (GError) error = NULL;

  g_assert_false (copy_out (fixture->ssh, guest_path, host, NULL, FALSE, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, code);
  g_test_message ("%s", error->message);
}

static void
expect_in (Fixture *fixture, const char *host_path, const char *guest_path, gint code)
{
  g_autofree char *guest = in (fixture, guest_path);
  g_autofree char *host = in (fixture, host_path);
  g_autoptr (GError) error = NULL;

  g_assert_false (_sandbox_guest_copy_in (fixture->ssh, host, guest, NULL, FALSE, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, code);
  g_test_message ("%s", error->message);
}

static void
test_refused (void)
{
  Fixture fixture;

  fixture_set_up (&fixture);
  if (fixture_start_sshd (&fixture, NULL))
    {
      g_autofree char *link = in (&fixture, "link"), *fifo = in (&fixture, "with-fifo"),
                      *missing = in (&fixture, "missing"), *escape = in (&fixture, "with-escape"),
                      *tree = in (&fixture, "tree");

      sh (&fixture,
          MAKE_TREE "; mkdir with-fifo with-escape; ln -s /etc/passwd link; "
                    "mkfifo with-fifo/f; touch \"with-escape/$(printf 'a\\033]0;b\\007')\"");
      expect_out (&fixture, link, "host", SANDBOX_ERROR_GUEST);
      expect_out (&fixture, fifo, "host", SANDBOX_ERROR_GUEST);
      expect_out (&fixture, escape, "host", SANDBOX_ERROR_GUEST);
      expect_out (&fixture, missing, "host", SANDBOX_ERROR_NOT_FOUND);
      expect_out (&fixture, tree, "no such/x", SANDBOX_ERROR_NOT_FOUND);
      expect_out (&fixture, "/", "host", SANDBOX_ERROR_INVALID);
      expect_out (&fixture, "..", "host", SANDBOX_ERROR_INVALID);
      expect_in (&fixture, "with-fifo", "guest", SANDBOX_ERROR_INVALID);
      expect_in (&fixture, "missing", "guest", SANDBOX_ERROR_NOT_FOUND);
      expect_in (&fixture, "tree", "no such/x", SANDBOX_ERROR_NOT_FOUND);
      expect_in (&fixture, "tree", "guest/x/", SANDBOX_ERROR_NOT_FOUND);
      /* nothing was left on either side */
      sh (&fixture, "cd \"$1\"; [ -z \"$(ls -A guest host | grep -v :)\" ]");
    }
  fixture_tear_down (&fixture);
}

/* Such as come from a build: what leads to its own files, or not. */
static void
test_links (void)
{
  Fixture fixture;
  g_autofree char *note = NULL;
  g_autoptr (GError) error = NULL;

  fixture_set_up (&fixture);
  if (fixture_start_sshd (&fixture, NULL))
    {
      g_autofree char *tree = in (&fixture, "tree"), *host = in (&fixture, "host");

      sh (&fixture,
          MAKE_TREE "; ln -s one tree/link; ln -s ../big tree/sub/up; ln -s sub tree/dir; "
                    "ln -s dir/up tree/far; ln -s /etc/passwd tree/python");
      _sandbox_guest_copy_out (fixture.ssh, tree, host, NULL, FALSE, &note, NULL, &error);
      g_assert_no_error (error);
      g_assert_nonnull (strstr (note, "\"python\""));
      g_assert_null (strstr (note, "far"));
      sh (&fixture,
          "cd \"$1\"; rm tree/python; diff -r --no-dereference tree host/tree; cmp tree/big "
          "host/tree/far");
    }
  fixture_tear_down (&fixture);
}

/* Before there is anything to copy: where it would go, and whether it could. */
static void
test_target (void)
{
  static const struct
  {
    const char *guest, *host, *target;
    gint code;
  } cases[] = {
    { "/tmp/report", "", "report", 0 },
    { "report/", "", "report", 0 },
    { "/tmp/x", "new", "new", 0 },
    { "/tmp/x", "there", "there/x", 0 },
    { "/tmp/file", "there", NULL, SANDBOX_ERROR_EXISTS },
    { "/tmp/there", "", NULL, SANDBOX_ERROR_EXISTS },
    { "/tmp/x", "no/such", NULL, SANDBOX_ERROR_NOT_FOUND },
    { "/tmp/x", "new/", NULL, SANDBOX_ERROR_INVALID },
    { "/tmp/x", "closed", NULL, -1 },
    { "/", "", NULL, SANDBOX_ERROR_INVALID },
    { "", "", NULL, SANDBOX_ERROR_INVALID },
  };
  Fixture fixture;

  fixture_set_up (&fixture);
  sh (&fixture, "cd \"$1\"; mkdir there closed; touch there/file; chmod 555 closed");
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *host = in (&fixture, cases[i].host);
      g_autoptr (GError) error = NULL;
      g_autofree char *target = NULL;

      /* root may write everywhere */
      if (cases[i].code == -1 && geteuid () == 0)
        continue;
      target = _sandbox_guest_copy_target (cases[i].guest, host, NULL, FALSE, &error);
      if (cases[i].target != NULL)
        {
          g_autofree char *wanted = in (&fixture, cases[i].target);

          g_assert_no_error (error);
          g_assert_cmpstr (target, ==, wanted);
          continue;
        }
      g_assert_null (target);
      g_assert_nonnull (error);
      if (cases[i].code != -1)
        g_assert_error (error, SANDBOX_ERROR, cases[i].code);
    }
  fixture_tear_down (&fixture);
}

/* What tar could not read is missing: then all of it is. (Root reads everything.) */
static void
test_unreadable (void)
{
  Fixture fixture;

  if (geteuid () == 0)
    {
      g_test_skip ("root reads every file");
      return;
    }
  fixture_set_up (&fixture);
  if (fixture_start_sshd (&fixture, NULL))
    {
      g_autofree char *tree = in (&fixture, "tree");

      sh (&fixture, MAKE_TREE "; chmod 0 tree/big");
      expect_out (&fixture, tree, "host", SANDBOX_ERROR_GUEST);
      sh (&fixture, "cd \"$1\"; [ -z \"$(ls -A host)\" ]");
    }
  fixture_tear_down (&fixture);
}

static gpointer
cancel_later (gpointer data)
{
  g_usleep (700 * 1000);
  g_cancellable_cancel (data);
  return NULL;
}

static void
test_cancel (void)
{
  Fixture fixture;
  g_autoptr (GError) error = NULL;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();

  fixture_set_up (&fixture);
  if (fixture_start_sshd (&fixture, NULL))
    {
      g_autofree char *big = in (&fixture, "big"), *guest = in (&fixture, "guest"),
                      *host = in (&fixture, "host");
      GThread *thread;

      sh (&fixture, "cd \"$1\"; mkdir guest host; truncate -s 4G big");
      thread = g_thread_new ("cancel", cancel_later, cancellable);
      g_assert_false (
          _sandbox_guest_copy_in (fixture.ssh, big, guest, NULL, FALSE, cancellable, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      g_thread_join (thread);
      g_clear_error (&error);
      g_cancellable_reset (cancellable);
      thread = g_thread_new ("cancel", cancel_later, cancellable);
      g_assert_false (copy_out (fixture.ssh, big, host, NULL, FALSE, cancellable, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      g_thread_join (thread);
      sh (&fixture, "cd \"$1\"; [ -z \"$(ls -A host)\" ]; i=0; while [ -n \"$(ls -A guest)\" ] && "
                    "[ $i -lt 100 ]; do "
                    "i=$((i+1)); sleep 0.1; done; [ -z \"$(ls -A guest)\" ]");
    }
  fixture_tear_down (&fixture);
}

/* A guest put links into what it shares with the host: nothing goes through them, either way. */
static void
test_links_in_a_share (void)
{
  static const char *const ways[] = { "/dir/", "/dir/.", "/dir/id", "/dir" };
  Fixture fixture;

  fixture_set_up (&fixture);
  if (fixture_start_sshd (&fixture, NULL))
    {
      g_autofree char *share = in (&fixture, "share"), *guest = in (&fixture, "guest");
      g_autofree char *file = in (&fixture, "file");
      const char *const shared[] = { share, NULL };

      sh (&fixture,
          "cd \"$1\"; mkdir keys guest share; echo secret >keys/id; ln -s ../keys share/dir; "
          "echo content >file");
      for (gsize i = 0; i < G_N_ELEMENTS (ways); i++)
        {
          g_autofree char *way = g_strconcat (share, ways[i], NULL);
          g_autoptr (GError) in_error = NULL;
          g_autoptr (GError) out_error = NULL;

          g_assert_false (
              _sandbox_guest_copy_in (fixture.ssh, way, guest, shared, FALSE, NULL, &in_error));
          g_assert_error (in_error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
          g_assert_false (copy_out (fixture.ssh, file, way, shared, TRUE, NULL, &out_error));
          g_assert_error (out_error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
        }
      sh (&fixture, "cd \"$1\"; [ -z \"$(ls -A guest)\" ] && [ \"$(cat keys/*)\" = secret ]");
    }
  fixture_tear_down (&fixture);
}

static void
test_no_guest (void)
{
  Fixture fixture;
  g_autofree char *log = NULL;

  fixture_set_up (&fixture);
  sh (&fixture, "cd \"$1\"; mkdir host; echo x >file");
  expect_out (&fixture, "/etc/hostname", "host", SANDBOX_ERROR_GUEST);
  expect_in (&fixture, "file", "guest", SANDBOX_ERROR_GUEST);
  fixture_tear_down (&fixture);
}

/* One that sends a little now and then, of whatever kind, has no more time for it. */
static void
test_limit (void)
{
  static const char *const scripts[] = {
    "while :; do printf x; sleep 0.1; done",     /* what was asked for, in drops */
    "while :; do printf x >&2; sleep 0.1; done", /* complaints instead of it */
    "head -c 100000 /dev/zero; exec sleep 60",   /* no end of it */
    "head -c 65536 /dev/zero; exec >&-; while :; do printf x >&2; sleep 0.1; done",
    "sleep 60",
  };
  Fixture fixture;

  fixture_set_up (&fixture);
  if (fixture_start_sshd (&fixture, NULL))
    for (guint i = 0; i < G_N_ELEMENTS (scripts); i++)
      {
        g_autoptr (GError) error = NULL;
        g_autofree char *block = g_malloc (65536);
        g_autoptr (SandboxStream) stream =
            _sandbox_stream_open (fixture.ssh, scripts[i], TRUE, NULL, &error);
        gint64 begin = g_get_monotonic_time ();
        int status = 0;

        g_assert_no_error (error);
        _sandbox_stream_limit (stream, 3 * G_USEC_PER_SEC);
        g_assert_false (_sandbox_stream_read (block, 65536, stream, &error)
                        && _sandbox_stream_drain (stream, &error)
                        && _sandbox_stream_finish (stream, &status, NULL, &error));
        g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_TIMED_OUT);
        g_assert_cmpint (g_get_monotonic_time () - begin, <, 30 * G_USEC_PER_SEC);
      }
  fixture_tear_down (&fixture);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/guest/copy/both-ways", test_both_ways);
  g_test_add_func ("/guest/copy/overwrite", test_overwrite);
  g_test_add_func ("/copy/link-at-the-top", test_link_at_the_top);
  g_test_add_func ("/guest/copy/links-in-a-share", test_links_in_a_share);
  g_test_add_func ("/guest/copy/refused", test_refused);
  g_test_add_func ("/guest/copy/links", test_links);
  g_test_add_func ("/guest/copy/target", test_target);
  g_test_add_func ("/guest/copy/unreadable", test_unreadable);
  g_test_add_func ("/guest/copy/cancel", test_cancel);
  g_test_add_func ("/guest/copy/no-guest", test_no_guest);
  g_test_add_func ("/guest/copy/limit", test_limit);
  return g_test_run ();
}
