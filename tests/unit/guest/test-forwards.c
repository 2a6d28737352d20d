// SPDX-License-Identifier: LGPL-2.1-or-later
// The keeper's forwarded ports, against a real sshd: what a flood that nobody reads costs the host.
#include "fixture.h"

#include "base/child.h"
#include "keeper.h"

#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_USEC (60 * G_USEC_PER_SEC)
#define FLOOD_USEC    (20 * G_USEC_PER_SEC)
#define CONNECTIONS   110
/* What the keeper gives the processes, from outside. */
#define CONNECTIONS_MIN 64
#define CONNECTIONS_MAX 88
#define MEMORY_MAX      ((guint64)256 * 1024 * 1024)

typedef struct
{
  Fixture fixture;
  char *self;
  KeeperForwards *forwards;
  int service;         /* listens; nobody reads what it gets */
  guint16 port, offer; /* its port, and the one in the "guest" */
  int fds[CONNECTIONS];
} Bench;

static int
listen_anywhere (guint16 *ret_port)
{
  struct sockaddr_in address = { .sin_family = AF_INET,
                                 .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  socklen_t length = sizeof address;
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  g_assert_cmpint (bind (fd, (struct sockaddr *)&address, sizeof address), ==, 0);
  g_assert_cmpint (listen (fd, CONNECTIONS), ==, 0);
  g_assert_cmpint (getsockname (fd, (struct sockaddr *)&address, &length), ==, 0);
  *ret_port = ntohs (address.sin_port);
  return fd;
}

static void
serve (Bench *bench)
{
  int timeout_msec = keeper_forwards_step (bench->forwards);
  g_autoptr (GArray) fds = g_array_new (FALSE, FALSE, sizeof (struct pollfd));

  keeper_forwards_poll (bench->forwards, fds);
  poll ((struct pollfd *)(gpointer)fds->data, fds->len,
        timeout_msec < 0 ? 20 : MIN (timeout_msec, 20));
}

static int
connect_once (guint16 port)
{
  int saved_errno;

  return _sandbox_tcp_connect ("127.0.0.1", port, G_USEC_PER_SEC, &saved_errno);
}

static void
wait_until_offered (Bench *bench)
{
  gint64 deadline = g_get_monotonic_time () + PATIENCE_USEC;
  int fd = -1;

  while (fd < 0 && g_get_monotonic_time () < deadline)
    {
      serve (bench);
      fd = connect_once (bench->offer);
    }
  g_assert_cmpint (fd, >=, 0);
  close (fd);
}

/* The ssh that forwards. */
static pid_t
find_ssh (const Bench *bench)
{
  g_autofree char *path = g_strdup_printf ("/proc/self/task/%d/children", (int)getpid ());
  g_autofree char *wanted = g_strdup_printf ("-R*:%u:", bench->offer), *text = NULL;
  g_auto (GStrv) pids = NULL;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  pids = g_strsplit (g_strstrip (text), " ", -1);
  for (char **pid = pids; *pid != NULL; pid++)
    {
      g_autofree char *cmdline = g_strdup_printf ("/proc/%s/cmdline", *pid), *words = NULL;
      gsize length = 0;

      if (**pid != '\0' && g_file_get_contents (cmdline, &words, &length, NULL)
          && memmem (words, length, wanted, strlen (wanted)) != NULL)
        return (pid_t)g_ascii_strtoll (*pid, NULL, 10);
    }
  return 0;
}

/* 0: there is no such process any more. */
static guint64
memory_of (pid_t pid)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/status", (int)pid), *text = NULL;
  const char *found =
      g_file_get_contents (path, &text, NULL, NULL) ? strstr (text, "VmRSS:") : NULL;

  return found != NULL ? g_ascii_strtoull (found + strlen ("VmRSS:"), NULL, 10) * 1024 : 0;
}

/* Everything that the connections take, until they take nothing for a second. */
static void
flood (Bench *bench)
{
  static const char block[65536];
  gint64 deadline = g_get_monotonic_time () + FLOOD_USEC, quiet = 0;

  while (g_get_monotonic_time () < deadline
         && (quiet == 0 || g_get_monotonic_time () < quiet + G_USEC_PER_SEC))
    {
      gboolean sent = FALSE;

      for (guint i = 0; i < CONNECTIONS; i++)
        sent |= bench->fds[i] >= 0
                && send (bench->fds[i], block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL) > 0;
      quiet = sent ? 0 : quiet != 0 ? quiet : g_get_monotonic_time ();
      serve (bench);
    }
}

static guint
count_accepted (const Bench *bench)
{
  guint count = 0;

  while (accept4 (bench->service, NULL, NULL, SOCK_CLOEXEC) >= 0)
    count++; /* stays open, and unread, until the test ends */
  return count;
}

static void
check_limits (pid_t pid)
{
#ifndef __SANITIZE_ADDRESS__
  g_autofree char *path = g_strdup_printf ("/proc/%d/limits", (int)pid), *text = NULL;
  g_autofree char *line = g_strdup_printf ("Max data size *%" G_GUINT64_FORMAT " ", MEMORY_MAX);

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  g_assert_true (g_regex_match_simple (line, text, 0, 0));
#else
  g_assert_cmpint (pid, >, 0);
#endif
}

static void
check_flood (Bench *bench)
{
  guint count;
  pid_t pid;

  wait_until_offered (bench);
  pid = find_ssh (bench);
  g_assert_cmpint (pid, >, 0);
  check_limits (pid);
  count_accepted (bench); /* that of the look whether it is there */
  for (guint i = 0; i < CONNECTIONS; i++)
    bench->fds[i] = connect_once (bench->offer);
  flood (bench);
  count = count_accepted (bench);
  g_test_message ("%u connections, %" G_GUINT64_FORMAT " bytes", count, memory_of (pid));
  g_assert_cmpuint (count, >=, CONNECTIONS_MIN);
  g_assert_cmpuint (count, <=, CONNECTIONS_MAX);
  /* and it has not ended for want of memory */
  g_assert_cmpuint (memory_of (pid), >, 0);
  g_assert_cmpuint (memory_of (pid), <, MEMORY_MAX);
}

static void
test_flood (void)
{
  Bench bench = { 0 };
  g_autofree char *list = NULL, *path = NULL;
  int fd;

  fixture_set_up (&bench.fixture);
  bench.self = g_build_filename (g_getenv ("SANDBOX_LIBEXEC_DIR"), "sandbox-keeper", NULL);
  bench.service = listen_anywhere (&bench.port);
  fd = listen_anywhere (&bench.offer);
  close (fd);
  for (guint i = 0; i < CONNECTIONS; i++)
    bench.fds[i] = -1;
  if (fixture_start_sshd (&bench.fixture, "GatewayPorts no\n"))
    {
      pid_t master = fixture_start_master (&bench.fixture);

      bench.forwards = keeper_forwards_new (bench.fixture.ssh, bench.fixture.fd, bench.self);
      list = g_strdup_printf ("host %u:%u 0\n", bench.port, bench.offer);
      path = g_build_filename (bench.fixture.path, SANDBOX_FORWARDS, NULL);
      g_assert_true (g_file_set_contents (path, list, -1, NULL));
      check_flood (&bench);
      keeper_forwards_free (bench.forwards);
      fixture_kill (master);
    }
  for (guint i = 0; i < CONNECTIONS; i++)
    if (bench.fds[i] >= 0)
      close (bench.fds[i]);
  close (bench.service);
  g_free (bench.self);
  fixture_tear_down (&bench.fixture);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/keeper/forwards/flood", test_flood);
  return g_test_run ();
}
