// SPDX-License-Identifier: LGPL-2.1-or-later
// The plan as libvirt's XML, and our own metadata read back out of libvirt's XML. Pure text.
#pragma once

#include "plan/plan-private.h"

/* All (transfer full), never NULL. For driver TEST the domain is of type "test" without what that
 * driver cannot parse. */
char *_sandbox_xml_domain (const SandboxPlan *plan);
char *_sandbox_xml_network (const SandboxPlan *plan);
char *_sandbox_xml_filter (const SandboxPlan *plan);
/* Whether two filters have the same rules in the same order, however libvirt writes them. */
gboolean
_sandbox_xml_same_filter (const char *a, const char *b, gboolean *ret_same, GError **error);
/* The same, but for the rules that close single addresses of this host, which come and go. */
gboolean
_sandbox_xml_same_policy (const char *a, const char *b, gboolean *ret_same, GError **error);
/* Whether @have closes all that @wanted does, and differs in nothing but that it closes more
 * addresses of the host or networks that it was in. */
gboolean _sandbox_xml_filter_closes (const char *have, const char *wanted, gboolean *ret_closes,
                                     GError **error);
/* qcow2 overlay on the image, 0600; also what a clone's copy is made into. */
char *_sandbox_xml_disk_volume (const SandboxPlan *plan);
/* qcow2 layer on the file @below, 0600. */
char *_sandbox_xml_layer_volume (const char *name, guint64 bytes, const char *below);
/* A secret of libvirt's that is kept in memory and shown to nobody. */
char *_sandbox_xml_secret (const char *uuid, const char *description);
/* What virDomainSnapshotCreateXML needs to make the file @path the one that is written to. */
char *_sandbox_xml_disk_switch (const char *path);
/* A domain's XML with another disk: @path, which stands on the layers @below (the uppermost first).
 * INVALID when it does not have just one disk. */
char *_sandbox_xml_with_disk (const char *domain_xml, const char *path, const char *const *below,
                              GError **error);
/* The file that a domain writes to; NULL when it has no disk. */
char *_sandbox_xml_disk_path (const char *domain_xml);
/* A domain that never runs: its one disk stands on @below, and libvirt can work on that. */
char *_sandbox_xml_merge_domain (const char *name, const char *path, const char *const *below);
/* Any raw volume of @bytes; @mode such as 0600 or 0644. */
char *_sandbox_xml_raw_volume (const char *name, guint64 bytes, guint mode);
/* qcow2 image volume to be filled by upload: many machines read it, none may write it. @mode: 0444,
 * or 0400 when it holds what is somebody's. */
char *_sandbox_xml_image_volume (const char *name, guint64 virtual_bytes, guint mode);
/* The same on the qcow2 file @below: what provisioning has made. */
char *_sandbox_xml_base_volume (const char *name, guint64 virtual_bytes, const char *below);
/* A storage pool: a directory that root and @group (-1: all) may pass through. @uuid (nullable): of
 * the pool that this is to replace. */
char *_sandbox_xml_pool (const char *name, const char *path, const char *uuid, gint64 group);

/* What our metadata element (namespace SANDBOX_XMLNS) in a domain's XML says, and what else start
 * compares. */
typedef struct
{
  char *owner, *name, *profile, *profile_digest, *image_id, *subnet, *accel, *accel_reason, *user,
      *disk_path;
  char *started; /* of one that runs: "warm", or "" */
  char *reaches; /* SandboxPlan.reaches; "" from versions that did not keep it */
  guint uid, gid, format_version;
  guint64 disk_bytes; /* virtual size that the profile asked for */
  GPtrArray *shares;  /* of SandboxPlanShare, as defined: also what a running machine has */
} SandboxDomainMeta;
void _sandbox_domain_meta_free (SandboxDomainMeta *meta);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxDomainMeta, _sandbox_domain_meta_free)
/* NULL without error: not one of ours. */
SandboxDomainMeta *_sandbox_xml_read_domain (const char *domain_xml, GError **error);
/* The subnet and the bridge ("" if unnamed) of a network's XML, each output (nullable); NOT_FOUND
 * when it has no IPv4 address. */
gboolean _sandbox_xml_read_network (const char *network_xml, SandboxCidr *ret_subnet,
                                    char **ret_bridge, GError **error);
/* How the wanted domain differs from the defined one, in lines for people; "" when it does not.
 * Ignores what libvirt fills in. */
char *_sandbox_xml_domain_changes (const char *defined_xml, const char *wanted_xml, GError **error);

/* --- share.c: one share of a machine that is there already. @domain_xml: libvirt's. All (transfer
 * full) */
/* The device alone, as libvirt attaches it. */
char *_sandbox_xml_share_device (const char *helper, const SandboxPlanShare *share);
/* The same of a share that a machine has, as libvirt wrote it; NULL when it has none of that tag.
 */
char *_sandbox_xml_find_share_device (const char *domain_xml, const char *tag);
/* With one share more, or one less: device and metadata. NULL with @error. */
char *_sandbox_xml_with_share (const char *domain_xml, const SandboxPlan *plan,
                               const SandboxPlanShare *share, GError **error);
char *_sandbox_xml_without_share (const char *domain_xml, const char *tag, GError **error);
/* Our element in the form in which libvirt takes a new one. */
char *_sandbox_xml_metadata_element (const char *domain_xml, GError **error);
/* How many shares it can have at once while it runs: those that it was started with, and these. */
#define SANDBOX_SPARE_PORTS 8
guint _sandbox_xml_shares_max (const char *domain_xml);
