// SPDX-License-Identifier: LGPL-2.1-or-later
// Help for people, made from the command table.
#pragma once

#include "verbs.h"

/* What `vms` alone says: what to do first. */
void vms_help_first (void);
/* Help for one verb, for a family (@verb NULL) or for all (both NULL), on stdout. */
void vms_help_show (const VmsVerb *verb, const char *family);
/* After a usage error, on stderr: how the verb is used. */
void vms_help_hint (const VmsVerb *verb);
/* "start [OPTION...] NAME..." (transfer full) */
char *vms_help_usage (const VmsVerb *verb);
/* "-f, --force" or "    --timeout TIME" (transfer full) */
char *vms_help_option (const VmsOption *option);
