// SPDX-License-Identifier: LGPL-2.1-or-later
// This host's side of the self-test, as an ordinary user: listeners that note what reaches them,
// whatever the guest says, and questions to the same targets, since a target that does not answer
// this host proves nothing by not answering the guest.
#include "facade/verify-private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT_TRIES    32
#define PEERS_MAX     32
#define QUESTIONS_MAX 160
#define RETRY_USEC    (500 * 1000)
#define REPLY         "canary\n"

enum
{
  LISTEN_TCP,
  LISTEN_UDP,
  LISTEN_UDPLITE,
  LISTEN_TCP6,
  LISTEN_UDP6,
  N_LISTENERS,
};

/* A connection that was accepted, of which nothing was read yet; or one of our own that is being
 * made. */
typedef struct
{
  int fd;
  guint32 address;
  guint16 port;
  gboolean ping;
} Peer;

struct _SandboxCanary
{
  int listeners[N_LISTENERS], stop_fd;
  guint16 port;
  GThread *thread;
  /* of the thread, while it runs */
  const SandboxVerifyScene *scene;
  GPtrArray *probes;
  GArray *peers, *questions; /* of Peer */
  Peer inbound;
  gint64 inbound_since;
};

static void
close_peer (gpointer data)
{
  sandbox_close_fd (&((Peer *)data)->fd);
}

static int
open_listener (guint which, guint16 port)
{
  gboolean six = which == LISTEN_TCP6 || which == LISTEN_UDP6;
  gboolean stream = which == LISTEN_TCP || which == LISTEN_TCP6;
  struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons (port) };
  struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons (port) };
  sandbox_autofd int fd = socket (
      six ? AF_INET6 : AF_INET, (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC,
      which == LISTEN_UDPLITE ? IPPROTO_UDPLITE : 0);
  int yes = 1, result;

  if (fd < 0)
    return -1;
  if (six)
    setsockopt (fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
  else
    setsockopt (fd, IPPROTO_IP, IP_PKTINFO, &yes, sizeof yes);
  if (bind (fd, six ? (struct sockaddr *)&in6 : (struct sockaddr *)&in,
            six ? sizeof in6 : sizeof in)
          < 0
      || (stream && listen (fd, 64) < 0))
    return -1;
  result = fd;
  fd = -1;
  return result;
}

static guint16
port_of (int fd)
{
  struct sockaddr_in in = { 0 };
  socklen_t size = sizeof in;

  return getsockname (fd, (struct sockaddr *)&in, &size) == 0 ? ntohs (in.sin_port) : 0;
}

static void
close_listeners (SandboxCanary *canary)
{
  for (guint i = 0; i < N_LISTENERS; i++)
    sandbox_close_fd (&canary->listeners[i]);
}

/* The kernel's choice of a port for TCP must be free for UDP, too. What a host has not (IPv6,
 * UDP-Lite) is left out. */
static gboolean
open_listeners (SandboxCanary *canary)
{
  for (guint i = 0; i < PORT_TRIES; i++)
    {
      canary->listeners[LISTEN_TCP] = open_listener (LISTEN_TCP, 0);
      if (canary->listeners[LISTEN_TCP] < 0)
        return FALSE;
      canary->port = port_of (canary->listeners[LISTEN_TCP]);
      for (guint k = LISTEN_UDP; k < N_LISTENERS; k++)
        canary->listeners[k] = open_listener (k, canary->port);
      if (canary->listeners[LISTEN_UDP] >= 0)
        return TRUE;
      close_listeners (canary);
    }
  errno = EADDRINUSE;
  return FALSE;
}

SandboxCanary *
_sandbox_canary_new (SandboxVerifyScene *scene, GError **error)
{
  g_autoptr (SandboxCanary) canary = g_new0 (SandboxCanary, 1);

  for (guint i = 0; i < N_LISTENERS; i++)
    canary->listeners[i] = -1;
  canary->inbound.fd = -1;
  canary->stop_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  canary->peers = g_array_new (FALSE, FALSE, sizeof (Peer));
  canary->questions = g_array_new (FALSE, FALSE, sizeof (Peer));
  g_array_set_clear_func (canary->peers, close_peer);
  g_array_set_clear_func (canary->questions, close_peer);
  if (canary->stop_fd < 0 || !open_listeners (canary))
    {
      sandbox_fail_errno (error, errno, "verify: listening on this host");
      return NULL;
    }
  scene->canary_port = canary->port;
  scene->raw_canary = canary->listeners[LISTEN_UDPLITE] >= 0;
  return g_steal_pointer (&canary);
}

/* @data: what came, which may be anything. */
static void
hear (SandboxCanary *canary, const char *data, gsize length)
{
  gsize mark = strlen (SANDBOX_VERIFY_MARK);
  int number = -1;

  if (length > mark && memcmp (data, SANDBOX_VERIFY_MARK, mark) == 0)
    number = _sandbox_verify_number (data + mark, length - mark, canary->scene->nonce,
                                     canary->probes->len);
  if (number >= 0)
    ((SandboxProbe *)canary->probes->pdata[number])->seen = TRUE;
}

/* A connection of the guest is one, whatever it sends. */
static void
hear_connection (SandboxCanary *canary, const struct sockaddr_in *from, guint32 asked)
{
  if (ntohl (from->sin_addr.s_addr) != canary->scene->plan->subnet.address + 2)
    return;
  for (guint i = 0; i < canary->probes->len; i++)
    {
      SandboxProbe *probe = canary->probes->pdata[i];

      if (probe->kind == SANDBOX_PROBE_TCP && probe->address == asked
          && probe->port == canary->port)
        probe->seen = TRUE;
    }
}

static void
on_connection (SandboxCanary *canary, int listener)
{
  struct sockaddr_in from = { 0 }, asked = { 0 };
  struct sockaddr_storage any;
  socklen_t size = sizeof any;
  Peer peer = { .fd = accept4 (listener, (struct sockaddr *)&any, &size,
                               SOCK_NONBLOCK | SOCK_CLOEXEC) };

  if (peer.fd < 0)
    return;
  if (any.ss_family == AF_INET)
    {
      memcpy (&from, &any, sizeof from);
      size = sizeof asked;
      getsockname (peer.fd, (struct sockaddr *)&asked, &size);
      hear_connection (canary, &from, ntohl (asked.sin_addr.s_addr));
    }
  if (send (peer.fd, REPLY, strlen (REPLY), MSG_NOSIGNAL) < 0 || canary->peers->len >= PEERS_MAX)
    close_peer (&peer);
  else
    g_array_append_val (canary->peers, peer);
}

/* The answer comes from the address that was asked, which the kernel would not always choose. */
static void
on_datagram (SandboxCanary *canary, int listener)
{
  char data[512], control[256];
  struct sockaddr_storage from;
  struct iovec part = { data, sizeof data };
  struct msghdr message = { .msg_name = &from,
                            .msg_namelen = sizeof from,
                            .msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = control,
                            .msg_controllen = sizeof control };
  ssize_t length = recvmsg (listener, &message, 0);

  if (length <= 0)
    return;
  hear (canary, data, (gsize)length);
  for (struct cmsghdr *part_of = CMSG_FIRSTHDR (&message); part_of != NULL;
       part_of = CMSG_NXTHDR (&message, part_of))
    if (part_of->cmsg_level == IPPROTO_IP && part_of->cmsg_type == IP_PKTINFO)
      {
        struct in_pktinfo *info = (struct in_pktinfo *)(gpointer)CMSG_DATA (part_of);

        info->ipi_ifindex = 0;
        info->ipi_spec_dst = info->ipi_addr;
      }
  part = (struct iovec){ (gpointer)REPLY, strlen (REPLY) };
  message.msg_flags = 0;
  if (sendmsg (listener, &message, MSG_NOSIGNAL) < 0)
    return; /* to a group, or to nobody */
}

static void
on_peer (SandboxCanary *canary, guint i)
{
  char data[512];
  ssize_t length = recv (g_array_index (canary->peers, Peer, i).fd, data, sizeof data, 0);

  if (length < 0 && errno == EAGAIN)
    return;
  if (length > 0)
    hear (canary, data, (gsize)length);
  g_array_remove_index_fast (canary->peers, i);
}

static int
begin_connection (guint32 address, guint16 port)
{
  struct sockaddr_in to = { .sin_family = AF_INET,
                            .sin_port = htons (port),
                            .sin_addr.s_addr = htonl (address) };
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

  if (fd >= 0 && connect (fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)
    sandbox_close_fd (&fd);
  return fd;
}

/* Where the host lets ordinary users do that. */
static int
begin_ping (guint32 address)
{
  struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl (address) };
  struct icmphdr echo = { .type = ICMP_ECHO };
  int fd = socket (AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_ICMP);

  if (fd >= 0
      && (connect (fd, (struct sockaddr *)&to, sizeof to) < 0
          || send (fd, &echo, sizeof echo, MSG_NOSIGNAL) < 0))
    sandbox_close_fd (&fd);
  return fd;
}

/* The same as the guest asks, of whom nothing else is known. */
static void
begin_questions (SandboxCanary *canary)
{
  for (guint i = 0; i < canary->probes->len && canary->questions->len < QUESTIONS_MAX; i++)
    {
      const SandboxProbe *probe = canary->probes->pdata[i];
      Peer peer = { -1, probe->address, probe->port, probe->kind == SANDBOX_PROBE_PING };

      if (probe->judge != SANDBOX_JUDGE_REPLIES)
        continue;
      if (peer.ping)
        peer.fd = begin_ping (peer.address);
      else if (probe->kind == SANDBOX_PROBE_TCP)
        peer.fd = begin_connection (peer.address, peer.port);
      if (peer.fd >= 0)
        g_array_append_val (canary->questions, peer);
    }
}

static void
on_answer (SandboxCanary *canary, guint i)
{
  Peer peer = g_array_index (canary->questions, Peer, i);
  int error = 0;
  socklen_t size = sizeof error;
  gboolean alive;

  if (getsockopt (peer.fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
    error = errno;
  alive = error == 0 || error == ECONNREFUSED;
  for (guint k = 0; alive && k < canary->probes->len; k++)
    {
      SandboxProbe *probe = canary->probes->pdata[k];

      if (probe->judge != SANDBOX_JUDGE_REPLIES || probe->address != peer.address)
        continue;
      probe->control = TRUE;
      if (probe->kind == SANDBOX_PROBE_TCP && !peer.ping && probe->port == peer.port && error == 0)
        probe->control_open = TRUE;
    }
  g_array_remove_index_fast (canary->questions, i);
}

/* Again and again: the guest may not listen yet. */
static void
try_inbound (SandboxCanary *canary)
{
  gint64 now = g_get_monotonic_time ();
  const SandboxVerifyScene *scene = canary->scene;

  if (canary->inbound.fd >= 0 && now < canary->inbound_since + RETRY_USEC)
    return;
  close_peer (&canary->inbound);
  canary->inbound.fd =
      begin_connection (scene->plan->subnet.address + 2, canary->scene->listen_port);
  canary->inbound_since = now;
}

static void
on_inbound (SandboxCanary *canary)
{
  int error = 0;
  socklen_t size = sizeof error;

  if (getsockopt (canary->inbound.fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0)
    for (guint i = 0; i < canary->probes->len; i++)
      {
        SandboxProbe *probe = canary->probes->pdata[i];

        probe->seen |= probe->kind == SANDBOX_PROBE_LISTEN;
      }
  /* what was refused is tried again in a while */
  close_peer (&canary->inbound);
}

/* In the order in which dispatch() finds them again. */
static GArray *
collect (SandboxCanary *canary)
{
  GArray *polls = g_array_new (FALSE, TRUE, sizeof (struct pollfd));
  struct pollfd poll_stop = { canary->stop_fd, POLLIN, 0 };
  struct pollfd poll_inbound = { canary->inbound.fd, POLLOUT, 0 };

  g_array_append_val (polls, poll_stop);
  g_array_append_val (polls, poll_inbound);
  for (guint i = 0; i < N_LISTENERS; i++)
    {
      struct pollfd item = { canary->listeners[i], POLLIN, 0 };
      g_array_append_val (polls, item);
    }
  for (guint i = 0; i < canary->peers->len; i++)
    {
      struct pollfd item = { g_array_index (canary->peers, Peer, i).fd, POLLIN, 0 };
      g_array_append_val (polls, item);
    }
  for (guint i = 0; i < canary->questions->len; i++)
    {
      const Peer *peer = &g_array_index (canary->questions, Peer, i);
      struct pollfd item = { peer->fd, peer->ping ? POLLIN : POLLOUT, 0 };
      g_array_append_val (polls, item);
    }
  return polls;
}

/* From the last to the first: those that are removed are replaced by ones that were looked at. */
static void
dispatch (SandboxCanary *canary, const struct pollfd *polls)
{
  const struct pollfd *peers = polls + 2 + N_LISTENERS;
  guint n_peers = canary->peers->len, n_questions = canary->questions->len;

  for (guint i = n_questions; i > 0; i--)
    if (peers[n_peers + i - 1].revents)
      on_answer (canary, i - 1);
  for (guint i = n_peers; i > 0; i--)
    if (peers[i - 1].revents)
      on_peer (canary, i - 1);
  for (guint i = 0; i < N_LISTENERS; i++)
    if (polls[2 + i].revents & POLLIN)
      {
        if (i == LISTEN_TCP || i == LISTEN_TCP6)
          on_connection (canary, canary->listeners[i]);
        else
          on_datagram (canary, canary->listeners[i]);
      }
  if (polls[1].revents)
    on_inbound (canary);
}

static gpointer
canary_thread (gpointer data)
{
  SandboxCanary *canary = data;

  for (;;)
    {
      g_autoptr (GArray) polls = NULL;
      struct pollfd *items;

      try_inbound (canary);
      polls = collect (canary);
      items = (struct pollfd *)(gpointer)polls->data;
      if (poll (items, polls->len, 200) < 0 && errno != EINTR)
        return NULL;
      dispatch (canary, items);
      if (items[0].revents)
        return NULL;
    }
}

/* What a guest sends to such a group is for whoever listens on that bridge. */
static void
join_groups (SandboxCanary *canary, const char *bridge)
{
  static const guint32 groups[] = { SANDBOX_VERIFY_MDNS, SANDBOX_VERIFY_SSDP };
  guint index = if_nametoindex (bridge);

  for (gsize i = 0; i < G_N_ELEMENTS (groups) && index > 0; i++)
    {
      struct ip_mreqn join = { .imr_multiaddr.s_addr = htonl (groups[i]),
                               .imr_ifindex = (int)index };

      setsockopt (canary->listeners[LISTEN_UDP], IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof join);
    }
}

void
_sandbox_canary_start (SandboxCanary *canary, SandboxVerifyScene *scene, GPtrArray *probes,
                       const char *bridge)
{
  canary->scene = scene;
  canary->probes = probes;
  join_groups (canary, bridge);
  begin_questions (canary);
  canary->thread = g_thread_new ("canary", canary_thread, canary);
}

void
_sandbox_canary_stop (SandboxCanary *canary)
{
  guint64 one = 1;

  if (canary->thread == NULL)
    return;
  /* cannot fail: an event counter that nobody else adds to */
  if (write (canary->stop_fd, &one, sizeof one) == sizeof one)
    g_thread_join (g_steal_pointer (&canary->thread));
}

void
_sandbox_canary_free (SandboxCanary *canary)
{
  if (canary == NULL)
    return;
  _sandbox_canary_stop (canary);
  close_listeners (canary);
  close_peer (&canary->inbound);
  sandbox_close_fd (&canary->stop_fd);
  g_array_unref (canary->peers);
  g_array_unref (canary->questions);
  g_free (canary);
}
