// SPDX-License-Identifier: LGPL-2.1-or-later
// Reading tar archives that may come from an enemy: every length is checked before it is believed.
#include "guest/tar.h"

#include "base/error.h"

#include <string.h>

/* Headers about one entry: a pax record and GNU's two long names, and some that say nothing to us.
 */
#define META_MAX       8
#define SIZE_MAX_BYTES (G_GUINT64_CONSTANT (1) << 62)

/* Fields of a header: offset and size. */
#define F_NAME      0, 100
#define F_MODE      100, 8
#define F_SIZE      124, 12
#define F_MTIME     136, 12
#define F_CHECKSUM  148, 8
#define F_LINK      157, 100
#define F_MAJOR     329, 8
#define F_MINOR     337, 8
#define F_PREFIX    345, 155
#define AT_CHECKSUM 148
#define AT_TYPE     156
#define AT_MAGIC    257

#define XATTR "SCHILY.xattr.trusted.overlay."

/* What the headers before an entry's own say about it. */
typedef struct
{
  char *path, *link, *overlay;
  gboolean has_size, has_mtime, sparse, opaque;
  guint64 size_bytes;
  gint64 mtime_sec;
} Meta;

static void
meta_clear (Meta *meta)
{
  g_free (meta->path);
  g_free (meta->link);
  g_free (meta->overlay);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Meta, meta_clear)

void
sandbox_tar_entry_clear (SandboxTarEntry *entry)
{
  g_clear_pointer (&entry->name, g_free);
  g_clear_pointer (&entry->link, g_free);
  g_clear_pointer (&entry->overlay, g_free);
}

static gboolean
fail_archive (GError **error, const char *why)
{
  return sandbox_fail (error, SANDBOX_ERROR_GUEST, "reading what the machine sent: %s", why);
}

/* Octal with blanks around it, or GNU's binary form; empty is 0. */
static gboolean
get_number (const char *block, gsize offset, gsize size, guint64 *ret_value)
{
  const guchar *field = (const guchar *)block + offset;
  gsize i = 0;
  guint64 value = 0;

  if (field[0] == 0x80)
    {
      for (i = 1; i < size; i++)
        {
          if (value >> 55)
            return FALSE;
          value = value << 8 | field[i];
        }
      *ret_value = value;
      return TRUE;
    }
  while (i < size && field[i] == ' ')
    i++;
  for (; i < size && field[i] >= '0' && field[i] <= '7'; i++)
    value = value << 3 | (guint64)(field[i] - '0');
  for (; i < size; i++)
    if (field[i] != ' ' && field[i] != '\0')
      return FALSE;
  *ret_value = value;
  return TRUE;
}

static char *
get_text (const char *block, gsize offset, gsize size)
{
  return g_strndup (block + offset, size);
}

static gboolean
check_sum (const char *block)
{
  guint64 stored = 0;
  guint sum = 0;

  for (gsize i = 0; i < SANDBOX_TAR_BLOCK; i++)
    sum += i >= AT_CHECKSUM && i < AT_CHECKSUM + 8 ? ' ' : (guchar)block[i];
  return get_number (block, F_CHECKSUM, &stored) && stored == sum;
}

static gboolean
is_zero (const char *block)
{
  for (gsize i = 0; i < SANDBOX_TAR_BLOCK; i++)
    if (block[i])
      return FALSE;
  return TRUE;
}

/* The content of a header about another entry; NUL-terminated. */
static char *
read_meta (SandboxTarReadFunc func, gpointer user_data, guint64 size, gsize *ret_length,
           GError **error)
{
  gsize whole = (size + SANDBOX_TAR_BLOCK - 1) / SANDBOX_TAR_BLOCK * SANDBOX_TAR_BLOCK;
  g_autofree char *data = NULL;

  if (size > SANDBOX_TAR_PAX_MAX)
    {
      fail_archive (error, "a header in its archive is too large");
      return NULL;
    }
  data = g_malloc (whole + 1);
  if (!func (data, whole, user_data, error))
    return NULL;
  data[size] = '\0';
  *ret_length = size;
  return g_steal_pointer (&data);
}

static gboolean
set_text (char **where, const char *value, gsize length)
{
  if (length > SANDBOX_TAR_NAME_MAX || memchr (value, '\0', length))
    return FALSE;
  g_free (*where);
  *where = g_strndup (value, length);
  return TRUE;
}

static gboolean
set_number (const char *value, gsize length, guint64 *ret_value)
{
  g_autofree char *text = g_strndup (value, length);

  /* a time may have a fraction */
  text[strcspn (text, ".")] = '\0';
  return g_ascii_string_to_unsigned (text, 10, 0, SIZE_MAX_BYTES, ret_value, NULL);
}

/* Those that only say where a copy came from mean nothing to us. */
static void
apply_overlay (Meta *meta, const char *key, gsize key_length, const char *value, gsize length)
{
  static const char *const harmless[] = { "origin", "impure", "nlink",    "upper",
                                          "uuid",   "index",  "protattr", NULL };
  gsize prefix = strlen (XATTR);
  g_autofree char *name = g_strndup (key + prefix, key_length - prefix);

  /* one that was set within the overlay, and that it hides from itself */
  if (g_strv_contains (harmless, name) || g_str_has_prefix (name, "overlay."))
    return;
  if (g_str_equal (name, "opaque") && length == 1 && value[0] == 'y')
    meta->opaque = TRUE;
  else
    {
      g_free (meta->overlay);
      meta->overlay = g_steal_pointer (&name);
    }
}

static gboolean
apply_record (Meta *meta, const char *key, gsize key_length, const char *value, gsize length)
{
  guint64 number = 0;

#define IS(name) (key_length == strlen (name) && memcmp (key, name, key_length) == 0)
  if (IS ("path"))
    return set_text (&meta->path, value, length);
  if (IS ("linkpath"))
    return set_text (&meta->link, value, length);
  if (IS ("size"))
    {
      meta->has_size = set_number (value, length, &meta->size_bytes);
      return meta->has_size;
    }
  if (IS ("mtime"))
    {
      /* before 1970, or nonsense: no time then */
      meta->has_mtime = set_number (value, length, &number);
      meta->mtime_sec = (gint64)number;
    }
  if (key_length > 11 && memcmp (key, "GNU.sparse.", 11) == 0)
    meta->sparse = TRUE;
  if (key_length > strlen (XATTR) && memcmp (key, XATTR, strlen (XATTR)) == 0)
    apply_overlay (meta, key, key_length, value, length);
#undef IS
  return TRUE;
}

/* Records "LENGTH key=value\n". */
static gboolean
parse_pax (Meta *meta, const char *data, gsize length)
{
  while (length > 0)
    {
      gsize record = 0, digits = 0;
      const char *equals;

      while (digits < length && digits < 7 && g_ascii_isdigit (data[digits]))
        record = record * 10 + (gsize)(data[digits++] - '0');
      if (!digits || digits >= length || data[digits] != ' ' || record > length
          || record < digits + 3 || data[record - 1] != '\n')
        return FALSE;
      equals = memchr (data + digits + 1, '=', record - digits - 2);
      if (!equals
          || !apply_record (meta, data + digits + 1, (gsize)(equals - (data + digits + 1)),
                            equals + 1, (gsize)(data + record - 1 - (equals + 1))))
        return FALSE;
      data += record;
      length -= record;
    }
  return TRUE;
}

/* TRUE in *@ret_is_meta when the header in @block was about another one; @meta has it then. */
static gboolean
take_meta (SandboxTarReadFunc func, gpointer user_data, const char *block, guint64 size, Meta *meta,
           gboolean *ret_is_meta, GError **error)
{
  char type = block[AT_TYPE];
  g_autofree char *data = NULL;
  gsize length = 0;
  gboolean ok = TRUE;

  *ret_is_meta = type == 'x' || type == 'g' || type == 'L' || type == 'K';
  if (!*ret_is_meta)
    return TRUE;
  data = read_meta (func, user_data, size, &length, error);
  if (!data)
    return FALSE;
  if (type == 'x')
    ok = parse_pax (meta, data, length);
  else if (type != 'g')
    /* ends with a NUL of its own */
    ok = set_text (type == 'L' ? &meta->path : &meta->link, data, strnlen (data, length));
  return ok || fail_archive (error, "a header in its archive is damaged");
}

static char *
header_name (const char *block)
{
  g_autofree char *name = get_text (block, F_NAME);
  g_autofree char *prefix = NULL;

  /* only the POSIX form has the prefix there */
  if (memcmp (block + AT_MAGIC, "ustar\0", 6) != 0)
    return g_steal_pointer (&name);
  prefix = get_text (block, F_PREFIX);
  return prefix[0] ? g_strconcat (prefix, "/", name, NULL) : g_steal_pointer (&name);
}

static SandboxTarType
device_type (const char *block)
{
  guint64 major = 0, minor = 0;

  return get_number (block, F_MAJOR, &major) && get_number (block, F_MINOR, &minor) && major == 0
                 && minor == 0
             ? SANDBOX_TAR_WHITEOUT
             : SANDBOX_TAR_OTHER;
}

static SandboxTarType
header_type (const char *block, const Meta *meta, const char *name)
{
  if (meta->sparse)
    return SANDBOX_TAR_OTHER;
  switch (block[AT_TYPE])
    {
    case '0':
    case '\0':
    case '7':
      return g_str_has_suffix (name, "/") ? SANDBOX_TAR_DIR : SANDBOX_TAR_FILE;
    case '5':
      return SANDBOX_TAR_DIR;
    case '1':
      return SANDBOX_TAR_HARDLINK;
    case '2':
      return SANDBOX_TAR_SYMLINK;
    case '3':
      return device_type (block);
    default:
      return SANDBOX_TAR_OTHER;
    }
}

static gboolean
fill_entry (const char *block, guint64 size, Meta *meta, SandboxTarEntry *ret_entry, GError **error)
{
  guint64 mode = 0, mtime = 0;
  char *name;

  if (!get_number (block, F_MODE, &mode))
    return fail_archive (error, "its archive is damaged");
  if (!get_number (block, F_MTIME, &mtime) || mtime > G_MAXINT64)
    mtime = 0;
  name = meta->path ? g_steal_pointer (&meta->path) : header_name (block);
  *ret_entry = (SandboxTarEntry){
    .type = header_type (block, meta, name),
    .name = name,
    .mode = (guint)(mode & 07777),
    .size_bytes = meta->has_size ? meta->size_bytes : size,
    .mtime_sec = meta->has_mtime ? meta->mtime_sec : (gint64)mtime,
    .opaque = meta->opaque,
    .overlay = g_steal_pointer (&meta->overlay),
  };
  if (ret_entry->type == SANDBOX_TAR_SYMLINK || ret_entry->type == SANDBOX_TAR_HARDLINK)
    ret_entry->link = meta->link ? g_steal_pointer (&meta->link) : get_text (block, F_LINK);
  if (ret_entry->type != SANDBOX_TAR_FILE)
    ret_entry->size_bytes = 0;
  return TRUE;
}

gboolean
sandbox_tar_read_header (SandboxTarReadFunc func, gpointer user_data, SandboxTarEntry *ret_entry,
                         gboolean *ret_end, GError **error)
{
  g_auto (Meta) meta = { 0 };
  char block[SANDBOX_TAR_BLOCK];

  for (guint i = 0; i < META_MAX; i++)
    {
      gboolean is_meta = FALSE;
      guint64 size = 0;

      if (!func (block, sizeof block, user_data, error))
        return FALSE;
      if (is_zero (block))
        {
          *ret_end = TRUE;
          return TRUE;
        }
      if (!check_sum (block) || !get_number (block, F_SIZE, &size) || size > SIZE_MAX_BYTES)
        return fail_archive (error, "its archive is damaged");
      if (!take_meta (func, user_data, block, size, &meta, &is_meta, error))
        return FALSE;
      if (is_meta)
        continue;
      *ret_end = FALSE;
      return fill_entry (block, size, &meta, ret_entry, error);
    }
  return fail_archive (error, "its archive has too many headers for one file");
}
