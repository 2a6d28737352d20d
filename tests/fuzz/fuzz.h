// SPDX-License-Identifier: LGPL-2.1-or-later
// The entry that libFuzzer, and our own runner, call with each input.
#pragma once

#include <glib.h>

int LLVMFuzzerTestOneInput (const guint8 *data, gsize length);
