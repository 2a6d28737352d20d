// SPDX-License-Identifier: LGPL-2.1-or-later
// Frames as a hostile root sends them: what no socket of the guest's kernel would make. Each is
// denied by every policy.
#include "facade/verify-private.h"

#include <arpa/inet.h>
#include <string.h>

#define ETHER_IP4 0x0800
#define ETHER_ARP 0x0806
#define ETHER_IP6 0x86dd

#define PROTOCOL_ICMP    1
#define PROTOCOL_TCP     6
#define PROTOCOL_UDP     17
#define PROTOCOL_UDPLITE 136

#define TCP_SYN        2
#define ICMP_TIMESTAMP 13
#define SSH_PORT       22
#define DNS_PORT       53

/* Of the machine's /29. */
#define BROADCAST 7

static const guint8 everyone[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

/* What one frame is made of. */
typedef struct
{
  const SandboxVerifyScene *scene;
  GPtrArray *probes;
  guint8 from_mac[6], to_mac[6];
  guint32 from, to;
  guint16 from_port, to_port;
} Packet;

/* From the guest as it is, to the canary on the gateway. */
static Packet
packet_new (const SandboxVerifyScene *scene, GPtrArray *probes)
{
  Packet packet = { .scene = scene, .probes = probes };

  memcpy (packet.from_mac, scene->own_mac, 6);
  memcpy (packet.to_mac, scene->gateway_mac, 6);
  packet.from = scene->plan->subnet.address + 2;
  packet.to = scene->plan->subnet.address + 1;
  packet.from_port = 5555;
  packet.to_port = scene->canary_port;
  return packet;
}

static void
put16 (GByteArray *bytes, guint value)
{
  guint8 data[] = { (guint8)(value >> 8), (guint8)value };

  g_byte_array_append (bytes, data, sizeof data);
}

static void
put32 (GByteArray *bytes, guint32 value)
{
  put16 (bytes, value >> 16);
  put16 (bytes, value & 0xffff);
}

static void
set16 (GByteArray *bytes, guint place, guint value)
{
  bytes->data[place] = (guint8)(value >> 8);
  bytes->data[place + 1] = (guint8)value;
}

static guint32
sum16 (const guint8 *data, gsize length, guint32 sum)
{
  for (gsize i = 0; i < length; i++)
    sum += i % 2 ? data[i] : (guint32)data[i] << 8;
  return sum;
}

static guint
fold (guint32 sum)
{
  while (sum >> 16)
    sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

/* Of TCP and UDP over IPv4. */
static guint
checksum4 (const Packet *packet, guint protocol, const GByteArray *segment)
{
  guint32 sum = protocol + segment->len;

  sum += (packet->from >> 16) + (packet->from & 0xffff);
  sum += (packet->to >> 16) + (packet->to & 0xffff);
  return fold (sum16 (segment->data, segment->len, sum));
}

static void
begin_frame (GByteArray *frame, const Packet *packet, guint kind)
{
  g_byte_array_append (frame, packet->to_mac, 6);
  g_byte_array_append (frame, packet->from_mac, 6);
  put16 (frame, kind);
}

static GByteArray *
frame_ip4 (const Packet *packet, guint protocol, const GByteArray *payload)
{
  GByteArray *frame = g_byte_array_new ();
  guint header = 14;

  begin_frame (frame, packet, ETHER_IP4);
  put16 (frame, 0x4500);
  put16 (frame, 20 + payload->len);
  put32 (frame, 0x42420000);
  put16 (frame, 64 << 8 | protocol);
  put16 (frame, 0);
  put32 (frame, packet->from);
  put32 (frame, packet->to);
  set16 (frame, header + 10, fold (sum16 (frame->data + header, 20, 0)));
  g_byte_array_append (frame, payload->data, payload->len);
  return frame;
}

static SandboxProbe *
add (const Packet *packet, const char *property, const char *what, SandboxJudge judge,
     GByteArray *frame, GByteArray *needle)
{
  SandboxProbe *probe = g_new0 (SandboxProbe, 1);

  probe->property = property;
  probe->what = what;
  probe->kind = SANDBOX_PROBE_FRAME;
  probe->judge = judge;
  probe->address = packet->to;
  probe->port = packet->to_port;
  probe->target = sandbox_address_format (packet->to);
  probe->frame = g_byte_array_free_to_bytes (frame);
  probe->needle = needle != NULL ? g_byte_array_free_to_bytes (needle) : NULL;
  g_ptr_array_add (packet->probes, probe);
  return probe;
}

static void
set_target (SandboxProbe *probe, char *target)
{
  g_free (probe->target);
  probe->target = target;
}

/* As the canaries read it; for the probe that comes next. */
static void
put_mark (GByteArray *bytes, const Packet *packet)
{
  g_autofree char *mark =
      g_strdup_printf (SANDBOX_VERIFY_MARK "%s-%u;", packet->scene->nonce, packet->probes->len);

  g_byte_array_append (bytes, (const guint8 *)mark, (guint)strlen (mark));
}

static SandboxProbe *
add_datagram (const Packet *packet, const char *property, const char *what, guint protocol)
{
  g_autoptr (GByteArray) text = g_byte_array_new ();
  guint sum;

  put16 (text, packet->from_port);
  put16 (text, packet->to_port);
  put32 (text, 0);
  put_mark (text, packet);
  set16 (text, 4, text->len);
  sum = checksum4 (packet, protocol, text);
  set16 (text, 6, sum ? sum : 0xffff);
  return add (packet, property, what, SANDBOX_JUDGE_HOST, frame_ip4 (packet, protocol, text), NULL);
}

/* The beginning of a connection; the answer acknowledges a number that nobody else knows. */
static SandboxProbe *
add_syn (const Packet *packet, const char *property, const char *what)
{
  g_autoptr (GByteArray) text = g_byte_array_new ();
  GByteArray *needle = g_byte_array_new ();
  guint32 sequence = g_random_int ();

  put16 (text, packet->from_port);
  put16 (text, packet->to_port);
  put32 (text, sequence);
  put32 (text, 0);
  put16 (text, 0x5000 | TCP_SYN);
  put16 (text, 65000);
  put32 (text, 0);
  set16 (text, 16, checksum4 (packet, PROTOCOL_TCP, text));
  put32 (needle, sequence + 1);
  return add (packet, property, what, SANDBOX_JUDGE_GUEST, frame_ip4 (packet, PROTOCOL_TCP, text),
              needle);
}

/* What such a host answers, an error above all, quotes these eight bytes. */
static void
add_protocol (const Packet *packet, guint protocol, const char *what)
{
  g_autoptr (GByteArray) text = g_byte_array_new ();
  GByteArray *needle = g_byte_array_new ();
  guint32 a = g_random_int (), b = g_random_int ();

  put32 (text, a);
  put32 (text, b);
  put32 (needle, a);
  put32 (needle, b);
  add (packet, "protocols", what, SANDBOX_JUDGE_GUEST, frame_ip4 (packet, protocol, text), needle);
}

static void
add_icmp (const Packet *packet)
{
  g_autoptr (GByteArray) text = g_byte_array_new ();
  GByteArray *needle = g_byte_array_new ();
  guint32 id = g_random_int (), time = g_random_int ();

  put32 (text, (guint32)ICMP_TIMESTAMP << 24);
  put32 (text, id);
  put32 (text, time);
  put32 (text, 0);
  put32 (text, 0);
  set16 (text, 2, fold (sum16 (text->data, text->len, 0)));
  put32 (needle, id);
  put32 (needle, time);
  add (packet, "protocols", "ICMP timestamp", SANDBOX_JUDGE_GUEST,
       frame_ip4 (packet, PROTOCOL_ICMP, text), needle);
}

static void
add_protocols (const SandboxVerifyScene *scene, GPtrArray *probes)
{
  static const struct
  {
    guint number;
    const char *name;
  } protocols[] = {
    { 2, "IGMP" }, { 4, "IPIP" },  { 41, "6in4" },  { 47, "GRE" },   { 50, "ESP" },
    { 51, "AH" },  { 89, "OSPF" }, { 112, "VRRP" }, { 132, "SCTP" }, { 253, "protocol 253" },
  };
  Packet packet = packet_new (scene, probes);

  for (gsize i = 0; i < G_N_ELEMENTS (protocols); i++)
    add_protocol (&packet, protocols[i].number, protocols[i].name);
  add_icmp (&packet);
  if (scene->raw_canary)
    add_datagram (&packet, "protocols", "UDP-Lite", PROTOCOL_UDPLITE);
}

static void
add_loopback (const SandboxVerifyScene *scene, GPtrArray *probes)
{
  Packet packet = packet_new (scene, probes);

  packet.to = INADDR_LOOPBACK;
  add_datagram (&packet, "host-loopback", "udp", PROTOCOL_UDP);
  add_syn (&packet, "host-loopback", "tcp");
}

/* The first layer lets out what may be an answer of the guest's ssh: only the second one knows. */
static void
add_false_answers (const SandboxVerifyScene *scene, GPtrArray *probes)
{
  Packet packet = packet_new (scene, probes);

  packet.from_port = SSH_PORT;
  add_syn (&packet, "answers", "tcp from port 22");
  add_datagram (&packet, "answers", "udp from port 22", PROTOCOL_UDP);
  packet.from_port = DNS_PORT;
  add_syn (&packet, "answers", "tcp from port 53");
  add_datagram (&packet, "answers", "udp from port 53", PROTOCOL_UDP);
}

/* A bridge hands these to the host itself, past its own filter. */
static void
add_link_groups (const SandboxVerifyScene *scene, GPtrArray *probes)
{
  static const char *const names[] = {
    "to 01:80:c2:00:00:00", "to 01:80:c2:00:00:01", "to 01:80:c2:00:00:02", "to 01:80:c2:00:00:03",
    "to 01:80:c2:00:00:04", "to 01:80:c2:00:00:05", "to 01:80:c2:00:00:06", "to 01:80:c2:00:00:07",
    "to 01:80:c2:00:00:08", "to 01:80:c2:00:00:09", "to 01:80:c2:00:00:0a", "to 01:80:c2:00:00:0b",
    "to 01:80:c2:00:00:0c", "to 01:80:c2:00:00:0d", "to 01:80:c2:00:00:0e", "to 01:80:c2:00:00:0f"
  };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      const guint8 group[6] = { 0x01, 0x80, 0xc2, 0, 0, (guint8)i };
      Packet packet = packet_new (scene, probes);

      memcpy (packet.to_mac, group, 6);
      add_datagram (&packet, "link-groups", names[i], PROTOCOL_UDP);
    }
}

static void
add_groups (const SandboxVerifyScene *scene, GPtrArray *probes)
{
  static const guint8 mdns[6] = { 0x01, 0x00, 0x5e, 0x00, 0x00, 0xfb };
  static const guint8 ssdp[6] = { 0x01, 0x00, 0x5e, 0x7f, 0xff, 0xfa };
  Packet packet = packet_new (scene, probes);

  packet.to = SANDBOX_VERIFY_MDNS;
  memcpy (packet.to_mac, mdns, 6);
  add_datagram (&packet, "groups", "udp", PROTOCOL_UDP);
  packet.to = SANDBOX_VERIFY_SSDP;
  memcpy (packet.to_mac, ssdp, 6);
  add_datagram (&packet, "groups", "udp", PROTOCOL_UDP);
  packet.to = INADDR_BROADCAST;
  memcpy (packet.to_mac, everyone, 6);
  add_datagram (&packet, "groups", "udp", PROTOCOL_UDP);
  packet.to = scene->plan->subnet.address + BROADCAST;
  add_datagram (&packet, "groups", "udp", PROTOCOL_UDP);
}

static void
add_datagram6 (Packet *packet, const struct in6_addr *to)
{
  static const struct in6_addr from = { { { 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x66, 0,
                                            0x66 } } };
  g_autoptr (GByteArray) text = g_byte_array_new ();
  GByteArray *frame = g_byte_array_new ();
  g_autofree char *target = g_malloc (INET6_ADDRSTRLEN);
  SandboxProbe *probe;
  guint32 sum;

  put16 (text, packet->from_port);
  put16 (text, packet->to_port);
  put32 (text, 0);
  put_mark (text, packet);
  set16 (text, 4, text->len);
  sum = sum16 (from.s6_addr, 16, PROTOCOL_UDP + text->len);
  sum = fold (sum16 (text->data, text->len, sum16 (to->s6_addr, 16, sum)));
  set16 (text, 6, sum ? sum : 0xffff);
  begin_frame (frame, packet, ETHER_IP6);
  put32 (frame, 0x60000000);
  put16 (frame, text->len);
  put16 (frame, PROTOCOL_UDP << 8 | 64);
  g_byte_array_append (frame, from.s6_addr, 16);
  g_byte_array_append (frame, to->s6_addr, 16);
  g_byte_array_append (frame, text->data, text->len);
  probe = add (packet, "ipv6", "udp", SANDBOX_JUDGE_HOST, frame, NULL);
  inet_ntop (AF_INET6, to, target, INET6_ADDRSTRLEN);
  set_target (probe, g_steal_pointer (&target));
}

static void
add_ipv6 (const SandboxVerifyScene *scene, GPtrArray *probes)
{
  static const struct in6_addr all = { { { 0xff, 0x02, [15] = 1 } } };
  static const guint8 all_mac[6] = { 0x33, 0x33, 0, 0, 0, 1 };
  Packet packet = packet_new (scene, probes);

  for (guint i = 0; i < scene->host_addresses6->len; i++)
    add_datagram6 (&packet, &g_array_index (scene->host_addresses6, struct in6_addr, i));
  memcpy (packet.to_mac, all_mac, 6);
  add_datagram6 (&packet, &all);
}

static void
put_arp (GByteArray *frame, guint operation, const guint8 *from_mac, guint32 from,
         const guint8 *to_mac, guint32 to)
{
  static const guint8 nobody[6] = { 0 };

  put32 (frame, 0x00010800);
  put16 (frame, 0x0604);
  put16 (frame, operation);
  g_byte_array_append (frame, from_mac, 6);
  put32 (frame, from);
  g_byte_array_append (frame, to_mac != NULL ? to_mac : nobody, 6);
  put32 (frame, to);
}

/* Who asks is remembered by the one asked, which then answers. */
static void
add_arp (const SandboxVerifyScene *scene, GPtrArray *probes)
{
  Packet packet = packet_new (scene, probes);
  GByteArray *frame = g_byte_array_new (), *needle = g_byte_array_new ();
  guint32 spoofed = scene->spoofed_arp;
  SandboxProbe *probe;

  memcpy (packet.to_mac, everyone, 6);
  begin_frame (frame, &packet, ETHER_ARP);
  put_arp (frame, 1, packet.from_mac, spoofed, NULL, packet.to);
  put_arp (needle, 2, scene->gateway_mac, packet.to, packet.from_mac, spoofed);
  probe = add (&packet, "spoof-arp", "ARP", SANDBOX_JUDGE_HOST, frame, needle);
  set_target (probe, sandbox_address_format (spoofed));
}

/* version.bind, class CHAOS, type TXT: the gateway's DNS answers that by itself, and asks nobody.
 */
static SandboxProbe *
add_question (const Packet *packet, const char *property, GByteArray *needle)
{
  static const guint8 query[] = { 0x12, 0x34, 1,   0,   0,   1,   0,   0,   0,   0,
                                  0,    0,    7,   'v', 'e', 'r', 's', 'i', 'o', 'n',
                                  4,    'b',  'i', 'n', 'd', 0,   0,   16,  0,   3 };
  g_autoptr (GByteArray) text = g_byte_array_new ();

  put16 (text, packet->from_port);
  put16 (text, packet->to_port);
  put16 (text, 8 + sizeof query);
  put16 (text, 0);
  g_byte_array_append (text, query, sizeof query);
  set16 (text, 6, checksum4 (packet, PROTOCOL_UDP, text));
  return add (packet, property, "DNS", SANDBOX_JUDGE_HOST, frame_ip4 (packet, PROTOCOL_UDP, text),
              needle);
}

/* One to a canary, one to what the policy may allow: this is about who sends it. Whoever gets the
 * second one looks for the sender, to answer it. */
static void
add_spoofed_address (const SandboxVerifyScene *scene, GPtrArray *probes)
{
  Packet packet = packet_new (scene, probes);
  GByteArray *needle = g_byte_array_new ();

  packet.from = scene->spoofed_address;
  set_target (add_datagram (&packet, "spoof-address", "udp", PROTOCOL_UDP),
              sandbox_address_format (packet.from));
  packet.to_port = DNS_PORT;
  put_arp (needle, 1, scene->gateway_mac, packet.to, NULL, packet.from);
  set_target (add_question (&packet, "spoof-address", needle),
              sandbox_address_format (packet.from));
}

/* The answer goes to the address, which is the guest's, and so to its real card. */
static void
add_spoofed_mac (const SandboxVerifyScene *scene, GPtrArray *probes)
{
  Packet packet = packet_new (scene, probes);
  GByteArray *needle = g_byte_array_new ();
  g_autofree char *text = NULL;

  memcpy (packet.from_mac, scene->spoofed_mac, 6);
  text = g_strdup_printf ("%02x:%02x:%02x:%02x:%02x:%02x", packet.from_mac[0], packet.from_mac[1],
                          packet.from_mac[2], packet.from_mac[3], packet.from_mac[4],
                          packet.from_mac[5]);
  set_target (add_datagram (&packet, "spoof-mac", "udp", PROTOCOL_UDP), g_strdup (text));
  packet.from_port = (guint16)g_random_int_range (2000, 9999);
  packet.to_port = DNS_PORT;
  put16 (needle, packet.to_port);
  put16 (needle, packet.from_port);
  set_target (add_question (&packet, "spoof-mac", needle), g_strdup (text));
}

void
_sandbox_verify_add_frames (const SandboxVerifyScene *scene, GPtrArray *probes)
{
  add_loopback (scene, probes);
  add_false_answers (scene, probes);
  add_link_groups (scene, probes);
  add_groups (scene, probes);
  add_protocols (scene, probes);
  add_ipv6 (scene, probes);
  add_spoofed_address (scene, probes);
  add_spoofed_mac (scene, probes);
  add_arp (scene, probes);
}
