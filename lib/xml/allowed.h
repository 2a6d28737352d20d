// SPDX-License-Identifier: LGPL-2.1-or-later
// What the domain XML of a machine may hold, and nothing beyond: the list is data, in allowed.c.
#pragma once

#include <glib.h>

/* Whether every element, attribute and text of @xml is on the list, and what the list calls for is
 * there. Fails with INVALID and the first place that is not so. For XML as we write it: start
 * defines no other. */
gboolean _sandbox_xml_check_domain (const char *xml, GError **error);
/* The same for a reader, which has up to SANDBOX_READS_MAX more disks, and no shares. */
gboolean _sandbox_xml_check_reader (const char *xml, GError **error);
/* The same for a domain as libvirt gives it back, defined or running: what it fills in by itself
 * (addresses, aliases, labels) is allowed too. */
gboolean _sandbox_xml_check_defined (const char *xml, GError **error);
