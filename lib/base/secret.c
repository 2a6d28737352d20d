// SPDX-License-Identifier: LGPL-2.1-or-later
// Memory for passphrases.
#include "base/secret.h"

#include "base/error.h"
#include "base/names.h"

#include <string.h>
#include <sys/mman.h>

/* Whole pages, so that nothing else is locked or left out with it. */
#define MAP_BYTES 4096

G_STATIC_ASSERT (SANDBOX_SECRET_MAX < MAP_BYTES);

SandboxSecret *
sandbox_secret_new (void)
{
  SandboxSecret *secret = g_new0 (SandboxSecret, 1);
  void *memory = mmap (NULL, MAP_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

  if (memory == MAP_FAILED)
    g_error ("no memory for a passphrase");
  mlock (memory, MAP_BYTES);
  madvise (memory, MAP_BYTES, MADV_DONTDUMP);
  madvise (memory, MAP_BYTES, MADV_DONTFORK);
  secret->text = memory;
  return secret;
}

void
sandbox_secret_free (SandboxSecret *secret)
{
  if (secret == NULL)
    return;
  explicit_bzero (secret->text, MAP_BYTES);
  munmap (secret->text, MAP_BYTES);
  g_free (secret);
}

static gboolean
is_plain (const char *text, gsize length)
{
  if (!g_utf8_validate (text, (gssize)length, NULL))
    return FALSE;
  for (const char *at = text; at < text + length; at = g_utf8_next_char (at))
    if (!sandbox_char_is_plain (g_utf8_get_char (at)))
      return FALSE;
  return TRUE;
}

gboolean
sandbox_secret_check (const SandboxSecret *secret, gboolean new, const char *doing, GError **error)
{
  if (secret->length == 0)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID, "%s: the passphrase is empty", doing);
  if (secret->length > SANDBOX_SECRET_MAX)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "%s: the passphrase is too long: use at most %d bytes", doing,
                         SANDBOX_SECRET_MAX);
  if (!is_plain (secret->text, secret->length))
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "%s: the passphrase is no text: use letters, digits and signs, in UTF-8",
                         doing);
  if (new && secret->length < SANDBOX_SECRET_NEW_MIN)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "%s: the passphrase is too short: use at least %d bytes; several words "
                         "are better",
                         doing, SANDBOX_SECRET_NEW_MIN);
  return TRUE;
}
