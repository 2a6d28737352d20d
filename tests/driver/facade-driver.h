// SPDX-License-Identifier: LGPL-2.1-or-later
// What the driver tests of the facade share: a home of their own, a host on libvirt's test driver,
// recorded progress.
#pragma once

#include "facade/facade-private.h"

#include <fcntl.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEST_URI "test:///default"
#define MIB      (G_GUINT64_CONSTANT (1) << 20)

/* Before anything asks GLib for a directory. Whoever runs the tests keeps their own files. */
static inline char *
driver_test_home (void)
{
  char *home = g_dir_make_tmp ("vms-driver-XXXXXX", NULL);
  static const char *const variables[][2] = {
    { "XDG_CONFIG_HOME", "config" },
    { "XDG_DATA_HOME", "data" },
    { "XDG_CACHE_HOME", "cache" },
    { "XDG_STATE_HOME", "state" },
  };

  g_assert_nonnull (home);
  g_setenv ("HOME", home, TRUE);
  g_unsetenv ("SANDBOX_FAULT");
  for (gsize i = 0; i < G_N_ELEMENTS (variables); i++)
    {
      g_autofree char *path = g_build_filename (home, variables[i][1], NULL);

      g_setenv (variables[i][0], path, TRUE);
    }
  return home;
}

static inline void
driver_test_remove_home (const char *home)
{
  g_autofree char *parent = g_path_get_dirname (home), *name = g_path_get_basename (home);
  sandbox_autofd int fd = g_open (parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

  g_assert_cmpint (fd, >=, 0);
  g_assert_true (sandbox_remove_at (fd, name, NULL));
}

static inline SandboxHost *
driver_test_open (const char *uri, const char *owner)
{
  SandboxHostOptions options = SANDBOX_HOST_OPTIONS_INIT;
  g_autoptr (GError) error = NULL;
  SandboxHost *host;

  options.uri = uri;
  options.owner = owner;
  options.lock_wait_usec = 5 * G_USEC_PER_SEC;
  host = sandbox_host_open (&options, NULL, &error);
  g_assert_no_error (error);
  return host;
}

/* "phase: note" lines of all reports. */
static inline void
driver_test_record (const SandboxProgress *progress, gpointer user_data)
{
  g_string_append_printf (user_data, "%s: %s\n", progress->phase, progress->note);
}

static inline SandboxMachine *
driver_test_lookup (SandboxHost *host, const char *name)
{
  g_autoptr (GError) error = NULL;
  SandboxMachine *machine = sandbox_host_lookup (host, name, NULL, &error);

  g_assert_no_error (error);
  return machine;
}

static inline SandboxPieces
driver_test_pieces (SandboxMachine *machine)
{
  g_autoptr (GError) error = NULL;
  SandboxPieces pieces;

  g_assert_true (_sandbox_machine_pieces (machine, &pieces, &error));
  g_assert_no_error (error);
  return pieces;
}

static inline void
driver_test_assert_state (SandboxMachine *machine, SandboxState state)
{
  SandboxPieces pieces = driver_test_pieces (machine);

  g_assert_cmpstr (sandbox_state_to_string (_sandbox_pieces_state (machine->host, &pieces)), ==,
                   sandbox_state_to_string (state));
}

/* No trace in libvirt and none in the state directory, the lock file included. */
static inline void
driver_test_assert_nothing (SandboxMachine *machine)
{
  SandboxPieces pieces = driver_test_pieces (machine);
  g_autofree char *lock = g_strconcat (machine->state_path, ".lock", NULL);

  g_assert_false (_sandbox_pieces_any (&pieces));
  g_assert_false (g_file_test (lock, G_FILE_TEST_EXISTS));
}

static inline void
driver_test_start (SandboxMachine *machine)
{
  g_autoptr (GError) error = NULL;
  gboolean started = sandbox_machine_start (machine, NULL, NULL, NULL, NULL, &error);

  g_assert_no_error (error);
  g_assert_true (started);
}

static inline void
driver_test_destroy (SandboxMachine *machine, gboolean remove_profile)
{
  g_autoptr (GError) error = NULL;
  gboolean done = sandbox_machine_destroy (machine, remove_profile, NULL, NULL, NULL, &error);

  g_assert_no_error (error);
  g_assert_true (done);
}

static inline void
driver_test_add_volume (SandboxHost *host, const char *name, const char *format, guint64 bytes,
                        const char *below)
{
  g_autofree char *backing =
      below != NULL ? g_strdup_printf ("<backingStore><path>%s</path><format type='qcow2'/>"
                                       "</backingStore>",
                                       below)
                    : g_strdup ("");
  g_autofree char *xml =
      g_strdup_printf ("<volume><name>%s</name><capacity>%" G_GUINT64_FORMAT
                       "</capacity><allocation>%" G_GUINT64_FORMAT
                       "</allocation><target><format type='%s'/></target>%s</volume>",
                       name, bytes, bytes, format, backing);
  g_autoptr (GError) error = NULL;

  g_assert_true (_sandbox_virt_pool_ensure (host->virt, &error));
  g_assert_true (_sandbox_virt_volume_create (host->virt, xml, NULL, &error));
  g_assert_no_error (error);
}

static inline char *
driver_test_volume_path (SandboxHost *host, const char *name)
{
  SandboxVirtVolume *volume = _sandbox_virt_volume_get (host->virt, name, NULL);
  char *path = g_strdup (volume->path);

  _sandbox_virt_volume_free (volume);
  return path;
}
