// SPDX-License-Identifier: LGPL-2.1-or-later
// What runs as root in a guest, for `vms verify` and for the tests of the network policy: asks many
// hosts at once, sends raw frames, answers.
//
//   sandbox-probe ask SECONDS [MAC]
//       of lines   ID tcp|udp|ping|dns-udp|dns-tcp ADDRESS [PORT]
//                  ID listen ADDRESS PORT        waits there for a TCP connection
//                  ID frame HEX HEX|-            sent as it is by the card that has MAC; the second
//                                                one is what stands in an answer to it
//       prints     ID RESULT for each; after those of a call with MAC, "done N"
//   sandbox-probe frames INTERFACE               lines ID HEX: sent as they are, twice each
//   sandbox-probe serve SECONDS PORT...          TCP and UDP: whoever asks gets an answer
//
// It judges nothing: whoever started it looks at what arrived elsewhere. RESULT: open, answer,
// refused, unreachable, silent; of a frame: answer, sent.
//
// Linked statically and to nothing but the C library: it has to run in any guest.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ASKS_MAX          512
#define PORTS_MAX         16
#define FRAME_MAX         1514
#define NEEDLE_MAX        64
#define LINE_MAX_BYTES    (2 * FRAME_MAX + 2 * NEEDLE_MAX + 128)
#define DNS_PORT          53
#define TCP_LENGTH_PREFIX 2

typedef enum
{
  KIND_TCP,
  KIND_UDP,
  KIND_PING,
  KIND_DNS_UDP,
  KIND_DNS_TCP,
  KIND_LISTEN,
  KIND_FRAME,
  KINDS
} Kind;

static const char *const kind_names[KINDS] = { "tcp",     "udp",    "ping", "dns-udp",
                                               "dns-tcp", "listen", "frame" };

typedef struct
{
  char id[64];
  Kind kind;
  struct sockaddr_in to;
  int fd;
  bool connecting;
  unsigned char *frame; /* of a frame: all of it, and what stands in an answer */
  size_t frame_length;
  unsigned char needle[NEEDLE_MAX];
  size_t needle_length;
  const char *result; /* NULL: none yet */
} Ask;

/* Where raw frames go out, and what comes in is looked at. */
typedef struct
{
  int fd; /* -1: nowhere */
  struct sockaddr_ll to;
} Card;

/* version.bind, class CHAOS, type TXT: what dnsmasq answers by itself, with two bytes of length
 * before it for TCP. */
static const unsigned char dns_query[] = { 0, 30,  0x12, 0x34, 1,   0,   0,   1,   0,   0,   0,
                                           0, 0,   0,    7,    'v', 'e', 'r', 's', 'i', 'o', 'n',
                                           4, 'b', 'i',  'n',  'd', 0,   0,   16,  0,   3 };

static void
die (const char *what)
{
  perror (what);
  exit (1);
}

static long
now_ms (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool
is_stream (const Ask *ask)
{
  return ask->kind == KIND_TCP || ask->kind == KIND_DNS_TCP;
}

static const char *
result_of (int error)
{
  return error == ECONNREFUSED || error == ECONNRESET ? "refused" : "unreachable";
}

static uint16_t
checksum (const void *data, size_t length)
{
  const uint8_t *bytes = data;
  uint32_t sum = 0;

  for (size_t i = 0; i < length; i++)
    sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
  while (sum >> 16)
    sum = (sum & 0xffff) + (sum >> 16);
  return htons ((uint16_t)~sum);
}

static void
send_question (Ask *ask)
{
  unsigned char text[sizeof (struct icmphdr) + sizeof ask->id + 16] = { 0 };
  struct icmphdr *icmp = (struct icmphdr *)text;
  char *mark = (char *)text + (ask->kind == KIND_PING ? sizeof *icmp : 0);
  size_t length = (size_t)(mark - (char *)text) + (size_t)sprintf (mark, "vmsiso:%s;", ask->id);
  const void *data = text;
  size_t skip = ask->kind == KIND_DNS_UDP ? TCP_LENGTH_PREFIX : 0;

  if (ask->kind == KIND_PING)
    {
      icmp->type = ICMP_ECHO;
      icmp->un.echo.id = htons ((uint16_t)getpid ());
      icmp->checksum = checksum (text, length);
    }
  if (ask->kind == KIND_DNS_UDP || ask->kind == KIND_DNS_TCP)
    {
      data = dns_query + skip;
      length = sizeof dns_query - skip;
    }
  if (send (ask->fd, data, length, MSG_NOSIGNAL) < 0 && errno != EAGAIN)
    ask->result = result_of (errno);
}

static size_t
from_hex (const char *hex, unsigned char *ret_bytes, size_t max)
{
  size_t length = 0;

  for (; length < max && sscanf (hex + 2 * length, "%2hhx", &ret_bytes[length]) == 1; length++)
    ;
  return length;
}

static int
listen_on (int type, int port)
{
  struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons ((uint16_t)port) };
  int fd = socket (AF_INET, type | SOCK_NONBLOCK, 0), yes = 1;

  setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind (fd, (struct sockaddr *)&at, sizeof at) < 0
      || (type == SOCK_STREAM && listen (fd, 64) < 0))
    die ("bind");
  return fd;
}

static void
send_frame (const Card *card, Ask *ask)
{
  for (int i = 0; i < 2; i++)
    if (sendto (card->fd, ask->frame, ask->frame_length, 0, (const struct sockaddr *)&card->to,
                sizeof card->to)
        < 0)
      ask->result = "unreachable";
  usleep (1000);
}

static void
begin_question (Ask *ask)
{
  int type = is_stream (ask) ? SOCK_STREAM : ask->kind == KIND_PING ? SOCK_RAW : SOCK_DGRAM;

  ask->fd = socket (AF_INET, type | SOCK_NONBLOCK, ask->kind == KIND_PING ? IPPROTO_ICMP : 0);
  if (ask->fd < 0)
    die ("socket");
  if (connect (ask->fd, (struct sockaddr *)&ask->to, sizeof ask->to) < 0 && errno != EINPROGRESS)
    ask->result = result_of (errno);
  else if (is_stream (ask))
    ask->connecting = true;
  else
    send_question (ask);
}

static void
begin (const Card *card, Ask *ask)
{
  if (ask->kind == KIND_LISTEN)
    ask->fd = listen_on (SOCK_STREAM, ntohs (ask->to.sin_port));
  else if (ask->kind == KIND_FRAME)
    send_frame (card, ask);
  else
    begin_question (ask);
}

/* An echo request that comes back from this machine itself is no answer. */
static bool
is_answer (const Ask *ask, const unsigned char *data, ssize_t length)
{
  const struct iphdr *ip = (const struct iphdr *)data;
  const struct icmphdr *icmp = (const struct icmphdr *)(data + ip->ihl * 4);

  if (ask->kind != KIND_PING)
    return length > 0;
  return length >= ip->ihl * 4 + (ssize_t)sizeof *icmp && icmp->type == ICMP_ECHOREPLY
         && icmp->un.echo.id == htons ((uint16_t)getpid ());
}

static void
advance (Ask *ask)
{
  unsigned char data[2048] __attribute__ ((aligned (8)));
  socklen_t size = sizeof errno;
  int error = 0;
  ssize_t length;

  if (ask->kind == KIND_LISTEN)
    {
      ask->result = "open";
      return;
    }
  if (ask->connecting)
    {
      ask->connecting = false;
      if (getsockopt (ask->fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error != 0)
        ask->result = result_of (error);
      else
        send_question (ask);
      return;
    }
  length = recv (ask->fd, data, sizeof data, 0);
  if (length < 0 && errno != EAGAIN)
    ask->result = result_of (errno);
  else if (length == 0 && is_stream (ask))
    ask->result = "refused";
  else if (length > 0 && is_answer (ask, data, length))
    ask->result = ask->kind == KIND_TCP ? "open" : "answer";
}

static void
bad_line (const char *line)
{
  fprintf (stderr, "probe: bad line: %.120s\n", line);
  exit (2);
}

/* @words: from the address on. Without a port: the one of DNS, or none. */
static void
read_place (Ask *ask, const char *words, const char *line)
{
  char address[32];
  unsigned port = DNS_PORT;

  if (sscanf (words, "%31s %u", address, &port) < 1
      || inet_pton (AF_INET, address, &ask->to.sin_addr) != 1)
    bad_line (line);
  ask->to.sin_family = AF_INET;
  ask->to.sin_port = htons (ask->kind == KIND_PING ? 0 : (uint16_t)port);
}

static void
read_frame (Ask *ask, const char *words, const char *line)
{
  const char *needle = strchr (words, ' ');

  ask->frame = malloc (FRAME_MAX);
  if (!ask->frame || !needle)
    bad_line (line);
  ask->frame_length = from_hex (words, ask->frame, FRAME_MAX);
  ask->needle_length = from_hex (needle + 1, ask->needle, NEEDLE_MAX);
  if (ask->frame_length < sizeof (struct ether_header))
    bad_line (line);
}

static void
read_ask (Ask *ask, const char *line)
{
  char kind[16];
  int words = 0;

  ask->fd = -1;
  if (sscanf (line, "%63s %15s %n", ask->id, kind, &words) < 2 || words == 0)
    bad_line (line);
  while (ask->kind < KINDS && strcmp (kind, kind_names[ask->kind]) != 0)
    ask->kind++;
  if (ask->kind == KINDS)
    bad_line (line);
  (ask->kind == KIND_FRAME ? read_frame : read_place) (ask, line + words, line);
}

/* The card with that address. */
static void
open_card (Card *card, const char *mac)
{
  struct if_nameindex *names = if_nameindex ();
  unsigned char wanted[6];
  int fd = socket (AF_INET, SOCK_DGRAM, 0);

  if (sscanf (mac, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &wanted[0], &wanted[1], &wanted[2],
              &wanted[3], &wanted[4], &wanted[5])
      != 6)
    bad_line (mac);
  card->fd = socket (AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons (ETH_P_ALL));
  card->to.sll_family = AF_PACKET;
  card->to.sll_protocol = htons (ETH_P_ALL);
  card->to.sll_halen = sizeof wanted;
  for (struct if_nameindex *name = names; name && name->if_name; name++)
    {
      struct ifreq request = { 0 };

      snprintf (request.ifr_name, sizeof request.ifr_name, "%s", name->if_name);
      if (ioctl (fd, SIOCGIFHWADDR, &request) == 0
          && memcmp (request.ifr_hwaddr.sa_data, wanted, sizeof wanted) == 0)
        card->to.sll_ifindex = (int)name->if_index;
    }
  if (card->fd < 0 || card->to.sll_ifindex == 0
      || bind (card->fd, (struct sockaddr *)&card->to, sizeof card->to) < 0)
    die (mac);
  if_freenameindex (names);
  close (fd);
}

/* What came in by the card, as far as frames of ours wait for it. */
static void
look_at_frames (const Card *card, Ask *asks, int count)
{
  static unsigned char data[65536];
  struct sockaddr_ll from = { 0 };
  socklen_t size = sizeof from;
  ssize_t length;

  while ((length = recvfrom (card->fd, data, sizeof data, 0, (struct sockaddr *)&from, &size)) > 0)
    for (int i = 0; from.sll_pkttype != PACKET_OUTGOING && i < count; i++)
      if (asks[i].needle_length > 0
          && memmem (data, (size_t)length, asks[i].needle, asks[i].needle_length))
        asks[i].result = "answer";
}

/* One wait for all of them. How many still have no result. */
static int
wait_for_some (const Card *card, Ask *asks, int count, int timeout)
{
  struct pollfd polls[ASKS_MAX + 1];
  int open = 0;

  polls[count].fd = card->fd;
  polls[count].events = POLLIN;
  for (int i = 0; i < count; i++)
    {
      polls[i].fd = asks[i].result ? -1 : asks[i].fd;
      polls[i].events = asks[i].connecting ? POLLOUT : POLLIN;
    }
  if (poll (polls, (nfds_t)count + 1, timeout) < 0 && errno != EINTR)
    die ("poll");
  if (card->fd >= 0)
    look_at_frames (card, asks, count);
  for (int i = 0; i < count; i++)
    {
      if (polls[i].fd >= 0 && polls[i].revents)
        advance (&asks[i]);
      open += !asks[i].result;
    }
  return open;
}

static const char *
result_at_end (const Ask *ask)
{
  if (ask->result)
    return ask->result;
  return ask->kind == KIND_FRAME ? "sent" : "silent";
}

/* What may have been lost, or came too early. */
static void
ask_again (const Card *card, Ask *ask)
{
  if (ask->result || ask->kind == KIND_LISTEN || is_stream (ask))
    return;
  if (ask->kind == KIND_FRAME)
    send_frame (card, ask);
  else
    send_question (ask);
}

static int
run_asks (int seconds, const char *mac)
{
  static Ask asks[ASKS_MAX];
  static char line[LINE_MAX_BYTES];
  Card card = { .fd = -1 };
  int count = 0, open = 1;
  long end, again;

  if (mac)
    open_card (&card, mac);
  while (fgets (line, sizeof line, stdin))
    {
      if (count == ASKS_MAX)
        bad_line ("too many lines");
      read_ask (&asks[count], line);
      if (asks[count++].kind == KIND_FRAME && !mac)
        bad_line (line);
    }
  for (int i = 0; i < count; i++)
    begin (&card, &asks[i]);
  end = now_ms () + seconds * 1000L;
  again = now_ms () + 1000;
  while (open > 0 && now_ms () < end)
    {
      open = wait_for_some (&card, asks, count, 100);
      if (now_ms () < again)
        continue;
      again += 1000;
      for (int i = 0; i < count; i++)
        ask_again (&card, &asks[i]);
    }
  for (int i = 0; i < count; i++)
    printf ("%s %s\n", asks[i].id, result_at_end (&asks[i]));
  if (mac)
    printf ("done %d\n", count);
  return 0;
}

static int
send_frames (const char *interface)
{
  static char line[2 * FRAME_MAX + 128];
  unsigned char frame[FRAME_MAX];
  struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_halen = 6 };
  int fd = socket (AF_PACKET, SOCK_RAW, 0);
  int count = 0;

  to.sll_ifindex = (int)if_nametoindex (interface);
  if (fd < 0 || to.sll_ifindex == 0)
    die (interface);
  while (fgets (line, sizeof line, stdin))
    {
      const char *hex = strchr (line, ' ');
      size_t length = hex ? from_hex (hex + 1, frame, FRAME_MAX) : 0;

      for (int i = 0; i < 2; i++)
        if (sendto (fd, frame, length, 0, (struct sockaddr *)&to, sizeof to) < 0)
          die (line);
      usleep (2000);
      count++;
    }
  printf ("sent %d\n", count);
  return 0;
}

static void
answer (int fd, bool stream)
{
  struct sockaddr_in from;
  socklen_t size = sizeof from;
  char data[2048];

  if (stream)
    {
      int peer = accept (fd, NULL, NULL);

      if (peer >= 0)
        {
          send (peer, "guest\n", 6, MSG_NOSIGNAL);
          close (peer);
        }
    }
  else if (recvfrom (fd, data, sizeof data, 0, (struct sockaddr *)&from, &size) >= 0)
    sendto (fd, "guest\n", 6, 0, (struct sockaddr *)&from, size);
}

static int
serve (int seconds, char **ports, int count)
{
  struct pollfd polls[2 * PORTS_MAX];
  long end = now_ms () + seconds * 1000L;

  for (int i = 0; i < count; i++)
    {
      polls[2 * i].fd = listen_on (SOCK_STREAM, atoi (ports[i]));
      polls[2 * i + 1].fd = listen_on (SOCK_DGRAM, atoi (ports[i]));
      polls[2 * i].events = polls[2 * i + 1].events = POLLIN;
    }
  /* whoever started it waits for this */
  if (daemon (0, 0) < 0)
    die ("daemon");
  while (now_ms () < end)
    {
      if (poll (polls, (nfds_t)count * 2, 1000) <= 0)
        continue;
      for (int i = 0; i < 2 * count; i++)
        if (polls[i].revents)
          answer (polls[i].fd, i % 2 == 0);
    }
  return 0;
}

int
main (int argc, char **argv)
{
  if ((argc == 3 || argc == 4) && strcmp (argv[1], "ask") == 0)
    return run_asks (atoi (argv[2]), argv[3]);
  if (argc == 3 && strcmp (argv[1], "frames") == 0)
    return send_frames (argv[2]);
  if (argc > 3 && argc - 3 <= PORTS_MAX && strcmp (argv[1], "serve") == 0)
    return serve (atoi (argv[2]), argv + 3, argc - 3);
  fputs ("probe: ask SECONDS [MAC] | frames INTERFACE | serve SECONDS PORT...\n", stderr);
  return 2;
}
