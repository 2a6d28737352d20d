// SPDX-License-Identifier: LGPL-2.1-or-later
// Saved memory without its pages of zeros: which are left out of a stream that is made here, byte
// for byte; what is refused; and that QEMU has the same memory from both.
#include "base/saved-memory.h"

#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <sandbox/error.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB      G_GUINT64_CONSTANT (1048576)
#define PAGE     4096
#define ZERO     0x02
#define SIZES    0x04
#define DATA     0x08
#define EOS      0x10
#define CONTINUE 0x20
#define XBZRLE   0x40

/* --- a stream */

static void
put (GByteArray *stream, const void *data, gsize length)
{
  g_byte_array_append (stream, data, (guint)length);
}

static void
put32 (GByteArray *stream, guint32 value)
{
  value = GUINT32_TO_BE (value);
  put (stream, &value, sizeof value);
}

static void
put64 (GByteArray *stream, guint64 value)
{
  value = GUINT64_TO_BE (value);
  put (stream, &value, sizeof value);
}

static void
put_name (GByteArray *stream, const char *name)
{
  guint8 length = (guint8)strlen (name);

  put (stream, &length, 1);
  put (stream, name, length);
}

/* @block NULL: that of the page before */
static void
put_page (GByteArray *stream, const char *block, guint64 address, guint8 fill)
{
  guint8 page[PAGE];

  memset (page, fill, sizeof page);
  put64 (stream, address | (fill == 0 ? ZERO : DATA) | (block == NULL ? CONTINUE : 0));
  if (block != NULL)
    put_name (stream, block);
  put (stream, page, fill == 0 ? 1 : PAGE);
}

static void
put_section (GByteArray *stream, guint8 type)
{
  put (stream, &type, 1);
  put32 (stream, 3);
}

static void
put_end (GByteArray *stream)
{
  put64 (stream, EOS);
  put (stream, "\x7e", 1);
  put32 (stream, 3);
}

/* Up to the first page: 64 MiB of "pc.ram", "bios", and "video". */
static GByteArray *
begin (void)
{
  GByteArray *stream = g_byte_array_new ();
  guint32 words[19] = { 2, 12, 1, 0, 5 };

  put (stream, "LibvirtQemudSave", 16);
  put (stream, words, sizeof words);
  put (stream, "<definition>", 12);
  put (stream, "QEVM\0\0\0\3", 8);
  put (stream, "\x07\0\0\0\3q35", 8);
  put (stream, "\x08\0\1\0\4back", 9);
  put_section (stream, 1);
  put_name (stream, "ram");
  put32 (stream, 0);
  put32 (stream, 4);
  put64 (stream, (96 * MIB + 8 * PAGE) | SIZES);
  put_name (stream, "bios");
  put64 (stream, 8 * PAGE);
  put_name (stream, "pc.ram");
  put64 (stream, 64 * MIB);
  put_name (stream, "video");
  put64 (stream, 32 * MIB);
  put_end (stream);
  put_section (stream, 2);
  return stream;
}

static void
put_devices (GByteArray *stream)
{
  static const char devices[] = "\x04 what the devices \x02 are \x7e like";

  put (stream, devices, sizeof devices);
}

/* What becomes of it, in pieces of @piece bytes; NULL with @error. */
static GByteArray *
trim (const GByteArray *stream, gsize piece, guint64 *ret_pages, GError **error)
{
  int fd = memfd_create ("trim", MFD_CLOEXEC);
  g_autoptr (SandboxTrim) trim = sandbox_trim_new (fd);
  g_autoptr (GByteArray) out = g_byte_array_new ();
  gboolean good = TRUE;

  g_assert_cmpint (fd, >=, 0);
  for (gsize at = 0; good && at < stream->len; at += piece)
    good = sandbox_trim_push (trim, stream->data + at, MIN (piece, stream->len - at), error);
  good = good && sandbox_trim_end (trim, ret_pages, error);
  g_byte_array_set_size (out, (guint)lseek (fd, 0, SEEK_END));
  g_assert_cmpint (pread (fd, out->data, out->len, 0), ==, out->len);
  close (fd);
  return good ? g_steal_pointer (&out) : NULL;
}

static void
test_left_out (void)
{
  static const gsize pieces[] = { 1, 7, 4096, 1 << 20 };
  g_autoptr (GByteArray) in = begin (), want = begin ();

  /* low pages stay */
  put_page (in, "pc.ram", 0, 0);
  put_page (want, "pc.ram", 0, 0);
  put_page (in, NULL, 16 * MIB - PAGE, 0);
  put_page (want, NULL, 16 * MIB - PAGE, 0);
  put_page (in, NULL, 16 * MIB, 0);
  put_page (in, NULL, 64 * MIB - PAGE, 0);
  put_page (in, NULL, 24 * MIB, 7);
  put_page (want, NULL, 24 * MIB, 7);
  /* it had something else in it before */
  put_page (in, NULL, 24 * MIB, 0);
  put_page (want, NULL, 24 * MIB, 0);
  put_page (in, NULL, 24 * MIB + PAGE, 0);
  /* of other blocks all stay */
  put_page (in, "bios", 0, 0);
  put_page (want, "bios", 0, 0);
  put_page (in, NULL, 4 * PAGE, 9);
  put_page (want, NULL, 4 * PAGE, 9);
  put_page (in, "video", 25 * MIB, 0);
  put_page (want, "video", 25 * MIB, 0);
  put_page (in, NULL, 26 * MIB, 5);
  put_page (want, NULL, 26 * MIB, 5);
  put_page (in, "pc.ram", 26 * MIB, 0);
  /* a block whose first page is left out is named by the next */
  put_page (in, "pc.ram", 20 * MIB, 0);
  put_page (in, NULL, 21 * MIB, 1);
  put_page (want, "pc.ram", 21 * MIB, 1);
  put_end (in);
  put_end (want);
  put_section (in, 3);
  put_section (want, 3);
  put_page (in, "pc.ram", 22 * MIB, 0);
  put_page (in, "bios", 5 * PAGE, 0);
  put_page (want, "bios", 5 * PAGE, 0);
  put_end (in);
  put_end (want);
  put_devices (in);
  put_devices (want);
  for (guint i = 0; i < G_N_ELEMENTS (pieces); i++)
    {
      guint64 pages = 0;
      g_autoptr (GError) error = NULL;
      g_autoptr (GByteArray) got = trim (in, pieces[i], &pages, &error);

      g_assert_no_error (error);
      g_assert_cmpmem (got->data, got->len, want->data, want->len);
      g_assert_cmpuint (pages, ==, 6);
    }
}

static GByteArray *
a_stream (void)
{
  GByteArray *stream = begin ();

  put_page (stream, "pc.ram", 30 * MIB, 0);
  put_page (stream, NULL, 31 * MIB, 1);
  put_end (stream);
  put_devices (stream);
  return stream;
}

static void
assert_refused (const GByteArray *stream)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GByteArray) got = NULL;
  guint64 pages = 0;

  got = trim (stream, 4096, &pages, &error);
  g_assert_null (got);
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
}

/* Ends at each byte before its devices; and with what is not known here. */
static void
test_refused (void)
{
  g_autoptr (GByteArray) whole = a_stream ();
  g_autoptr (GByteArray) devices = g_byte_array_new ();
  static const struct
  {
    const char *what;
    guint at;
    guint8 value;
  } changes[] = {
    { "another file", 0, 'K' },     { "form 3", 16, 3 },        { "compressed", 28, 1 },
    { "a long definition", 23, 9 }, { "no stream", 104, 'q' },  { "its version", 111, 4 },
    { "a long name", 113, 1 },      { "not memory", 135, 'm' },
  };

  put_devices (devices);
  for (guint length = 0; length + devices->len <= whole->len; length++)
    {
      g_autoptr (GByteArray) part = g_byte_array_new ();

      put (part, whole->data, length);
      assert_refused (part);
    }
  for (guint i = 0; i < G_N_ELEMENTS (changes); i++)
    {
      guint8 was = whole->data[changes[i].at];

      g_test_message ("%s", changes[i].what);
      whole->data[changes[i].at] = changes[i].value;
      assert_refused (whole);
      whole->data[changes[i].at] = was;
    }
}

static void
test_unknown_pages (void)
{
  g_autoptr (GByteArray) packed = begin (), filled = begin (), unnamed = begin ();
  g_autoptr (GByteArray) large = begin ();

  put64 (packed, 20 * MIB | XBZRLE | CONTINUE);
  put_end (packed);
  assert_refused (packed);
  put64 (filled, 20 * MIB | ZERO);
  put_name (filled, "pc.ram");
  put (filled, "\x01", 1);
  assert_refused (filled);
  put_page (unnamed, NULL, 20 * MIB, 0);
  assert_refused (unnamed);
  /* beyond its block: QEMU is left to refuse it */
  put_page (large, "pc.ram", 64 * MIB, 0);
  put_page (large, NULL, G_GUINT64_CONSTANT (0xfffffffffffff000), 3);
  put_end (large);
  put_devices (large);
  {
    guint64 pages = 1;
    g_autoptr (GError) error = NULL;
    g_autoptr (GByteArray) got = trim (large, 4096, &pages, &error);

    g_assert_no_error (error);
    g_assert_cmpmem (got->data, got->len, large->data, large->len);
    g_assert_cmpuint (pages, ==, 0);
  }
}

/* Any changed bit: refused, or copied; nothing is read or written beyond (the sanitizers tell). */
static void
test_bits (void)
{
  g_autoptr (GByteArray) whole = a_stream ();

  for (guint bit = 0; bit < 8 * MIN (whole->len, 400); bit++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (GByteArray) got = NULL;
      guint64 pages = 0;

      whole->data[bit / 8] ^= (guint8)(1u << bit % 8);
      got = trim (whole, 1000, &pages, &error);
      g_assert_true (got != NULL || error != NULL);
      whole->data[bit / 8] ^= (guint8)(1u << bit % 8);
    }
}

/* --- QEMU */

#define RAM     (192 * MIB)
#define CONTENT (128 * MIB) /* where it begins */

typedef struct
{
  GSubprocess *process;
  GDataInputStream *output;
} Qemu;

static Qemu
start (const char *first, const char *second)
{
  g_autoptr (GError) error = NULL;
  Qemu qemu;

  qemu.process = g_subprocess_new (G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE,
                                   &error, "qemu-system-x86_64", "-nodefaults", "-display", "none",
                                   "-S", "-machine", "q35,memory-backend=m,accel=tcg", "-object",
                                   "memory-backend-memfd,id=m,share=on,size=192M", "-monitor",
                                   "stdio", first, second, NULL);
  g_assert_no_error (error);
  qemu.output = g_data_input_stream_new (g_subprocess_get_stdout_pipe (qemu.process));
  return qemu;
}

static void
say (const Qemu *qemu, const char *format, ...)
{
  g_autofree char *line = NULL;
  va_list args;

  va_start (args, format);
  line = g_strdup_vprintf (format, args);
  va_end (args);
  g_assert_true (g_output_stream_write_all (g_subprocess_get_stdin_pipe (qemu->process), line,
                                            strlen (line), NULL, NULL, NULL));
}

/* The line of its output that begins so. */
static char *
answer (const Qemu *qemu, const char *begins)
{
  char *line;

  while ((line = g_data_input_stream_read_line (qemu->output, NULL, NULL, NULL)) != NULL
         && !g_str_has_prefix (line, begins))
    g_free (line);
  g_assert_nonnull (line);
  return line;
}

static guint64
shared_kib (const Qemu *qemu)
{
  g_autofree char *path =
      g_strdup_printf ("/proc/%s/status", g_subprocess_get_identifier (qemu->process));
  g_autofree char *text = NULL;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  return g_ascii_strtoull (strstr (text, "RssShmem:") + strlen ("RssShmem:"), NULL, 10);
}

static void
finish (Qemu *qemu)
{
  say (qemu, "quit\n");
  g_assert_true (g_subprocess_wait_check (qemu->process, NULL, NULL));
  g_clear_object (&qemu->output);
  g_clear_object (&qemu->process);
}

/* All memory of a QEMU that reads @stream; what of it is in use. */
static char *
memory_from (const char *dir, const char *stream, guint64 *ret_kib)
{
  g_autofree char *incoming = g_strdup_printf ("exec:tail -c +105 %s/%s", dir, stream);
  g_autofree char *dump = g_strdup_printf ("%s/%s.dump", dir, stream);
  Qemu qemu = start ("-incoming", incoming);
  gboolean there = FALSE;
  char *memory = NULL;

  for (guint i = 0; i < 600 && !there; i++)
    {
      g_autofree char *line = NULL;

      say (&qemu, "info status\n");
      line = answer (&qemu, "VM status:");
      there = strstr (line, "inmigrate") == NULL;
      if (!there)
        g_usleep (100 * 1000);
    }
  g_assert_true (there);
  *ret_kib = shared_kib (&qemu);
  say (&qemu, "pmemsave 0 %" G_GUINT64_FORMAT " \"%s\"\n", RAM, dump);
  finish (&qemu);
  g_assert_true (g_file_get_contents (dump, &memory, NULL, NULL));
  g_unlink (dump);
  return memory;
}

/* A megabyte in which every fourth page is zero, and the file that has it saved. */
static void
save (const char *dir)
{
  g_autofree char *content = g_build_filename (dir, "content", NULL);
  g_autofree char *loader =
      g_strdup_printf ("loader,file=%s,addr=%" G_GUINT64_FORMAT ",force-raw=on", content, CONTENT);
  g_autofree char *bytes = g_malloc0 (MIB);
  guint32 words[19] = { 2, 12, 1, 0, 5 };
  g_autofree char *head = g_build_filename (dir, "head", NULL);
  g_autoptr (GByteArray) header = g_byte_array_new ();
  g_autoptr (GError) error = NULL;
  Qemu qemu;

  for (gsize i = 0; i < MIB; i++)
    if (i / PAGE % 4 != 0)
      bytes[i] = (char)(1 + i % 251);
  g_assert_true (g_file_set_contents (content, bytes, MIB, NULL));
  put (header, "LibvirtQemudSave", 16);
  put (header, words, sizeof words);
  put (header, "<definition>", 12);
  g_assert_true (g_file_set_contents (head, (char *)header->data, header->len, NULL));
  qemu = start ("-device", loader);
  say (&qemu, "migrate \"exec:cat %s/head - >%s/whole\"\n", dir, dir);
  finish (&qemu);
}

static gboolean
trim_file (const char *dir, guint64 *ret_pages, GError **error)
{
  g_autofree char *whole = g_build_filename (dir, "whole", NULL);
  g_autofree char *path = g_build_filename (dir, "trimmed", NULL);
  int fd = g_open (path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  g_autoptr (SandboxTrim) trim = sandbox_trim_new (fd);
  g_autofree char *bytes = NULL;
  gsize length = 0;
  gboolean good = TRUE;

  g_assert_cmpint (fd, >=, 0);
  g_assert_true (g_file_get_contents (whole, &bytes, &length, NULL));
  for (gsize at = 0; good && at < length; at += 100000)
    good = sandbox_trim_push (trim, bytes + at, MIN (100000, length - at), error);
  good = good && sandbox_trim_end (trim, ret_pages, error);
  close (fd);
  return good;
}

static void
test_qemu (void)
{
  g_autofree char *dir = g_dir_make_tmp ("saved-memory.XXXXXX", NULL);
  g_autofree char *program = g_find_program_in_path ("qemu-system-x86_64");
  g_autofree char *before = NULL, *after = NULL;
  guint64 pages = 0, kib_before, kib_after;
  g_autoptr (GError) error = NULL;
  g_autofree char *remove = NULL;

  if (program == NULL)
    {
      g_test_skip ("there is no QEMU");
      return;
    }
  save (dir);
  g_assert_true (trim_file (dir, &pages, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (pages, >, (RAM - 32 * MIB) / PAGE);
  before = memory_from (dir, "whole", &kib_before);
  after = memory_from (dir, "trimmed", &kib_after);
  g_assert_cmpint (before[CONTENT + PAGE], !=, 0);
  g_assert_cmpint (memcmp (before, after, RAM), ==, 0);
  g_assert_cmpuint (kib_before, >=, RAM / 1024);
  g_assert_cmpuint (kib_after, <=, 24 * 1024);
  remove = g_strdup_printf ("rm -rf '%s'", dir);
  g_assert_cmpint (system (remove), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/saved-memory/left-out", test_left_out);
  g_test_add_func ("/saved-memory/refused", test_refused);
  g_test_add_func ("/saved-memory/unknown-pages", test_unknown_pages);
  g_test_add_func ("/saved-memory/bits", test_bits);
  g_test_add_func ("/saved-memory/qemu", test_qemu);
  return g_test_run ();
}
