// SPDX-License-Identifier: LGPL-2.1-or-later
// The XML of machines that go on from kept memory. Pure text; all (transfer full), NULL with
// @error.
#pragma once

#include "xml/xml-private.h"

/* A domain without what may differ between two that can go on from the same memory: what it is
 * called for people, our metadata, the files of its disk. */
char *_sandbox_xml_without_names (const char *domain_xml, GError **error);
/* The saved definition with the disk, the metadata and, for when the guest reboots, the kernel's
 * command line of @plan, and a note of how it started. */
char *_sandbox_xml_restored (const char *saved_xml, const SandboxPlan *plan, GError **error);
