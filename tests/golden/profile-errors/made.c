// SPDX-License-Identifier: LGPL-2.1-or-later
// Profiles that no text can describe: made in the file system, or too large to be written down.
#include "made.h"

#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static gboolean
write_text (const char *path, const char *text, gssize length)
{
  return g_file_set_contents (path, text, length, NULL) && g_chmod (path, 0600) == 0;
}

static gboolean
make_fifo (const char *dir, const char *path)
{
  return mkfifo (path, 0600) == 0;
}

static gboolean
make_directory (const char *dir, const char *path)
{
  return g_mkdir (path, 0700) == 0;
}

static gboolean
make_device (const char *dir, const char *path)
{
  return symlink ("/dev/zero", path) == 0;
}

static gboolean
make_terminal (const char *dir, const char *path)
{
  return symlink ("/dev/ptmx", path) == 0;
}

static gboolean
make_socket (const char *dir, const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  gboolean ok =
      g_strlcpy (address.sun_path, path, sizeof address.sun_path) < sizeof address.sun_path
      && bind (fd, (struct sockaddr *)&address, sizeof address) == 0;

  close (fd);
  return ok;
}

static gboolean
make_dangling_link (const char *dir, const char *path)
{
  return symlink ("nowhere", path) == 0;
}

static gboolean
make_link_loop (const char *dir, const char *path)
{
  return symlink ("case.profile", path) == 0;
}

static gboolean
make_link_to_directory (const char *dir, const char *path)
{
  return symlink ("/", path) == 0;
}

static gboolean
make_group_writable (const char *dir, const char *path)
{
  return write_text (path, "", 0) && g_chmod (path, 0660) == 0;
}

static gboolean
make_world_writable (const char *dir, const char *path)
{
  return write_text (path, "", 0) && g_chmod (path, 0606) == 0;
}

static gboolean
make_foreign (const char *dir, const char *path)
{
  return geteuid () == 0 && write_text (path, "", 0) && chown (path, 12345, 12345) == 0;
}

static gboolean
make_open_directory (const char *dir, const char *path)
{
  return write_text (path, "", 0) && g_chmod (dir, 0777) == 0;
}

static gboolean
make_filled (const char *path, gsize length, const char *text)
{
  g_autoptr (GString) out = g_string_new ("[machine]\n");

  while (out->len < length)
    g_string_append (out, text);
  return write_text (path, out->str, (gssize)out->len);
}

static gboolean
make_line_of_1_mib (const char *dir, const char *path)
{
  return make_filled (path, 1024 * 1024, "aaaaaaaa");
}

static gboolean
make_million_keys (const char *dir, const char *path)
{
  return make_filled (path, 7 * 1000 * 1000, "cpus=1\n");
}

static gboolean
make_sparse_8_gib (const char *dir, const char *path)
{
  return write_text (path, "", 0) && truncate (path, (off_t)8 << 30) == 0;
}

static gboolean
make_zeros (const char *dir, const char *path)
{
  return write_text (path, "", 0) && truncate (path, 1000) == 0;
}

static gboolean
make_user_base (const char *dir, const char *path)
{
  g_autofree char *base = g_build_filename (dir, "base.profile", NULL);

  return write_text (path, "", 0) && write_text (base, "", 0);
}

static gboolean
make_bad_defaults (const char *dir, const char *path)
{
  g_autofree char *defaults = g_build_filename (dir, "defaults.profile", NULL);

  return write_text (path, "", 0) && write_text (defaults, "\n[machine]\ncpus=many\n", -1);
}

static gboolean
make_inherits_loop (const char *dir, const char *path)
{
  g_autofree char *other = g_build_filename (dir, "other.profile", NULL);

  return write_text (path, "[profile]\ninherits=other\n", -1)
         && write_text (other, "[profile]\n# round and round\ninherits=case\n", -1);
}

static gboolean
make_inherits_deep (const char *dir, const char *path)
{
  for (guint i = 0; i < 100; i++)
    {
      g_autofree char *name = g_strdup_printf ("%s/p%u.profile", dir, i);
      g_autofree char *text = g_strdup_printf ("[profile]\ninherits=p%u\n", i + 1);

      if (!write_text (name, text, -1))
        return FALSE;
    }
  return write_text (path, "[profile]\ninherits=p0\n", -1);
}

static gboolean
make_inherits_broken (const char *dir, const char *path)
{
  g_autofree char *other = g_build_filename (dir, "other.profile", NULL);

  return write_text (path, "[profile]\ninherits=other\n", -1)
         && write_text (other, "[machine]\nmemory=lots\n", -1);
}

static gboolean
make_nothing (const char *dir, const char *path)
{
  return TRUE;
}

const Made made_cases[] = {
  { "fifo", make_fifo },
  { "directory", make_directory },
  { "device", make_device },
  { "terminal", make_terminal },
  { "socket", make_socket },
  { "dangling-link", make_dangling_link },
  { "link-loop", make_link_loop },
  { "link-to-directory", make_link_to_directory },
  { "group-writable", make_group_writable },
  { "world-writable", make_world_writable },
  { "foreign", make_foreign },
  { "open-directory", make_open_directory },
  { "line-of-1-mib", make_line_of_1_mib },
  { "million-keys", make_million_keys },
  { "sparse-8-gib", make_sparse_8_gib },
  { "zeros", make_zeros },
  { "user-base", make_user_base },
  { "bad-defaults", make_bad_defaults },
  { "inherits-loop", make_inherits_loop },
  { "inherits-deep", make_inherits_deep },
  { "inherits-broken", make_inherits_broken },
  { "nothing", make_nothing },
};
const gsize n_made_cases = G_N_ELEMENTS (made_cases);
