// SPDX-License-Identifier: LGPL-2.1-or-later
// The plan: every decision, immutable. Made by a pure function, read by xml, virt, guest and the
// facade.
#pragma once

#include <sandbox/plan.h>
#include "plan/facts.h"
#include "profile/profile-private.h"

/* Where the storage pool is when there is none yet. */
#define SANDBOX_DEFAULT_POOL_PATH "/var/lib/libvirt/images/vms"

/* Who and what this is; nothing of it is invented inside the plan. */
typedef struct
{
  const char *name;     /* machine name, checked */
  const char *owner;    /* owner tag, "vms" by default */
  guint uid, gid;       /* of the calling user on the host */
  const char *home;     /* of the calling user, absolute */
  const char *state;    /* directory of the machine's keys and the like, absolute */
  const char *image_id; /* id of the pinned, or the newest image */
  guint64 image_bytes;  /* virtual size of the image */
  const char *image_disk, *image_kernel,
      *image_initrd;         /* paths of its volumes on the libvirt host */
  const char *image_cmdline; /* kernel words that the image ships */
  const char *disk_volume;   /* (nullable) the layer that is written to; NULL: the first there is */
  const char *const *layers; /* (nullable) paths of the layers between that one and image_disk, the
                                uppermost first */
  const char *subnet;        /* (nullable) "10.213.x.y/29" that the machine has now */
  GPtrArray *reads;          /* (nullable) of SandboxPlanRead */
  const char *machine_id;    /* (nullable) the guest's machine-id; NULL: the UUID */
  gboolean has_disk, disk_encrypted; /* what is there; without one the profile decides */
  guint free_ports; /* for shares that it is not defined with, and gets all the same */
} SandboxIdentity;

/* A disk of another machine that this one, a reader, looks at: through a layer of its own, so that
 * nothing is ever written to it. */
typedef struct
{
  char **chain; /* paths of its layers, the uppermost first, image included */
  guint64 bytes;
} SandboxPlanRead;
#define SANDBOX_READS_MAX 2
/* (element-type SandboxPlanRead) */
GPtrArray *_sandbox_plan_reads_new (void);
/* A share's source or target of a profile as the machine @name of whoever lives in @home has it.
 * (transfer full) */
char *_sandbox_plan_share_path (const char *text, const char *home, const char *name);
/* The volume of the layer over the disk @index that the machine @object reads. (transfer full) */
char *_sandbox_plan_scratch_volume (const char *object, guint index);

typedef struct
{
  char *tag;    /* virtiofs tag: the share's name */
  char *source; /* absolute on the host */
  char *target; /* absolute in the guest */
  SandboxShareMode mode;
  gboolean create;
  gboolean read_only; /* on the host, whatever the guest makes of it */
  char *shadow;       /* directories beneath @target that are on the guest's own disk, "a;b/c" */
  char *guard, *flag; /* patterns of what else this host runs, and of what else builds; or "" */
  char *door;         /* (nullable: read from metadata) the directory that libvirt is told to share:
                         it holds what the share helper needs to know of @source */
} SandboxPlanShare;
void _sandbox_plan_share_free (gpointer share);
/* Without its door. (transfer full) */
SandboxPlanShare *_sandbox_plan_share_copy (const SandboxPlanShare *share);
/* How the guest mounts it: "rw", "ro" or "review". */
const char *_sandbox_plan_share_mount (const SandboxPlanShare *share);

/* What the guest may, or may not, send to @net: the first one that fits decides, and what fits none
 * is denied. */
typedef enum
{
  SANDBOX_FLOW_ANY, /* every protocol; only to deny */
  SANDBOX_FLOW_TCP,
  SANDBOX_FLOW_UDP,
  SANDBOX_FLOW_PING, /* ICMP echo requests */
} SandboxFlowKind;
typedef struct
{
  gboolean allow;
  SandboxFlowKind kind;
  SandboxCidr net;
  SandboxPortRange ports; /* TCP and UDP: of the destination */
} SandboxFlow;

struct _SandboxPlan
{
  gatomicrefcount ref_count;
  char *name, *owner, *profile,
      *summary;  /* profile: what the machine's own one inherits, such as "work" */
  char *object;  /* "vms-1000-work": domain, network, filter; "vms-1000-OWNER.NAME" for other owner
                    tags */
  char uuid[37]; /* v5 (uid, owner, name) */
  char *machine_id;
  char *profile_digest;
  char *driver, *arch, *emulator, *machine; /* from the facts */
  SandboxAccel accel;                       /* KVM or TCG, never AUTO */
  char *accel_reason;
  guint cpus;
  guint64 memory_bytes, disk_bytes;
  char *user;
  guint uid, gid; /* of the user in the guest; never 0 */
  char *image_id, *image_disk, *image_kernel, *image_initrd, *cmdline;
  char *disk_volume, *seed_volume; /* "vms-1000-work.qcow2", "vms-1000-work.seed" */
  char *to_provision;              /* (nullable): for people: what a start would install first */
  char **layers;      /* paths between the disk and image_disk, the uppermost first; never NULL */
  gboolean encrypted; /* its disk: with the passphrase of the secret that has the machine's UUID */
  char *pool_path;
  char *network_mode, *bridge;  /* bridge "vms" + 10 hex digits, at most 15 bytes */
  char mac[18];                 /* 52:54:00 + 3 bytes of the hash */
  SandboxCidr subnet;           /* /29 */
  char *gateway, *address;      /* .1 and .2 */
  char *policy;                 /* one line for people: what it may reach */
  char *reaches;                /* of that, what is settled when it starts: not host= */
  GArray *flows;                /* of SandboxFlow */
  GArray *forward, *host;       /* of SandboxPortMap: all that is forwarded, by direction */
  SandboxPortRange local_ports; /* from which the host connects to the guest's ssh */
  gboolean virtiofs;            /* any share */
  char *share_helper;           /* what libvirt starts for each */
  gboolean memfd;               /* shared memory, so that shares can be attached later too */
  GPtrArray *shares;            /* of SandboxPlanShare */
  char **forbid;                /* patterns of what must not be installed; never NULL */
  GPtrArray *reads;             /* of SandboxPlanRead; never NULL */
  guint free_ports;             /* beside those of shares and the spare ones */
};

/* Pure. INVALID for what the profile gets wrong, UNSUPPORTED or HOST for what this host cannot do.
 */
SandboxPlan *_sandbox_plan_resolve (SandboxProfile *profile, const SandboxFacts *facts,
                                    const SandboxIdentity *identity, GError **error);
/* The flow that decides about a packet of the guest, as both layers of the filter do it: the first
 * that fits. NULL: none does, so it is denied. @kind: not ANY. @port: of the destination; ignored
 * for PING. */
const SandboxFlow *_sandbox_plan_find_flow (const SandboxPlan *plan, SandboxFlowKind kind,
                                            guint32 address, guint16 port);
gboolean
_sandbox_plan_allows (const SandboxPlan *plan, SandboxFlowKind kind, guint32 address, guint16 port);
/* One of the ranges that are closed to every machine on every host. */
gboolean _sandbox_policy_is_closed_range (const SandboxCidr *net);
/* TRUE if no machine on this host reaches any of @net unless its profile lists it. */
gboolean _sandbox_policy_closes (const SandboxFacts *facts, const SandboxCidr *net);
/* "vms-1000-work"; (transfer full) */
char *_sandbox_object_name (guint uid, const char *owner, const char *name);
/* The name in an object name of this uid and owner; NULL for somebody else's. (transfer full) */
char *_sandbox_object_parse (guint uid, const char *owner, const char *object);
void _sandbox_object_uuid (guint uid, const char *owner, const char *name, char ret_uuid[37]);
