// SPDX-License-Identifier: LGPL-2.1-or-later
// Rules about share paths that both the check of the text and the check of the file system need.
#pragma once

#include <glib.h>

/* @below: the part of a path that follows a home directory, "" for the home itself; @shown: for the
 * message. */
gboolean _sandbox_share_home_check (const char *shown, const char *below, GError **error);
