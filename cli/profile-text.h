// SPDX-License-Identifier: LGPL-2.1-or-later
// Profile files as text: reading one that a user names, and templates for new ones.
#pragma once

#include "context.h"

/* The text of a regular file of at most VMS_PROFILE_MAX bytes. Errors: NOT_FOUND, INVALID. */
char *vms_profile_read (const char *path, gsize *ret_length, GError **error);
/* A profile that inherits @parent (nullable), with every key of the table explained and none set.
 */
char *vms_profile_template (const char *name, const char *parent);
/* The list entry of NAME; NULL when there is none. */
SandboxProfileInfo *vms_profile_info (const char *name, GError **error);
