// SPDX-License-Identifier: LGPL-2.1-or-later
// What the files of the virt layer share: connections, error mapping, autoptr for libvirt's types.
#pragma once

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include "base/error.h"
#include "base/xml.h"
#include "virt/virt.h"

/* --- sigpipe.c: between these two SIGPIPE cannot end the process. Whoever holds a connection of
 * _sandbox_virt_connection() is between them, in its thread and in those it starts meanwhile. */
void _sandbox_virt_enter (void);
void _sandbox_virt_leave (void);
/* In the thread that got it. */
void _sandbox_virt_connection_close (virConnectPtr conn);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (virConnect, _sandbox_virt_connection_close)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (virDomain, virDomainFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (virNetwork, virNetworkFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (virNWFilter, virNWFilterFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (virStoragePool, virStoragePoolFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (virStorageVol, virStorageVolFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (virStream, virStreamFree)
/* Keeps libvirt's last error over the calls that look what became of it. */
typedef virError SavedError;
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SavedError, virFreeError)

/* --- connection.c */
gboolean _sandbox_virt_uri_is_remote (const char *uri);
/* A new reference to the living connection; opened again first when the daemon went away. */
virConnectPtr _sandbox_virt_connection (SandboxVirt *virt, GError **error);
/* A second connection of its own, for what would keep the shared one waiting. */
virConnectPtr _sandbox_virt_connection_new (SandboxVirt *virt, GError **error);
/* The part of the facts that one daemon's life does not change: asked once per connection with
 * @read, then copied. (transfer full) */
typedef SandboxFacts *(*SandboxVirtFactsFunc) (SandboxVirt *virt, virConnectPtr conn,
                                               GError **error);
SandboxFacts *
_sandbox_virt_cached_facts (SandboxVirt *virt, SandboxVirtFactsFunc read, GError **error);

/* What the host can do, as libvirt sees it. (transfer full) */
xmlDoc *_sandbox_virt_capabilities (virConnectPtr conn, GError **error);

/* --- quiet.c: between these two no libvirt error of this thread is printed */
void _sandbox_virt_quiet_begin (void);
void _sandbox_virt_quiet_end (void);

/* --- error.c */
/* The last libvirt error of this thread as GError: "@format: why; what to do". Returns FALSE. */
gboolean _sandbox_virt_fail (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);
/* The same from a given error; the only place that knows libvirt's numbers. */
gboolean _sandbox_virt_fail_with (GError **error, virErrorPtr why, const char *doing);
SandboxError _sandbox_virt_error_map (virErrorPtr why);
/* Text for a message: one line, valid UTF-8, not long. (transfer full) */
char *_sandbox_virt_error_text (const char *text);

/* --- facts.c, addresses.c, routes.c */
/* Adds what /proc/net/route says (text as the kernel writes it) to the used networks. */
void _sandbox_virt_read_routes (SandboxFacts *facts, const char *route_text);
/* Adds to @nets what the same text says of what is near this host: routers ("A/32"), and networks
 * without a router on one of the interfaces @wires ("A/BITS"). */
void _sandbox_virt_read_neighbours (GPtrArray *nets, const char *route_text, GHashTable *wires);
/* All IPv4 addresses of this host but 127.0.0.0/8 ("A;B"), and what is near it: the networks of
 * its interfaces, the other ends of point-to-point links, and what @route_text has of neighbours
 * ("A/BITS;B/32"); each in the order of their texts, without what is on the bridges of machines.
 * Fails with HOST when the kernel does not tell. */
gboolean
_sandbox_virt_read_host_addresses (SandboxFacts *facts, const char *route_text, GError **error);
/* Adds the addresses and routes in one libvirt network's XML. */
gboolean _sandbox_virt_read_network_nets (SandboxFacts *facts, const char *xml, GError **error);

/* --- network.c */
/* All networks of the host. (transfer full) */
GPtrArray *_sandbox_virt_all_networks (virConnectPtr conn, GError **error);

/* --- pool.c */
/* Starts it if it does not run. */
gboolean _sandbox_virt_pool_activate (virStoragePoolPtr pool, GError **error);
/* The pool, running. NULL with *ret_none TRUE and no error: there is no pool. */
virStoragePoolPtr _sandbox_virt_pool_open (virConnectPtr conn, gboolean *ret_none, GError **error);
/* The pool, running; NOT_FOUND when there is none. */
virStoragePoolPtr _sandbox_virt_pool_need (virConnectPtr conn, const char *doing, GError **error);

/* --- storage.c */
/* The volume, looked for again after a refresh. NULL without error (*ret_none TRUE): there is none.
 */
virStorageVolPtr _sandbox_virt_volume_lookup (virConnectPtr conn, const char *name,
                                              gboolean *ret_none, GError **error);
/* Makes a volume that must not be there yet. (transfer full) *ret_name */
gboolean
_sandbox_virt_volume_make (virConnectPtr conn, const char *xml, char **ret_name, GError **error);
