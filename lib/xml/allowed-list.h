// SPDX-License-Identifier: LGPL-2.1-or-later
// The form of the list of what the domain XML of a machine may hold.
#pragma once

#include <glib.h>

#define SANDBOX_ALLOWED_MANY 0
/* More rows than all tables have. */
#define SANDBOX_ALLOWED_MAX 160

/* One kind of element. Two rows of one path are alternatives. */
typedef struct
{
  const char *path;  /* below <domain>, "" for itself; '*' stands for one element's name */
  guint max;         /* how many of this kind in one parent, or SANDBOX_ALLOWED_MANY */
  const char *need;  /* the domain types in which a parent must have one; NULL: it may */
  const char *text;  /* what may stand in it; NULL: nothing but blanks */
  const char *attrs; /* "name=VALUES ..."; with a '!' before it, it must be there */
} SandboxAllowed;
/* VALUES and texts are alternatives that are separated by '|', of which each is literal text or a
 * word of value_kinds. */

/* Each ends with a row of path NULL. The first: what we write. The second: elements that libvirt
 * adds by itself. The third: attributes that it adds to the former's elements. */
extern const SandboxAllowed _sandbox_allowed[];
extern const SandboxAllowed _sandbox_filled_in[];
extern const SandboxAllowed _sandbox_filled_in_attrs[];
