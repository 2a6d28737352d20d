// SPDX-License-Identifier: LGPL-2.1-or-later
// A reader of saved memory that copies what it reads, but for pages of zeros.
//
// The file: libvirt's header and definition (src/qemu/qemu_saveimage.h), then QEMU's stream
// (docs/devel/migration, migration/savevm.c, migration/ram.c): sections of "ram", each a row of
// pages that ends with EOS, and then the devices, which nothing here looks into.
#include "base/saved-memory.h"

#include "base/bytes.h"
#include "base/error.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define SAVE_MAGIC   "LibvirtQemudSave"
#define SAVE_HEADER  92
#define SAVE_VERSION 2
#define XML_MAX      (64 << 20)

#define STREAM_MAGIC        0x5145564du /* QEVM */
#define STREAM_VERSION      3
#define SECTION_START       0x01
#define SECTION_PART        0x02
#define SECTION_END         0x03
#define SECTION_CONFIG      0x07
#define SECTION_COMMAND     0x08
#define SECTION_FOOTER      0x7e
#define RAM_VERSION_LENGTHS 8 /* instance and version, behind the name */

#define PAGE_BYTES    4096
#define FLAGS_MASK    G_GUINT64_CONSTANT (0xfff)
#define FLAG_ZERO     0x02
#define FLAG_SIZES    0x04
#define FLAG_PAGE     0x08
#define FLAG_EOS      0x10
#define FLAG_CONTINUE 0x20 /* of the block that the page before it was of */
#define RAM_MAX       (G_GUINT64_CONSTANT (1) << 40)

/* Before its memory comes, QEMU may have put firmware into the first pages: theirs are kept. */
#define KEPT_BYTES (16 << 20)

#define OUT_BYTES (256 * 1024)

/* How many bytes it took; 0: it must have more of them; -1 with @error. */
typedef gssize (*Step) (SandboxTrim *trim, const guint8 *data, gsize length, GError **error);

typedef struct
{
  guint8 length;
  char text[255];
} Name;

struct _SandboxTrim
{
  int fd;
  GByteArray *in, *out; /* not read yet; not written yet */
  Step step, after_copy;
  guint64 copy_left, sizes_left;
  gboolean devices; /* all memory was seen */
  guint32 section;
  Name main; /* the largest block: the machine's memory */
  guint64 main_bytes;
  Name reads, wrote; /* the block of the page that was read, and written, last */
  guint8 *filled;    /* a bit for each page of the main block that came with data */
  guint64 n_left_out;
};

static gssize step_section (SandboxTrim *trim, const guint8 *data, gsize length, GError **error);
static gssize step_ram (SandboxTrim *trim, const guint8 *data, gsize length, GError **error);

SandboxTrim *
sandbox_trim_new (int fd)
{
  SandboxTrim *trim = g_new0 (SandboxTrim, 1);

  trim->fd = fd;
  trim->in = g_byte_array_new ();
  trim->out = g_byte_array_new ();
  return trim;
}

void
sandbox_trim_free (SandboxTrim *trim)
{
  if (trim == NULL)
    return;
  g_byte_array_unref (trim->in);
  g_byte_array_unref (trim->out);
  g_free (trim->filled);
  g_free (trim);
}

static gssize
refuse (GError **error, const char *why)
{
  sandbox_fail (error, SANDBOX_ERROR_INVALID, "reading saved memory: %s", why);
  return -1;
}

static gboolean
flush (SandboxTrim *trim, GError **error)
{
  for (gsize done = 0; done < trim->out->len;)
    {
      gssize n = write (trim->fd, trim->out->data + done, trim->out->len - done);

      if (n < 0 && errno != EINTR)
        return sandbox_fail_errno (error, errno, "writing saved memory");
      done += n > 0 ? (gsize)n : 0;
    }
  g_byte_array_set_size (trim->out, 0);
  return TRUE;
}

static void
emit (SandboxTrim *trim, const void *data, gsize length)
{
  g_byte_array_append (trim->out, data, (guint)length);
}

static gssize
step_copy (SandboxTrim *trim, const guint8 *data, gsize length, GError **error)
{
  gsize n = (gsize)MIN (trim->copy_left, length);

  emit (trim, data, n);
  trim->copy_left -= n;
  if (trim->copy_left == 0)
    trim->step = trim->after_copy;
  return (gssize)n;
}

static void
copy_then (SandboxTrim *trim, guint64 length, Step after)
{
  trim->copy_left = length;
  trim->after_copy = after;
  trim->step = length > 0 ? step_copy : after;
}

/* --- pages */

static gboolean
same_name (const Name *a, const Name *b)
{
  return a->length == b->length && memcmp (a->text, b->text, a->length) == 0;
}

static void
set_name (Name *name, const guint8 *data)
{
  name->length = data[0];
  memcpy (name->text, data + 1, data[0]);
}

/* Whether the page is zero without being told so. One that came with data before is not. */
static gboolean
is_known_zero (SandboxTrim *trim, guint64 address, gboolean zero)
{
  guint64 page = address / PAGE_BYTES;

  if (!same_name (&trim->reads, &trim->main) || address >= trim->main_bytes)
    return FALSE;
  if (!zero)
    trim->filled[page / 8] |= (guint8)(1u << page % 8);
  return zero && address >= KEPT_BYTES && (trim->filled[page / 8] & 1u << page % 8) == 0;
}

/* A page names its block, or goes on in the one of the page before it: which may be left out. */
static void
emit_page (SandboxTrim *trim, guint64 head, const guint8 *body, gsize length)
{
  gboolean same = trim->wrote.length > 0 && same_name (&trim->wrote, &trim->reads);
  guint64 word = GUINT64_TO_BE ((head & ~(guint64)FLAG_CONTINUE) | (same ? FLAG_CONTINUE : 0));

  emit (trim, &word, sizeof word);
  if (!same)
    {
      emit (trim, &trim->reads.length, 1);
      emit (trim, trim->reads.text, trim->reads.length);
    }
  emit (trim, body, length);
  trim->wrote = trim->reads;
}

static gssize
read_page (SandboxTrim *trim, const guint8 *data, gsize length, GError **error)
{
  guint64 head = sandbox_get64 (data), address = head & ~FLAGS_MASK;
  gboolean zero = (head & FLAG_ZERO) != 0;
  gsize named = (head & FLAG_CONTINUE) != 0 ? 0 : length > 8 ? 1 + (gsize)data[8] : 1;
  gsize body = zero ? 1 : PAGE_BYTES;

  if (length < 8 + named + body)
    return 0;
  if (named > 0)
    set_name (&trim->reads, data + 8);
  if (trim->reads.length == 0 || (zero && data[8 + named] != 0) || trim->main_bytes == 0)
    return refuse (error, "a page of no block, or filled with something else than zeros");
  if (is_known_zero (trim, address, zero))
    trim->n_left_out++;
  else
    emit_page (trim, head, data + 8 + named, body);
  return (gssize)(8 + named + body);
}

static gssize
step_sizes (SandboxTrim *trim, const guint8 *data, gsize length, GError **error)
{
  gsize named = 1 + (gsize)data[0];
  guint64 bytes;

  if (length < named + 8)
    return 0;
  bytes = sandbox_get64 (data + named);
  if (data[0] == 0 || bytes == 0 || bytes > trim->sizes_left)
    return refuse (error, "blocks of other sizes than all of them have");
  if (bytes > trim->main_bytes)
    {
      set_name (&trim->main, data);
      trim->main_bytes = bytes;
    }
  emit (trim, data, named + 8);
  trim->sizes_left -= bytes;
  if (trim->sizes_left == 0)
    {
      trim->filled = g_malloc0 (trim->main_bytes / PAGE_BYTES / 8 + 1);
      trim->step = step_ram;
    }
  return (gssize)(named + 8);
}

static gssize
step_footer (SandboxTrim *trim, const guint8 *data, gsize length, GError **error)
{
  if (length < 5)
    return 0;
  if (data[0] != SECTION_FOOTER || sandbox_get32 (data + 1) != trim->section)
    return refuse (error, "a section without an end");
  emit (trim, data, 5);
  trim->step = step_section;
  return 5;
}

static gssize
step_ram (SandboxTrim *trim, const guint8 *data, gsize length, GError **error)
{
  guint64 head, flags;

  if (length < 8)
    return 0;
  head = sandbox_get64 (data);
  flags = head & FLAGS_MASK & ~(guint64)FLAG_CONTINUE;
  if (flags == FLAG_ZERO || flags == FLAG_PAGE)
    return read_page (trim, data, length, error);
  if (flags == FLAG_EOS)
    trim->step = step_footer;
  else if (flags == FLAG_SIZES && trim->filled == NULL && head >> 12 != 0 && head < RAM_MAX)
    {
      trim->sizes_left = head & ~FLAGS_MASK;
      trim->step = step_sizes;
    }
  else
    return refuse (error, "pages of an unknown kind");
  emit (trim, data, 8);
  return 8;
}

/* --- sections */

static gssize
begin_ram (SandboxTrim *trim, const guint8 *data, gsize length, GError **error)
{
  static const char name[] = "\003ram";
  gsize all = 5 + strlen (name) + RAM_VERSION_LENGTHS;

  if (length < all)
    return 0;
  if (memcmp (data + 5, name, strlen (name)) != 0)
    return refuse (error, "something else than memory comes first");
  trim->section = sandbox_get32 (data + 1);
  trim->step = step_ram;
  emit (trim, data, all);
  return (gssize)all;
}

static gssize
go_on_with_ram (SandboxTrim *trim, const guint8 *data, gsize length, GError **error)
{
  if (length < 5)
    return 0;
  if (sandbox_get32 (data + 1) != trim->section || trim->filled == NULL)
    return refuse (error, "a section that did not begin");
  trim->step = step_ram;
  emit (trim, data, 5);
  return 5;
}

static gssize
step_section (SandboxTrim *trim, const guint8 *data, gsize length, GError **error)
{
  switch (data[0])
    {
    case SECTION_CONFIG:
    case SECTION_COMMAND:
      if (length < 5)
        return 0;
      copy_then (trim,
                 data[0] == SECTION_CONFIG ? sandbox_get32 (data + 1) : sandbox_get16 (data + 3),
                 step_section);
      if (trim->copy_left > G_MAXUINT16)
        return refuse (error, "a configuration that is too long");
      emit (trim, data, 5);
      return 5;
    case SECTION_START:
      return begin_ram (trim, data, length, error);
    case SECTION_PART:
    case SECTION_END:
      return go_on_with_ram (trim, data, length, error);
    default:
      trim->devices = TRUE;
      copy_then (trim, G_MAXUINT64, NULL);
      return step_copy (trim, data, length, error);
    }
}

static gssize
step_magic (SandboxTrim *trim, const guint8 *data, gsize length, GError **error)
{
  if (length < 8)
    return 0;
  if (sandbox_get32 (data) != STREAM_MAGIC || sandbox_get32 (data + 4) != STREAM_VERSION)
    return refuse (error, "QEMU's stream does not begin as it should");
  emit (trim, data, 8);
  trim->step = step_section;
  return 8;
}

/* version, length of the definition, was it running, compressed with; in the host's byte order */
static gssize
step_header (SandboxTrim *trim, const guint8 *data, gsize length, GError **error)
{
  guint32 words[4];

  if (length < SAVE_HEADER)
    return 0;
  memcpy (words, data + strlen (SAVE_MAGIC), sizeof words);
  if (memcmp (data, SAVE_MAGIC, strlen (SAVE_MAGIC)) != 0 || words[0] != SAVE_VERSION
      || words[1] > XML_MAX || words[3] != 0)
    return refuse (error, "not of libvirt's form 2, or compressed");
  emit (trim, data, SAVE_HEADER);
  copy_then (trim, words[1], step_magic);
  return SAVE_HEADER;
}

gboolean
sandbox_trim_push (SandboxTrim *trim, const void *data, gsize length, GError **error)
{
  gsize done = 0;
  gssize n = 1;

  if (trim->step == NULL)
    trim->step = step_header;
  g_byte_array_append (trim->in, data, (guint)length);
  while (done < trim->in->len && n > 0)
    {
      n = trim->step (trim, trim->in->data + done, trim->in->len - done, error);
      if (n < 0 || (trim->out->len >= OUT_BYTES && !flush (trim, error)))
        return FALSE;
      done += (gsize)n;
    }
  g_byte_array_remove_range (trim->in, 0, (guint)done);
  return TRUE;
}

gboolean
sandbox_trim_end (SandboxTrim *trim, guint64 *ret_pages, GError **error)
{
  if (!trim->devices || trim->filled == NULL || trim->in->len > 0)
    return refuse (error, "it ends too early") == 0;
  *ret_pages = trim->n_left_out;
  return flush (trim, error);
}
