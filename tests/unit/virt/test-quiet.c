// SPDX-License-Identifier: LGPL-2.1-or-later
// Nothing of ours is printed, and an application's own use of libvirt goes on as before.

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include "virt/virt-private.h"

#define NO_SOCKET "qemu+unix:///system?socket=/nonexistent/socket"

static guint app_errors;

static void
on_app_error (void *user_data, virErrorPtr why)
{
  app_errors++;
}

static void
fail_to_open (const char *uri, SandboxError code, const char *advice)
{
  g_autoptr (GError) error = NULL;
  SandboxVirt *virt = _sandbox_virt_open (uri, NULL, &error);

  g_assert_null (virt);
  g_assert_error (error, SANDBOX_ERROR, (int)code);
  g_assert_nonnull (strstr (error->message, uri));
  if (advice)
    g_assert_nonnull (strstr (error->message, advice));
}

static void
child_silent (void)
{
  fail_to_open (NO_SOCKET, SANDBOX_ERROR_HOST, "start libvirt");
  fail_to_open ("foo:///system", SANDBOX_ERROR_INVALID, "qemu:///system");
  fail_to_open ("qemu:///nonsense", SANDBOX_ERROR_FAILED, NULL);
  fail_to_open (NO_SOCKET, SANDBOX_ERROR_HOST, "start libvirt");
}

static void
test_silent (void)
{
  g_test_trap_subprocess ("/virt/quiet/subprocess/silent", 0, 0);
  g_test_trap_assert_passed ();
  g_test_trap_assert_stderr ("");
}

/* Errors after opening: of a connection of ours, in any thread. */
static gpointer
fail_in_thread (gpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (_sandbox_virt_domain_xml (data, "none", FALSE, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_false (_sandbox_virt_domain_define (data, "<nonsense/>", &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_UNSUPPORTED);
  return NULL;
}

static void
child_silent_later (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxVirt) virt = _sandbox_virt_open ("test:///default", NULL, &error);

  g_assert_no_error (error);
  fail_in_thread (virt);
  g_thread_join (g_thread_new ("other", fail_in_thread, virt));
}

static void
test_silent_later (void)
{
  g_test_trap_subprocess ("/virt/quiet/subprocess/silent-later", 0, 0);
  g_test_trap_assert_passed ();
  g_test_trap_assert_stderr ("");
}

/* An application that leaves libvirt's printing as it is sees its own errors printed still. */
static void
child_app_prints (void)
{
  fail_to_open (NO_SOCKET, SANDBOX_ERROR_HOST, NULL);
  g_assert_null (virConnectOpen ("bar:///system"));
}

static void
test_app_prints (void)
{
  g_test_trap_subprocess ("/virt/quiet/subprocess/app-prints", 0, 0);
  g_test_trap_assert_passed ();
  g_test_trap_assert_stderr ("libvirt:*bar:///system*");
  g_test_trap_assert_stderr_unmatched ("*nonexistent*");
}

/* One with a function of its own keeps it, set before or after. */
static void
child_app_before (void)
{
  guint seen;

  virSetErrorFunc (NULL, on_app_error);
  fail_to_open (NO_SOCKET, SANDBOX_ERROR_HOST, NULL);
  seen = app_errors;
  g_assert_null (virConnectOpen ("bar:///system"));
  g_assert_cmpuint (app_errors, ==, seen + 1);
}

static void
test_app_before (void)
{
  g_test_trap_subprocess ("/virt/quiet/subprocess/app-before", 0, 0);
  g_test_trap_assert_passed ();
  g_test_trap_assert_stderr ("");
}

static void
child_app_after (void)
{
  fail_to_open (NO_SOCKET, SANDBOX_ERROR_HOST, NULL);
  virSetErrorFunc (NULL, on_app_error);
  g_assert_null (virConnectOpen ("bar:///system"));
  g_assert_cmpuint (app_errors, ==, 1);
  fail_to_open (NO_SOCKET, SANDBOX_ERROR_HOST, NULL);
  g_assert_null (virConnectOpen ("bar:///system"));
}

static void
test_app_after (void)
{
  g_test_trap_subprocess ("/virt/quiet/subprocess/app-after", 0, 0);
  g_test_trap_assert_passed ();
  g_test_trap_assert_stderr ("");
}

/* The descriptors of the application are what they were. */
static void
child_descriptors (void)
{
  struct stat before, after;

  g_assert_cmpint (fstat (STDERR_FILENO, &before), ==, 0);
  fail_to_open (NO_SOCKET, SANDBOX_ERROR_HOST, NULL);
  g_assert_cmpint (fstat (STDERR_FILENO, &after), ==, 0);
  g_assert_true (before.st_ino == after.st_ino && before.st_dev == after.st_dev);
  g_printerr ("heard");
}

static void
test_descriptors (void)
{
  g_test_trap_subprocess ("/virt/quiet/subprocess/descriptors", 0, 0);
  g_test_trap_assert_passed ();
  g_test_trap_assert_stderr ("heard");
}

/* A socket that only its owner may use: DENIED, with the command that helps. */
static void
child_denied (void)
{
  g_autofree char *dir = g_dir_make_tmp ("sandbox-test-virt-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (dir, "socket", NULL);
  g_autofree char *uri = g_strconcat ("qemu+unix:///system?socket=", path, NULL);
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  g_assert_cmpint (bind (fd, (struct sockaddr *)&address, sizeof address), ==, 0);
  g_assert_cmpint (listen (fd, 1), ==, 0);
  g_assert_cmpint (chmod (path, 0), ==, 0);
  g_assert_cmpint (chmod (dir, 0755), ==, 0);
  g_setenv ("XDG_CACHE_HOME", "/nonexistent", TRUE);
  if (geteuid () == 0)
    g_assert_cmpint (setresuid (65534, 65534, 0), ==, 0);
  fail_to_open (uri, SANDBOX_ERROR_DENIED, "group");
  if (getuid () == 65534)
    g_assert_cmpint (setresuid (0, 0, 0), ==, 0);
  g_unlink (path);
  g_rmdir (dir);
  close (fd);
}

static void
test_denied (void)
{
  g_test_trap_subprocess ("/virt/quiet/subprocess/denied", 0, 0);
  g_test_trap_assert_passed ();
  g_test_trap_assert_stderr ("");
}

static void
test_cancelled (void)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;

  g_cancellable_cancel (cancellable);
  g_assert_null (_sandbox_virt_open ("test:///default", cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/virt/quiet/silent", test_silent);
  g_test_add_func ("/virt/quiet/subprocess/silent", child_silent);
  g_test_add_func ("/virt/quiet/silent-later", test_silent_later);
  g_test_add_func ("/virt/quiet/subprocess/silent-later", child_silent_later);
  g_test_add_func ("/virt/quiet/app-prints", test_app_prints);
  g_test_add_func ("/virt/quiet/subprocess/app-prints", child_app_prints);
  g_test_add_func ("/virt/quiet/app-before", test_app_before);
  g_test_add_func ("/virt/quiet/subprocess/app-before", child_app_before);
  g_test_add_func ("/virt/quiet/app-after", test_app_after);
  g_test_add_func ("/virt/quiet/subprocess/app-after", child_app_after);
  g_test_add_func ("/virt/quiet/descriptors", test_descriptors);
  g_test_add_func ("/virt/quiet/subprocess/descriptors", child_descriptors);
  g_test_add_func ("/virt/quiet/denied", test_denied);
  g_test_add_func ("/virt/quiet/subprocess/denied", child_denied);
  g_test_add_func ("/virt/quiet/cancelled", test_cancelled);
  return g_test_run ();
}
