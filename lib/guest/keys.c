// SPDX-License-Identifier: LGPL-2.1-or-later
// A machine's three ed25519 key pairs: made by ssh-keygen, complete or not there.
#include "guest/guest-private.h"

#include "base/child.h"
#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEYGEN_TIMEOUT_USEC (60 * G_USEC_PER_SEC)

static const char *const KEY_NAMES[] = { "user_key", "host_key", "guest_key" };

/* What stands under @name: 1 a regular file, 0 nothing, -1 an error. */
static int
look_at (int state_fd, const char *name, GError **error)
{
  struct stat st;

  if (fstatat (state_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
    {
      if (errno == ENOENT)
        return 0;
      sandbox_fail_errno (error, errno, "looking at key %s", name);
      return -1;
    }
  if (S_ISREG (st.st_mode) && st.st_size > 0)
    return 1;
  sandbox_fail (error, SANDBOX_ERROR_INVALID,
                "looking at key %s: it is no file, or empty; remove it", name);
  return -1;
}

static gboolean
sync_file (int state_fd, const char *name, guint mode, GError **error)
{
  sandbox_autofd int fd = openat (state_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

  if (fd < 0 || fchmod (fd, mode) < 0 || fsync (fd) < 0)
    return sandbox_fail_errno (error, errno, "writing key %s", name);
  return TRUE;
}

static gboolean
run_keygen (const char *directory, const char *temp, const char *comment, GCancellable *cancellable,
            GError **error)
{
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  g_autofree char *path = g_build_filename (directory, temp, NULL);
  const char *const argv[] = { "ssh-keygen", "-q",    "-t", "ed25519", "-N", "",
                               "-C",         comment, "-f", path,      NULL };

  options.argv = argv;
  if (sandbox_child_run (&options, KEYGEN_TIMEOUT_USEC, 4096, cancellable, NULL, NULL, NULL, error))
    return TRUE;
  g_prefix_error (error, "making a key in %s: ", directory);
  return FALSE;
}

/* The public half is put in place first: a private key under its name is the sign that the pair is
 * complete, so what a killed run leaves is remade before anything used it. */
static gboolean
make_pair (int state_fd, const char *directory, const char *name, const char *comment,
           GCancellable *cancellable, GError **error)
{
  g_autofree char *temp = g_strdup_printf (".%s.new", name);
  g_autofree char *temp_public = g_strdup_printf (".%s.new.pub", name);
  g_autofree char *public = g_strdup_printf ("%s.pub", name);

  if (!sandbox_remove_at (state_fd, temp, error)
      || !sandbox_remove_at (state_fd, temp_public, error)
      || !run_keygen (directory, temp, comment, cancellable, error)
      || !sync_file (state_fd, temp, 0600, error)
      || !sync_file (state_fd, temp_public, 0600, error))
    return FALSE;
  if (renameat (state_fd, temp_public, state_fd, public) < 0
      || renameat (state_fd, temp, state_fd, name) < 0)
    return sandbox_fail_errno (error, errno, "writing key %s", name);
  (void)fsync (state_fd);
  return TRUE;
}

/* A private key without its public half: somebody removed that; the identity is kept. */
static gboolean
derive_public (int state_fd, const char *directory, const char *name, GCancellable *cancellable,
               GError **error)
{
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  g_autofree char *path = g_build_filename (directory, name, NULL);
  g_autofree char *public = g_strdup_printf ("%s.pub", name);
  g_autofree char *text = NULL;
  const char *const argv[] = { "ssh-keygen", "-y", "-P", "", "-f", path, NULL };

  options.argv = argv;
  if (!sandbox_child_run (&options, KEYGEN_TIMEOUT_USEC, 4096, cancellable, &text, NULL, NULL,
                          error))
    {
      g_prefix_error (error, "reading key %s: ", path);
      return FALSE;
    }
  return sandbox_file_write_at (state_fd, public, text, strlen (text), 0600, error);
}

static gboolean
ensure_pair (int state_fd, const char *directory, const char *name, const char *comment,
             gboolean *ret_made, GCancellable *cancellable, GError **error)
{
  g_autofree char *public = g_strdup_printf ("%s.pub", name);
  int have_private = look_at (state_fd, name, error);
  int have_public;

  if (have_private < 0)
    return FALSE;
  if (!have_private)
    {
      *ret_made = TRUE;
      return make_pair (state_fd, directory, name, comment, cancellable, error);
    }
  have_public = look_at (state_fd, public, error);
  if (have_public < 0)
    return FALSE;
  return have_public || derive_public (state_fd, directory, name, cancellable, error);
}

gboolean
_sandbox_keys_ensure (int state_fd, const char *object, gboolean *ret_created,
                      GCancellable *cancellable, GError **error)
{
  g_autofree char *directory = _sandbox_fd_path (state_fd, error);
  gboolean made = FALSE;

  if (!directory)
    return FALSE;
  for (gsize i = 0; i < G_N_ELEMENTS (KEY_NAMES); i++)
    if (!ensure_pair (state_fd, directory, KEY_NAMES[i], object, &made, cancellable, error))
      return FALSE;
  if (ret_created)
    *ret_created = made;
  return TRUE;
}

char *
_sandbox_key_public (int state_fd, const char *key, GError **error)
{
  g_autofree char *name = g_strdup_printf ("%s.pub", key);
  g_autofree char *text = NULL;
  gsize length = 0;

  if (!sandbox_file_read_at (state_fd, name, SANDBOX_KEY_MAX, &text, &length, error))
    return NULL;
  g_strchomp (text);
  if (!g_str_has_prefix (text, "ssh-ed25519 AAAA") || strlen (text) + 1 < length
      || strpbrk (text, "\r\n") || !g_str_is_ascii (text))
    {
      sandbox_fail (error, SANDBOX_ERROR_INVALID,
                    "reading %s: it is not one ed25519 public key; remove it, it is made again",
                    name);
      return NULL;
    }
  return g_steal_pointer (&text);
}
