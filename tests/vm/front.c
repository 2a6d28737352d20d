// SPDX-License-Identifier: LGPL-2.1-or-later
// What tests/vm/41-hostile-guest.sh (and tests/bench/filter.sh) puts in front of the real sshd of a
// guest: it passes on what both say, up to the moment when it misbehaves, or misbehaves from the
// beginning.
//
//   front PORT SSHD-PORT
//
// Who begins with a line "mode NAME [NUMBER]" instead of "SSH-" sets what is done from then on;
// with "run COMMAND", has a command run as root; both get "done"; with "pull N", gets N bytes.
// Modes:
//   pass          nothing bad
//   close N       closes after N answers of the real sshd (0: at once)
//   stall N       says nothing more after N answers, and leaves the connection open
//   drip N        one byte each second after N answers
//   lines         100 MB of lines that are no ssh, with terminal escapes
//   block         100 MB without an end of line
//   noise         random bytes
//   farewell      ssh's own "disconnect", with terminal escapes in its text
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FLOOD_BYTES ((size_t)100 * 1000 * 1000)
#define HELLO_MSEC  3000
#define BLOCK       65536
#define CONNECTIONS 64
/* What a terminal would act on: the clipboard, the title, C1, a bare carriage return. */
#define EVIL "\033]52;c;ZXZpbA==\a\033]0;evil\a\033[2J\302\233evil\r"

typedef struct
{
  char mode[16];
  int answers;
} Setting;

static Setting *setting; /* shared by all processes */

static bool
send_all (int fd, const void *data, size_t length)
{
  const char *from = data;

  while (length > 0)
    {
      ssize_t n = send (fd, from, length, MSG_NOSIGNAL);

      if (n <= 0)
        return false;
      from += n;
      length -= (size_t)n;
    }
  return true;
}

static void
send_zeros (int fd, size_t length)
{
  static const char block[BLOCK];

  while (length > 0 && send_all (fd, block, length < BLOCK ? length : BLOCK))
    length -= length < BLOCK ? length : BLOCK;
}

/* Until the other side goes. */
static void
say_nothing (int fd)
{
  char block[BLOCK];

  while (recv (fd, block, sizeof block, 0) > 0)
    ;
}

static void
flood (int fd, bool lines)
{
  static char block[BLOCK];

  for (size_t i = 0; i < sizeof block; i++)
    block[i] = lines && i % 100 == 99 ? '\n' : EVIL[i % (sizeof EVIL - 1)];
  for (size_t sent = 0; sent < FLOOD_BYTES; sent += sizeof block)
    if (!send_all (fd, block, sizeof block))
      return;
  say_nothing (fd);
}

static void
noise (int fd)
{
  unsigned char block[BLOCK];
  FILE *random = fopen ("/dev/urandom", "r");

  if (!random || fread (block, 1, sizeof block, random) != sizeof block)
    abort ();
  send_all (fd, block, sizeof block);
  say_nothing (fd);
}

/* RFC 4253: length, padding length, 1, reason 2, text, language; not encrypted yet. */
static void
farewell (int fd)
{
  static const char hello[] = "SSH-2.0-evil\033]0;x\a\r\n";
  const uint32_t text_length = sizeof EVIL - 1;
  unsigned char packet[256] = { 0 };
  size_t length = 6 + 4 + 4 + text_length + 4, padding = 16 - length % 8;

  packet[2] = (unsigned char)((length + padding - 4) >> 8);
  packet[3] = (unsigned char)(length + padding - 4);
  packet[4] = (unsigned char)padding;
  packet[5] = 1;
  packet[9] = 2;
  packet[13] = (unsigned char)text_length;
  memcpy (packet + 14, EVIL, text_length);
  if (send_all (fd, hello, sizeof hello - 1) && send_all (fd, packet, length + padding))
    say_nothing (fd);
}

static int
dial (uint16_t port)
{
  struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons (port) };
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  to.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
  if (fd < 0 || connect (fd, (struct sockaddr *)&to, sizeof to) < 0)
    exit (1);
  return fd;
}

static bool
pass_on (int from, int to, bool slowly)
{
  static char block[BLOCK];
  ssize_t n = recv (from, block, slowly ? 1 : sizeof block, 0);

  if (slowly)
    sleep (1);
  return n > 0 && send_all (to, block, (size_t)n);
}

/* An answer is whatever the real sshd says between two things that the client says. */
static void
relay (int client, uint16_t port, const Setting *how)
{
  struct pollfd fds[2] = { { .fd = client, .events = POLLIN }, { .events = POLLIN } };
  bool pass = !strcmp (how->mode, "pass"), drip = !strcmp (how->mode, "drip"), asked = true;
  int answers = 0;

  fds[1].fd = dial (port);
  while (pass || drip || answers < how->answers || !asked)
    {
      if (poll (fds, 2, -1) < 0)
        return;
      if (fds[0].revents && !pass_on (client, fds[1].fd, false))
        return;
      asked |= fds[0].revents != 0;
      if (!fds[1].revents)
        continue;
      answers += asked;
      asked = false;
      if (!pass_on (fds[1].fd, client, drip && answers > how->answers))
        return;
      /* what belongs to the same answer comes at once */
      if (!pass && answers >= how->answers && poll (fds + 1, 1, 50) <= 0)
        asked = true;
    }
  if (!strcmp (how->mode, "stall"))
    say_nothing (client);
}

static void
serve (int client, uint16_t port)
{
  Setting how = *setting;

  if (!strcmp (how.mode, "lines") || !strcmp (how.mode, "block"))
    flood (client, how.mode[0] == 'l');
  else if (!strcmp (how.mode, "noise"))
    noise (client);
  else if (!strcmp (how.mode, "farewell"))
    farewell (client);
  else
    relay (client, port, &how);
}

/* A line for us; false: somebody who wants ssh. */
static bool
take_order (int client)
{
  struct pollfd pollfd = { .fd = client, .events = POLLIN };
  char line[1024] = "";
  ssize_t n = 0;

  if (poll (&pollfd, 1, HELLO_MSEC) == 1)
    n = recv (client, line, sizeof line - 1, MSG_PEEK);
  if (n <= 0
      || (strncmp (line, "mode ", 5) && strncmp (line, "run ", 4) && strncmp (line, "pull ", 5)))
    return false;
  line[strcspn (line, "\n")] = '\0';
  if (line[0] == 'p')
    {
      /* taken, so that the end of the connection is no reset */
      recv (client, line, (size_t)n, 0);
      send_zeros (client, strtoul (line + 5, NULL, 10));
      return true;
    }
  if (line[0] == 'm')
    {
      setting->answers = 0;
      sscanf (line + 5, "%15s %d", setting->mode, &setting->answers);
    }
  else if (system (line + 4) != 0)
    return true;
  send_all (client, "done\n", 5);
  return true;
}

int
main (int argc, char **argv)
{
  struct sockaddr_in here = { .sin_family = AF_INET };
  int listener = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

  if (argc != 3 || listener < 0)
    return 2;
  setting = mmap (NULL, sizeof *setting, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (setting == MAP_FAILED)
    return 1;
  strcpy (setting->mode, "pass");
  setsockopt (listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  here.sin_port = htons ((uint16_t)atoi (argv[1]));
  if (bind (listener, (struct sockaddr *)&here, sizeof here) < 0
      || listen (listener, CONNECTIONS) < 0 || daemon (0, 0) < 0)
    {
      perror ("front");
      return 1;
    }
  signal (SIGPIPE, SIG_IGN);
  for (;;)
    {
      int client = accept4 (listener, NULL, NULL, SOCK_CLOEXEC);

      while (waitpid (-1, NULL, WNOHANG) > 0)
        ;
      if (client >= 0 && fork () == 0)
        {
          if (!take_order (client))
            serve (client, (uint16_t)atoi (argv[2]));
          _exit (0);
        }
      close (client);
    }
}
