// SPDX-License-Identifier: LGPL-2.1-or-later
// Numbers in files, most significant byte first, wherever they lie.
#pragma once

#include <glib.h>
#include <string.h>

static inline guint16
sandbox_get16 (const guint8 *at)
{
  guint16 value;

  memcpy (&value, at, sizeof value);
  return GUINT16_FROM_BE (value);
}

static inline guint32
sandbox_get32 (const guint8 *at)
{
  guint32 value;

  memcpy (&value, at, sizeof value);
  return GUINT32_FROM_BE (value);
}

static inline guint64
sandbox_get64 (const guint8 *at)
{
  guint64 value;

  memcpy (&value, at, sizeof value);
  return GUINT64_FROM_BE (value);
}

static inline void
sandbox_put32 (guint8 *at, guint32 value)
{
  value = GUINT32_TO_BE (value);
  memcpy (at, &value, sizeof value);
}

static inline void
sandbox_put64 (guint8 *at, guint64 value)
{
  value = GUINT64_TO_BE (value);
  memcpy (at, &value, sizeof value);
}
