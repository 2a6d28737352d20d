// SPDX-License-Identifier: LGPL-2.1-or-later
// Names that users give: checked where they enter, trusted afterwards.
#pragma once

#include <glib.h>

#define SANDBOX_NAME_MAX 31

/* ^[a-z][a-z0-9-]{0,30}$ and not reserved ("default", "all", "host", "base", "defaults"). @what:
 * "machine", "profile"... for the message. */
gboolean sandbox_name_check (const char *what, const char *name, GError **error);
/* The same without the reserved words: names of shares, users, images. */
gboolean sandbox_name_check_form (const char *what, const char *name, GError **error);
/* No control, format (bidi, zero-width), separator or noncharacter. */
gboolean sandbox_char_is_plain (gunichar c);
/* Nearest of @candidates (NULL-terminated) to @word by edit distance, NULL if none is near. Not
 * owned. */
const char *sandbox_nearest (const char *word, const char *const *candidates);
/* Text from users or guests made fit for a terminal or a message: C0, C1, DEL, bidi and invalid
 * UTF-8 as \xNN or \u{N}; cut at
 * @max_bytes with "…". (transfer full) */
char *sandbox_escape (const char *text, gssize length, gsize max_bytes);
/* UUID version 5 of @name in our own namespace, lower case text, 37 bytes. */
void sandbox_uuid5 (const char *name, char ret_uuid[37]);
