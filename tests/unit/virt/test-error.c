// SPDX-License-Identifier: LGPL-2.1-or-later
// libvirt's errors as ours: every number, the words that decide, and texts that are not meant well.

#define VIR_ENUM_SENTINELS
#include <errno.h>
#include <string.h>
#include "virt/hints.h"
#include "virt/virt-private.h"

typedef struct
{
  int code, domain, system_errno;
  const char *message;
  SandboxError error;
  const char *advice; /* part of the text; NULL: anything */
} Case;

static const Case cases[] = {
  // as libvirt 9.0 said them
  { VIR_ERR_SYSTEM_ERROR, VIR_FROM_RPC, ENOENT,
    "Failed to connect socket to '/var/run/libvirt/libvirt-sock': No such file or directory",
    SANDBOX_ERROR_HOST, "sudo " },
  { VIR_ERR_SYSTEM_ERROR, VIR_FROM_RPC, ECONNREFUSED,
    "Failed to connect socket to '/var/run/libvirt/libvirt-sock': Connection refused",
    SANDBOX_ERROR_HOST, "start libvirt" },
  { VIR_ERR_SYSTEM_ERROR, VIR_FROM_RPC, EACCES,
    "Failed to connect socket to '/var/run/libvirt/libvirt-sock': Permission denied",
    SANDBOX_ERROR_DENIED, "libvirt" },
  { VIR_ERR_AUTH_UNAVAILABLE, VIR_FROM_RPC, 0,
    "authentication unavailable: no polkit agent available to authenticate action "
    "'org.libvirt.unix.manage'",
    SANDBOX_ERROR_DENIED, "group" },
  { VIR_ERR_AUTH_FAILED, VIR_FROM_RPC, 0, "authentication failed: access denied by policy",
    SANDBOX_ERROR_DENIED, "group" },
  { VIR_ERR_INTERNAL_ERROR, VIR_FROM_NONE, 0,
    "internal error: Unable to get system bus connection: Could not connect: No such file",
    SANDBOX_ERROR_HOST, "polkit" },
  { VIR_ERR_NO_CONNECT, VIR_FROM_NONE, 0, "no connection driver available for qemu:///system",
    SANDBOX_ERROR_HOST, "driver" },
  { VIR_ERR_INTERNAL_ERROR, VIR_FROM_RPC, 0, "internal error: client socket is closed",
    SANDBOX_ERROR_HOST, "try again" },
  { VIR_ERR_SYSTEM_ERROR, VIR_FROM_RPC, EIO, "End of file while reading data: Input/output error",
    SANDBOX_ERROR_HOST, "try again" },
  { VIR_ERR_NO_DOMAIN, VIR_FROM_QEMU, 0, "Domain not found: no domain with matching name 'x'",
    SANDBOX_ERROR_NOT_FOUND, NULL },
  { VIR_ERR_OPERATION_FAILED, VIR_FROM_NONE, 0,
    "operation failed: domain 'x' already exists with uuid 1", SANDBOX_ERROR_EXISTS, "virsh" },
  { VIR_ERR_OPERATION_INVALID, VIR_FROM_QEMU, 0,
    "Requested operation is not valid: domain is not running", SANDBOX_ERROR_WRONG_STATE, NULL },
  { VIR_ERR_INTERNAL_ERROR, VIR_FROM_NETWORK, 0,
    "internal error: Network is already in use by interface eth0", SANDBOX_ERROR_IN_USE,
    "addresses" },
  { VIR_ERR_INTERNAL_ERROR, VIR_FROM_QEMU, 0,
    "internal error: qemu unexpectedly closed the monitor: qemu-system-x86_64: cannot set up guest "
    "memory 'pc.ram': Cannot allocate memory",
    SANDBOX_ERROR_HOST, "memory=" },
  { VIR_ERR_INTERNAL_ERROR, VIR_FROM_QEMU, 0,
    "internal error: process exited while connecting to monitor: Could not access KVM kernel "
    "module: Permission denied",
    SANDBOX_ERROR_HOST, "accel=" },
  { VIR_ERR_INTERNAL_ERROR, VIR_FROM_QEMU, 0,
    "internal error: qemu unexpectedly closed the monitor: something else", SANDBOX_ERROR_FAILED,
    "/var/log/libvirt/qemu" },
  { VIR_ERR_SYSTEM_ERROR, VIR_FROM_STORAGE, ENOSPC,
    "cannot write to stream: No space left on device", SANDBOX_ERROR_HOST, "make room" },
  { VIR_ERR_SYSTEM_ERROR, VIR_FROM_STORAGE, EACCES, "cannot open '/x': Permission denied",
    SANDBOX_ERROR_DENIED, "directory" },
  { VIR_ERR_SYSTEM_ERROR, VIR_FROM_STORAGE, ENOENT, "cannot open '/x': No such file or directory",
    SANDBOX_ERROR_FAILED, NULL },
  { VIR_ERR_OPERATION_FAILED, VIR_FROM_QEMU, 0,
    "operation failed: Active console session exists for this domain", SANDBOX_ERROR_BUSY,
    "close" },
  { VIR_ERR_OPERATION_FAILED, VIR_FROM_QEMU, 0, "Unable to find a satisfying virtiofsd",
    SANDBOX_ERROR_HOST, "virtiofsd" },
  { VIR_ERR_XML_INVALID_SCHEMA, VIR_FROM_NONE, 0,
    "XML document failed to validate against schema: ...", SANDBOX_ERROR_UNSUPPORTED, "report" },
  { VIR_ERR_NO_SUPPORT, VIR_FROM_TEST, 0,
    "this function is not supported by the connection driver: virStorageVolUpload",
    SANDBOX_ERROR_UNSUPPORTED, NULL },
  { VIR_ERR_OPERATION_TIMEOUT, VIR_FROM_QEMU, 0,
    "Timed out during operation: cannot acquire state change lock", SANDBOX_ERROR_TIMED_OUT,
    "another operation" },
};

static void
test_cases (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      virError why = { .code = cases[i].code,
                       .domain = cases[i].domain,
                       .int1 = cases[i].system_errno,
                       .message = (char *)cases[i].message };

      g_assert_false (_sandbox_virt_fail_with (&error, &why, "Cannot do that to work"));
      g_test_message ("%s", error->message);
      g_assert_error (error, SANDBOX_ERROR, (int)cases[i].error);
      g_assert_cmpint (_sandbox_virt_error_map (&why), ==, cases[i].error);
      g_assert_true (g_str_has_prefix (error->message, "Cannot do that to work: "));
      g_assert_nonnull (strstr (error->message, cases[i].message));
      if (cases[i].advice)
        g_assert_nonnull (strstr (error->message + strlen ("Cannot do that to work: ")
                                      + strlen (cases[i].message),
                                  cases[i].advice));
    }
}

/* Whatever libvirt says: one of our codes, one line, valid, with what was being done. */
static void
test_all_numbers (void)
{
  for (int code = 0; code < VIR_ERR_NUMBER_LAST; code++)
    for (int domain = 0; domain < VIR_ERR_DOMAIN_LAST; domain++)
      {
        g_autoptr (GError) error = NULL;
        virError why = { .code = code, .domain = domain, .message = (char *)"why not" };

        g_assert_false (_sandbox_virt_fail_with (&error, &why, "doing"));
        g_assert_true (error->domain == SANDBOX_ERROR);
        g_assert_cmpint (error->code, >=, SANDBOX_ERROR_FAILED);
        g_assert_cmpint (error->code, <=, SANDBOX_ERROR_GUEST);
        g_assert_true (g_str_has_prefix (error->message, "doing: why not"));
        g_assert_null (strchr (error->message, '\n'));
      }
}

/* Numbers with a meaning of their own must not fall through to FAILED. */
static void
test_numbers (void)
{
  static const struct
  {
    int code;
    SandboxError error;
  } numbers[] = {
    { VIR_ERR_NO_MEMORY, SANDBOX_ERROR_HOST },
    { VIR_ERR_NO_NETWORK, SANDBOX_ERROR_NOT_FOUND },
    { VIR_ERR_NO_STORAGE_POOL, SANDBOX_ERROR_NOT_FOUND },
    { VIR_ERR_NO_STORAGE_VOL, SANDBOX_ERROR_NOT_FOUND },
    { VIR_ERR_NO_NWFILTER, SANDBOX_ERROR_NOT_FOUND },
    { VIR_ERR_DEVICE_MISSING, SANDBOX_ERROR_NOT_FOUND },
    { VIR_ERR_DOM_EXIST, SANDBOX_ERROR_EXISTS },
    { VIR_ERR_NETWORK_EXIST, SANDBOX_ERROR_EXISTS },
    { VIR_ERR_STORAGE_VOL_EXIST, SANDBOX_ERROR_EXISTS },
    { VIR_ERR_OPERATION_DENIED, SANDBOX_ERROR_DENIED },
    { VIR_ERR_ACCESS_DENIED, SANDBOX_ERROR_DENIED },
    { VIR_ERR_AUTH_CANCELLED, SANDBOX_ERROR_DENIED },
    { VIR_ERR_DBUS_SERVICE, SANDBOX_ERROR_HOST },
    { VIR_ERR_RPC, SANDBOX_ERROR_HOST },
    { VIR_ERR_CONFIG_UNSUPPORTED, SANDBOX_ERROR_UNSUPPORTED },
    { VIR_ERR_ARGUMENT_UNSUPPORTED, SANDBOX_ERROR_UNSUPPORTED },
    { VIR_ERR_OPERATION_UNSUPPORTED, SANDBOX_ERROR_UNSUPPORTED },
    { VIR_ERR_XML_ERROR, SANDBOX_ERROR_UNSUPPORTED },
    { VIR_ERR_RESOURCE_BUSY, SANDBOX_ERROR_BUSY },
    { VIR_ERR_INTERNAL_ERROR, SANDBOX_ERROR_FAILED },
    { VIR_ERR_OPERATION_FAILED, SANDBOX_ERROR_FAILED },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (numbers); i++)
    {
      virError why = { .code = numbers[i].code, .message = (char *)"" };

      g_assert_cmpint (_sandbox_virt_error_map (&why), ==, numbers[i].error);
    }
}

static void
test_texts (void)
{
  g_autoptr (GString) huge = g_string_new (NULL);
  const char *texts[] = {
    NULL, "", "  \n ", "two\nlines\r\nthree", "\x1b[31mred", "\xff\xfe", "\xe2\x80\xae reversed",
    NULL
  };
  virError why = { .code = VIR_ERR_INTERNAL_ERROR };

  while (huge->len < 100000)
    g_string_append (huge, "ß\n");
  texts[G_N_ELEMENTS (texts) - 1] = huge->str;
  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (GError) error = NULL;

      why.message = (char *)texts[i];
      g_assert_false (_sandbox_virt_fail_with (&error, &why, "doing"));
      g_assert_true (g_utf8_validate (error->message, -1, NULL));
      g_assert_cmpuint (strlen (error->message), <, 1000);
      g_assert_cmpuint (strlen (error->message), >, strlen ("doing: "));
      for (const char *p = error->message; *p; p++)
        g_assert_true ((guchar)*p >= 0x20 && *p != 0x7f);
    }
  why.message = (char *)"two\nlines";
  g_assert_cmpint (_sandbox_virt_error_map (&why), ==, SANDBOX_ERROR_FAILED);
}

static void
test_no_error (void)
{
  g_autoptr (GError) error = NULL;

  virResetLastError ();
  g_assert_false (_sandbox_virt_fail (&error, "Cannot do %d things", 2));
  g_assert_cmpstr (error->message, ==, "Cannot do 2 things: libvirt gave no reason");
}

static void
test_hints (void)
{
  char *(*const hints[]) (void) = { _sandbox_hint_start, _sandbox_hint_group, _sandbox_hint_bus,
                                    _sandbox_hint_driver, _sandbox_hint_virtiofsd };
  g_autofree char *start = _sandbox_hint_start ();

  for (gsize i = 0; i < G_N_ELEMENTS (hints); i++)
    {
      g_autofree char *hint = hints[i]();

      g_assert_cmpuint (strlen (hint), >, 20);
      g_assert_true (g_utf8_validate (hint, -1, NULL));
    }
  // the command for this very host
  if (g_file_test ("/usr/sbin/libvirtd", G_FILE_TEST_IS_EXECUTABLE))
    g_assert_nonnull (strstr (start, g_file_test ("/run/systemd/system", G_FILE_TEST_IS_DIR)
                                         ? "sudo systemctl start libvirtd"
                                         : "sudo libvirtd -d"));
}

static void
test_remote (void)
{
  static const struct
  {
    const char *uri;
    gboolean remote;
  } uris[] = {
    { "qemu:///system", FALSE },
    { "qemu:///session", FALSE },
    { "qemu+unix:///system?socket=/x", FALSE },
    { "test:///default", FALSE },
    { "test:///tmp/file.xml", FALSE },
    { "qemu://host/system", TRUE },
    { "qemu+ssh://host/system", TRUE },
    { "qemu+ssh://user@host:22/system", TRUE },
    { "qemu+tls://[2001:db8::1]/system", TRUE },
    { "qemu+ssh:///system", TRUE },
    { "", FALSE },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (uris); i++)
    g_assert_cmpint (_sandbox_virt_uri_is_remote (uris[i].uri), ==, uris[i].remote);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  // no last error without it
  g_assert_cmpint (virInitialize (), ==, 0);
  g_test_add_func ("/virt/error/cases", test_cases);
  g_test_add_func ("/virt/error/all-numbers", test_all_numbers);
  g_test_add_func ("/virt/error/numbers", test_numbers);
  g_test_add_func ("/virt/error/texts", test_texts);
  g_test_add_func ("/virt/error/no-error", test_no_error);
  g_test_add_func ("/virt/error/hints", test_hints);
  g_test_add_func ("/virt/connection/remote", test_remote);
  return g_test_run ();
}
