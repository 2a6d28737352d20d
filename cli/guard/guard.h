// SPDX-License-Identifier: LGPL-2.1-or-later
// The parts of vms-guard. Two threads: the watcher (the main one) reads the kernel's rules, judges
// them and cuts machines off; it never waits for libvirt. The worker talks to libvirt: it knows
// which machines there are, pauses, restores and resumes them.
#pragma once

#include <glib.h>

/* libvirt, which makes rules one by one, is done when they stay the same for that long */
#define GUARD_SETTLE_USEC G_USEC_PER_SEC
#define GUARD_PORTS_FILE  "/etc/libsandbox/ports.nft"

/* --- rules.c: what the kernel has, read over netlink */
typedef struct
{
  char *target;    /* (nullable): chain that it jumps or goes to */
  gboolean accept; /* it may end a packet's way through this hook, in the packet's favour */
  gboolean leaves; /* what it holds for sees no more of its chain: "return", or a goto */
  gboolean bare;   /* it looks at nothing of a packet */
  GByteArray *raw; /* its expressions, without counters and @target */
} GuardRule;
typedef struct
{
  int hook;         /* of a base chain, -1: another one */
  GPtrArray *rules; /* (element-type GuardRule) in their order */
} GuardChain;
/* in place of all chains of a table that has no effect ("flags dormant") */
#define GUARD_DORMANT " dormant"
/* "ip/filter/FORWARD" -> GuardChain */
typedef GHashTable GuardRules;

typedef struct _GuardKernel GuardKernel;
GuardKernel *guard_kernel_open (GError **error);
void guard_kernel_close (GuardKernel *kernel);
/* Becomes readable when rules changed. */
int guard_kernel_fd (GuardKernel *kernel);
/* Whether rules changed since the last call; takes what is to be read from the descriptor. Asks the
 * kernel too, for the case that messages were lost. */
gboolean guard_kernel_changed (GuardKernel *kernel);
/* NULL: they could not be read. */
GuardRules *guard_kernel_rules (GuardKernel *kernel);
gboolean guard_rule_has (const GuardRule *rule, gconstpointer bytes, gsize length);

/* --- complete.c: whether a machine has all of its rules */
enum
{
  GUARD_LOST_SWITCH = 1 << 0,  /* the kernel does not show bridged packets to iptables */
  GUARD_LOST_PORTS = 1 << 1,   /* the tables of ports.nft */
  GUARD_LOST_FILTER = 1 << 2,  /* libvirt's network filter of the machine's card */
  GUARD_LOST_NETWORK = 1 << 3, /* libvirt's rules for the machine's network */
  GUARD_LOST_JUMPS = 1 << 4,   /* of the filter nothing but the jumps to libvirt's chains */
};

enum
{
  GUARD_FRAMES_OUT, /* libvirt-I-TAP */
  GUARD_FRAMES_IN,  /* libvirt-O-TAP */
  GUARD_FROM,       /* FI-TAP */
  GUARD_TO,         /* FO-TAP */
  GUARD_HOST,       /* HI-TAP */
  GUARD_CHAINS,
};

typedef struct
{
  char *tap, *filter, *bridge;
  guint8 subnet[4];
  gboolean has_subnet, nat;
  /* what the filter's XML asks for; -1: not known */
  int expected[GUARD_CHAINS];
  char *filter_digest;
  /* of the rules when they were complete, NULL: not seen yet */
  char *seen, *network_seen;
  /* rules of the network that are to become network_seen, when they stay like that */
  char *network_new;
  gint64 network_since;
} GuardCard;
void guard_card_free (GuardCard *card);
/* Takes from the filter's @xml how many rules are to be in each chain. FALSE: as before. */
gboolean guard_card_expect (GuardCard *card, const char *xml);
/* What is missing, as GUARD_LOST_...; 0: complete. @ret_why: the first thing, one line. Remembers
 * complete rules. */
guint guard_card_check (GuardCard *card, GuardRules *rules, char **ret_why);
/* The rules of its network are complete as far as is known, but not remembered yet: look again
 * after GUARD_SETTLE_USEC. */
gboolean guard_card_unsettled (const GuardCard *card);
/* Whether each chain of ports.nft is there, called by the kernel, and has rules. */
gboolean guard_ports_there (GuardRules *rules);
/* All rules of the tables of ports.nft, as a digest. (transfer full) */
char *guard_ports_digest (GuardRules *rules);

/* --- watch.c: what both threads know */
typedef struct
{
  char *uuid, *name;
  int id;
  GPtrArray *cards; /* (element-type GuardCard) */
  guint lost;       /* GUARD_LOST_... */
  char *why;        /* (nullable) */
  gint64 since;     /* monotonic: lost, or complete, since then */
  gboolean checked, cut, unsettled;
  /* of the worker alone */
  gboolean held, told, reread, unguarded, lost_filter, lost_network;
} GuardMachine;
void guard_machine_free (GuardMachine *machine);

typedef struct
{
  GMutex mutex;
  GHashTable *machines; /* UUID -> GuardMachine; under @mutex */
  gboolean ports_take;  /* take them as they are, once they are there; under @mutex */
  char *ports_seen;     /* (nullable): not asked for; under @mutex */
  gint64 look_again;    /* monotonic; 0: not; of the watcher alone */
  gboolean stop;        /* under @mutex */
  int wake_watcher, wake_worker;
} GuardWorld;
void guard_wake (int fd);
void guard_log (const char *format, ...) G_GNUC_PRINTF (1, 2);
/* FALSE: rules of ports.nft are missing or others. Takes them as the right ones when it is to. */
gboolean guard_judge_ports (GuardWorld *world, GuardRules *rules);
/* Judges all machines and cuts off those that lost something. */
void guard_judge (GuardWorld *world, GuardKernel *kernel);

/* --- machines.c: the worker, a thread: @worker is a GuardWorker. Returns when its world says stop.
 */
gpointer guard_worker (gpointer worker);

/* --- libvirtd.c: libvirt's daemons, as processes */
/* Whether one of them runs a program that changes packet filter rules. */
gboolean guard_daemons_at_work (void);
/* FALSE: none runs. */
gboolean guard_daemons_reload (void);

/* --- restore.c */
void guard_restore_switch (void);
gboolean guard_restore_ports (void);
/* Has libvirt's daemon make the rules of all networks and filters anew, which takes it seconds. */
void guard_restore_all (void);

/* --- record.c: the machines that we paused, over the death of this process */
/* "UUID ID" -> itself. (transfer full) */
GHashTable *guard_record_read (int dir_fd);
/* "UUID ID" of @machine: one that is started again is another one. (transfer full) */
char *guard_record_key (const GuardMachine *machine);
gboolean guard_record_write (int dir_fd, GHashTable *held, GError **error);
