// SPDX-License-Identifier: LGPL-2.1-or-later
// The self-test of the network policy: which probes there are, what a guest said of them, what
// this host saw, and what follows from it.
#pragma once

#include <netinet/in.h>

#include "facade/facade-private.h"

#define SANDBOX_VERIFY_TARGETS_MAX 32
/* Addresses of this host that are tried. */
#define SANDBOX_VERIFY_ADDRESSES_MAX  32
#define SANDBOX_VERIFY_ADDRESSES6_MAX 8
/* What the guest may say at most. */
#define SANDBOX_VERIFY_ANSWERS_MAX (64 * 1024)
/* As marks in packets have it, before and after the probe's name. */
#define SANDBOX_VERIFY_MARK "vmsiso:"
/* 224.0.0.251, 239.255.255.250: what every desktop listens to. */
#define SANDBOX_VERIFY_MDNS 0xe00000fb
#define SANDBOX_VERIFY_SSDP 0xeffffffa

typedef enum
{
  SANDBOX_PROBE_TCP,
  SANDBOX_PROBE_UDP,
  SANDBOX_PROBE_PING,
  SANDBOX_PROBE_DNS_UDP,
  SANDBOX_PROBE_DNS_TCP,
  SANDBOX_PROBE_LISTEN, /* in the guest; this host tries to get there */
  SANDBOX_PROBE_FRAME,
} SandboxProbeKind;

/* What the guest says. */
typedef enum
{
  SANDBOX_ANSWER_NONE, /* nothing, or nothing that can be */
  SANDBOX_ANSWER_OPEN,
  SANDBOX_ANSWER_ANSWER,
  SANDBOX_ANSWER_REFUSED,
  SANDBOX_ANSWER_UNREACHABLE,
  SANDBOX_ANSWER_SILENT,
  SANDBOX_ANSWER_SENT,
} SandboxAnswer;

/* Who can tell that a probe that the policy forbids did not arrive. */
typedef enum
{
  SANDBOX_JUDGE_HOST,    /* this host: a listener, or what the kernel shows everybody */
  SANDBOX_JUDGE_REPLIES, /* the guest, by what comes back; silence means something only of a target
                            that answers this host */
  SANDBOX_JUDGE_GUEST,   /* the guest, and the target is this host, which would answer */
} SandboxJudge;

typedef struct
{
  const char *property; /* id; static */
  char *target;         /* as shown */
  const char *what;     /* of a frame: what is in it; static */
  SandboxProbeKind kind;
  SandboxJudge judge;
  guint32 address;
  guint16 port;
  GBytes *frame, *needle;
  gboolean allowed; /* by the plan */

  SandboxAnswer answer;
  gboolean seen;         /* by this host, or this host got there */
  gboolean blind;        /* this host could not have seen it */
  gboolean control;      /* the target answers this host */
  gboolean control_open; /* ... and so does that port of it */
} SandboxProbe;

typedef struct
{
  guint32 address;
  guint16 port; /* 0: none was given */
  char *name;   /* (nullable): of a machine */
} SandboxVerifyTarget;

/* All that the list of probes is made from. */
typedef struct
{
  const SandboxPlan *plan;
  char nonce[17];
  guint16 canary_port, listen_port;
  gboolean raw_canary;     /* one hears UDP-Lite */
  GArray *host_addresses;  /* of guint32: IPv4 addresses of this host but loopback's and the
                              gateway's, up to the limit */
  GArray *host_addresses6; /* of struct in6_addr */
  guint n_untried, n_untried6, n_untried_machines; /* beyond the limits */
  GArray *lan, *internet, *metadata, *machines;    /* of SandboxVerifyTarget */
  guint8 gateway_mac[6], own_mac[6];
  /* In whose name frames go out: addresses of the machine's subnet, a card that nobody has. The
   * host knew the address before, so that it says nothing when it knows it afterwards. */
  guint32 spoofed_address, spoofed_arp;
  gboolean address_known, arp_known;
  guint8 spoofed_mac[6];
  guint64 ipv6_before;
} SandboxVerifyScene;
void _sandbox_verify_scene_init (SandboxVerifyScene *scene, const SandboxPlan *plan);
void _sandbox_verify_scene_clear (SandboxVerifyScene *scene);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (SandboxVerifyScene, _sandbox_verify_scene_clear)
/* "192.168.7.1", "198.51.100.7:443"; INVALID. @option for the message. */
gboolean
_sandbox_verify_target_add (GArray *targets, const char *option, const char *text, GError **error);

/* --- verify-probes.c; pure */
void _sandbox_probe_free (gpointer probe);
/* (element-type SandboxProbe) */
GPtrArray *_sandbox_verify_probes (const SandboxVerifyScene *scene);
/* What the probe program reads; one line for each. */
char *_sandbox_verify_lines (GPtrArray *probes, const char *nonce);
/* The number of a mark "NONCE-NUMBER" at the beginning of @text; -1: none of ours. */
int _sandbox_verify_number (const char *text, gsize length, const char *nonce, guint n_probes);
/* "tcp 443", "ping"; (transfer full) */
char *_sandbox_probe_describe (const SandboxProbe *probe);
/* The property in words. */
const char *_sandbox_verify_property (const char *id);

/* --- verify-frames.c; pure */
/* Frames with all that the guest must not send. (element-type SandboxProbe) appended to @probes. */
void _sandbox_verify_add_frames (const SandboxVerifyScene *scene, GPtrArray *probes);

/* --- verify-judge.c; pure */
/* What the probe program printed, as far as it is what it can print. FALSE: it was not, or did not
 * end; what was good until then counts. */
gboolean _sandbox_verify_read (GPtrArray *probes, const char *nonce, const char *text);
/* Appends a finding for each target of each property. */
void _sandbox_verify_judge (GPtrArray *probes, GPtrArray *findings);
/* What the plan allows and no probe asked for, and who was left out. */
void _sandbox_verify_judge_unasked (const SandboxVerifyScene *scene, GPtrArray *probes,
                                    GPtrArray *findings);
void
_sandbox_finding_add (GPtrArray *findings, const char *id, const char *target, const char *expected,
                      SandboxVerdict verdict, const char *format, ...) G_GNUC_PRINTF (6, 7);

/* --- verify-canary.c: this host's listeners, of an ordinary user */
typedef struct _SandboxCanary SandboxCanary;
/* Listens on every address of this host, TCP, UDP, where it can UDP-Lite, IPv4 and IPv6, on one
 * port that it chooses. */
SandboxCanary *_sandbox_canary_new (SandboxVerifyScene *scene, GError **error);
/* From now on what comes in is noted in @probes, and what is to be asked from here is asked, until
 * _sandbox_canary_stop(). */
void _sandbox_canary_start (SandboxCanary *canary, SandboxVerifyScene *scene, GPtrArray *probes,
                            const char *bridge);
void _sandbox_canary_stop (SandboxCanary *canary);
void _sandbox_canary_free (SandboxCanary *canary);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxCanary, _sandbox_canary_free)

/* --- verify-host.c: what this host knows by itself */
/* Addresses of this host into @scene. */
gboolean _sandbox_verify_find_addresses (SandboxVerifyScene *scene, GError **error);
/* The default gateway into @scene's LAN; none: nothing. */
void _sandbox_verify_find_gateway (SandboxVerifyScene *scene);
/* In whose name frames go out, as far as the host does not know them yet. */
void _sandbox_verify_choose_spoofs (SandboxVerifyScene *scene);
/* IPv6 packets that @bridge has handed up so far. */
guint64 _sandbox_verify_count_ipv6 (const char *bridge);
/* Neighbours and addresses that the host has learned from frames: noted in @probes. */
void _sandbox_verify_look_at_neighbours (const SandboxVerifyScene *scene, GPtrArray *probes,
                                         const char *bridge);
/* Devices, nested virtualisation, confinement of the process that runs @object. */
void _sandbox_verify_check_domain (const char *xml, const char *object, const char *model,
                                   const char *target, GPtrArray *findings);
/* Pure parts of it: what @xml has that no machine @object of ours has, in words, NULL: nothing
 * (transfer full); whether the guest could run guests. */
char *_sandbox_verify_foreign_element (const char *xml, const char *object);
gboolean _sandbox_verify_is_nested (const char *xml);

/* --- verify-ports.c */
/* What the caller's own programs for the machine with that state directory listen on. */
void _sandbox_verify_check_ports (const char *state_path, const char *target, GPtrArray *findings);
/* What host= offers @machine of this host, and whether it does. */
void _sandbox_verify_check_services (SandboxMachine *machine, GPtrArray *findings,
                                     GCancellable *cancellable);
/* Whether somebody watches the rules of the packet filter. */
void _sandbox_verify_check_guard (GPtrArray *findings);
/* Pure part of it: whether a line of /proc/net/tcp or tcp6 is a listener for more than loopback. */
gboolean _sandbox_verify_is_exposed (const char *line, char **ret_inode, guint *ret_port);
