// SPDX-License-Identifier: LGPL-2.1-or-later
// A text that is nobody else's business, such as a passphrase: in memory that is not swapped out,
// not in core files and not in children, and wiped when it is freed.
#pragma once

#include <glib.h>

/* Bytes at most. */
#define SANDBOX_SECRET_MAX 1024

typedef struct
{
  char *text; /* SANDBOX_SECRET_MAX bytes and one more; not ended by a NUL of its own */
  gsize length;
} SandboxSecret;

/* Empty. Where the system refuses to lock memory it is swapped like any other. */
SandboxSecret *sandbox_secret_new (void);
void sandbox_secret_free (SandboxSecret *secret);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxSecret, sandbox_secret_free)

/* INVALID when it cannot be a passphrase: empty, not UTF-8, with a control character in it, or, for
 * one that is @new, shorter than SANDBOX_SECRET_NEW_MIN bytes. @doing: "start work". */
#define SANDBOX_SECRET_NEW_MIN 8
gboolean
sandbox_secret_check (const SandboxSecret *secret, gboolean new, const char *doing, GError **error);
