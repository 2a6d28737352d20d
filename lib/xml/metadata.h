// SPDX-License-Identifier: LGPL-2.1-or-later
// Our own element in libvirt's <metadata>, and what the xml files share.
#pragma once

#include "base/xml.h"
#include "xml/xml-private.h"

/* Version of the element's content; a reader that knows less must not trust what it reads. */
#define SANDBOX_METADATA_VERSION 1

/* <metadata> with all that start, list and status need to know again. */
void _sandbox_metadata_add_domain (xmlNode *domain, const SandboxPlan *plan);
/* <metadata> that says whose network it is. */
void _sandbox_metadata_add_network (xmlNode *network, const SandboxPlan *plan);
/* A new document with its root element. */
xmlDoc *_sandbox_xml_new (const char *root, xmlNode **ret_root);
/* One more <share> in our element, which says what a machine has. */
void _sandbox_metadata_add_share (xmlNode *root, const SandboxPlanShare *share);
/* Devices that each take a PCIe root port: disk, network card, entropy, balloon, console. */
#define SANDBOX_FIXED_PORTS 5
/* The device of a share, one more below @devices. @helper: the program that libvirt starts for it.
 */
void _sandbox_xml_add_share (xmlNode *devices, const char *helper, const SandboxPlanShare *share);
/* What lies below a disk: @paths of qcow2 layers, the uppermost first. Written out and ended, so
 * that no format and no further layer is ever probed from what a guest wrote. None: nothing is
 * added. */
void _sandbox_xml_add_backing (xmlNode *disk, const char *const *paths);
/* How the file of @above is encrypted: with the passphrase of the secret @uuid. */
void _sandbox_xml_add_encryption (xmlNode *above, const char *uuid);
/* Attribute or text as a decimal number. */
const char *_sandbox_xml_number (char buffer[24], guint64 value);
