// SPDX-License-Identifier: LGPL-2.1-or-later
// libvirt's errors as ours: the one place that knows libvirt's numbers.
//
// What counts is what a caller can do. Three things decide, in this order: words in the message
// (libvirt has one number, INTERNAL_ERROR, for most of what QEMU and the kernel refuse), the
// system's errno where libvirt passes it on, and the number.

#include <errno.h>
#include <string.h>
#include "base/names.h"
#include "virt/hints.h"
#include "virt/virt-private.h"

#define TEXT_MAX 600

#define HINT_MEMORY                                                                                \
  "free some memory on the host, or give the machine less of it (memory= in its profile)"
#define HINT_SPACE "make room on the file system of the storage pool (df -h " SANDBOX_POOL_PATH ")"
#define HINT_XML                                                                                   \
  "this libvirt does not take what this version of libsandbox writes: please report it, with "     \
  "both "                                                                                          \
  "versions (vms version)"
#define HINT_LOST  "it may have been restarted: try again"
#define HINT_LOG   "what QEMU itself said is in /var/log/libvirt/qemu/"
#define HINT_AGAIN "another operation works on it: try again in a moment"

typedef enum
{
  ADVICE_TEXT,
  ADVICE_START,
  ADVICE_GROUP,
  ADVICE_BUS,
  ADVICE_DRIVER,
  ADVICE_VIRTIOFSD,
} Advice;

typedef struct
{
  int code;         /* virErrorNumber */
  const char *part; /* of the message, for those that are found by their words */
  SandboxError error;
  Advice advice;
  const char *hint; /* of ADVICE_TEXT; NULL: none */
} Rule;

static const Rule word_rules[] = {
  { 0, "system bus", SANDBOX_ERROR_HOST, ADVICE_BUS },
  { 0, "user runtime directory", SANDBOX_ERROR_DENIED, ADVICE_TEXT,
    "HOME or XDG_RUNTIME_DIR is a directory of somebody else" },
  { 0, "Cannot allocate memory", SANDBOX_ERROR_HOST, ADVICE_TEXT, HINT_MEMORY },
  { 0, "cannot set up guest memory", SANDBOX_ERROR_HOST, ADVICE_TEXT, HINT_MEMORY },
  { 0, "No space left on device", SANDBOX_ERROR_HOST, ADVICE_TEXT, HINT_SPACE },
  { 0, "KVM kernel module", SANDBOX_ERROR_HOST, ADVICE_TEXT,
    "KVM does not work here: set accel=auto or accel=tcg in the profile (vms doctor says more)" },
  { 0, "failed to initialize kvm", SANDBOX_ERROR_HOST, ADVICE_TEXT,
    "KVM does not work here: set accel=auto or accel=tcg in the profile (vms doctor says more)" },
  { 0, "unable to find any emulator", SANDBOX_ERROR_HOST, ADVICE_DRIVER },
  { 0, "virtiofsd", SANDBOX_ERROR_HOST, ADVICE_VIRTIOFSD },
  /* which libvirt makes with its first dnsmasq only, and wants for every network */
  { 0, "Failed to create file '" SANDBOX_NETWORKS_PATH, SANDBOX_ERROR_HOST, ADVICE_TEXT,
    "libvirt's directory for its networks is missing: sudo mkdir " SANDBOX_NETWORKS_PATH },
  { 0, "already in use by interface", SANDBOX_ERROR_IN_USE, ADVICE_TEXT,
    "another network of the host has these addresses: start again to be given others" },
  { 0, "failed to create listening socket", SANDBOX_ERROR_IN_USE, ADVICE_TEXT,
    "another network of the host has these addresses: start again to be given others" },
  { 0, "already exists with uuid", SANDBOX_ERROR_EXISTS, ADVICE_TEXT,
    "it was not made by this program: rename or remove it with virsh" },
  { 0, "is already defined with uuid", SANDBOX_ERROR_EXISTS, ADVICE_TEXT,
    "it was not made by this program: rename or remove it with virsh" },
  { 0, "already exists", SANDBOX_ERROR_EXISTS, ADVICE_TEXT, NULL },
  { 0, "Storage source conflict with pool", SANDBOX_ERROR_EXISTS, ADVICE_TEXT,
    "another storage pool has that directory: remove it with `virsh pool-destroy` and "
    "`virsh pool-undefine`" },
  { 0, "cannot find character device", SANDBOX_ERROR_NOT_FOUND, ADVICE_TEXT, NULL },
  { 0, "unexpectedly closed the monitor", SANDBOX_ERROR_FAILED, ADVICE_TEXT, HINT_LOG },
  { 0, "exited while connecting to monitor", SANDBOX_ERROR_FAILED, ADVICE_TEXT, HINT_LOG },
  { 0, "Active console session exists", SANDBOX_ERROR_BUSY, ADVICE_TEXT,
    "close the other console first" },
  { 0, "asynchronous jobs running", SANDBOX_ERROR_BUSY, ADVICE_TEXT, HINT_AGAIN },
  { 0, "is still being allocated", SANDBOX_ERROR_BUSY, ADVICE_TEXT, HINT_AGAIN },
  { 0, "is still in use", SANDBOX_ERROR_BUSY, ADVICE_TEXT, HINT_AGAIN },
};

static const Rule code_rules[] = {
  { VIR_ERR_NO_MEMORY, NULL, SANDBOX_ERROR_HOST, ADVICE_TEXT, HINT_MEMORY },
  { VIR_ERR_NO_SUPPORT, NULL, SANDBOX_ERROR_UNSUPPORTED },
  { VIR_ERR_UNKNOWN_HOST, NULL, SANDBOX_ERROR_HOST, ADVICE_TEXT,
    "check the host's name in the connection URI" },
  { VIR_ERR_NO_CONNECT, NULL, SANDBOX_ERROR_HOST, ADVICE_DRIVER },
  { VIR_ERR_XML_ERROR, NULL, SANDBOX_ERROR_UNSUPPORTED, ADVICE_TEXT, HINT_XML },
  { VIR_ERR_XML_DETAIL, NULL, SANDBOX_ERROR_UNSUPPORTED, ADVICE_TEXT, HINT_XML },
  { VIR_ERR_XML_INVALID_SCHEMA, NULL, SANDBOX_ERROR_UNSUPPORTED, ADVICE_TEXT, HINT_XML },
  { VIR_ERR_DOM_EXIST, NULL, SANDBOX_ERROR_EXISTS },
  { VIR_ERR_NETWORK_EXIST, NULL, SANDBOX_ERROR_EXISTS },
  { VIR_ERR_STORAGE_VOL_EXIST, NULL, SANDBOX_ERROR_EXISTS },
  { VIR_ERR_NETWORK_PORT_EXIST, NULL, SANDBOX_ERROR_EXISTS },
  { VIR_ERR_OPERATION_DENIED, NULL, SANDBOX_ERROR_DENIED, ADVICE_GROUP },
  { VIR_ERR_ACCESS_DENIED, NULL, SANDBOX_ERROR_DENIED, ADVICE_GROUP },
  { VIR_ERR_AUTH_FAILED, NULL, SANDBOX_ERROR_DENIED, ADVICE_GROUP },
  { VIR_ERR_AUTH_CANCELLED, NULL, SANDBOX_ERROR_DENIED, ADVICE_GROUP },
  { VIR_ERR_AUTH_UNAVAILABLE, NULL, SANDBOX_ERROR_DENIED, ADVICE_GROUP },
  { VIR_ERR_DBUS_SERVICE, NULL, SANDBOX_ERROR_HOST, ADVICE_BUS },
  { VIR_ERR_RPC, NULL, SANDBOX_ERROR_HOST, ADVICE_TEXT, HINT_LOST },
  { VIR_ERR_GNUTLS_ERROR, NULL, SANDBOX_ERROR_HOST },
  { VIR_ERR_SSH, NULL, SANDBOX_ERROR_HOST, ADVICE_TEXT, "check that plain ssh to that host works" },
  { VIR_ERR_LIBSSH, NULL, SANDBOX_ERROR_HOST, ADVICE_TEXT,
    "check that plain ssh to that host works" },
  { VIR_ERR_NO_DOMAIN, NULL, SANDBOX_ERROR_NOT_FOUND },
  { VIR_ERR_NO_NETWORK, NULL, SANDBOX_ERROR_NOT_FOUND },
  { VIR_ERR_NO_STORAGE_POOL, NULL, SANDBOX_ERROR_NOT_FOUND },
  { VIR_ERR_NO_STORAGE_VOL, NULL, SANDBOX_ERROR_NOT_FOUND },
  { VIR_ERR_NO_NODE_DEVICE, NULL, SANDBOX_ERROR_NOT_FOUND },
  { VIR_ERR_NO_INTERFACE, NULL, SANDBOX_ERROR_NOT_FOUND },
  { VIR_ERR_NO_NWFILTER, NULL, SANDBOX_ERROR_NOT_FOUND },
  { VIR_ERR_NO_NWFILTER_BINDING, NULL, SANDBOX_ERROR_NOT_FOUND },
  { VIR_ERR_NO_SECRET, NULL, SANDBOX_ERROR_NOT_FOUND },
  { VIR_ERR_NO_DOMAIN_SNAPSHOT, NULL, SANDBOX_ERROR_NOT_FOUND },
  { VIR_ERR_NO_DOMAIN_METADATA, NULL, SANDBOX_ERROR_NOT_FOUND },
  { VIR_ERR_NO_DOMAIN_CHECKPOINT, NULL, SANDBOX_ERROR_NOT_FOUND },
  { VIR_ERR_NO_DOMAIN_BACKUP, NULL, SANDBOX_ERROR_NOT_FOUND },
  { VIR_ERR_NO_NETWORK_PORT, NULL, SANDBOX_ERROR_NOT_FOUND },
  { VIR_ERR_DEVICE_MISSING, NULL, SANDBOX_ERROR_NOT_FOUND },
  { VIR_ERR_OPERATION_INVALID, NULL, SANDBOX_ERROR_WRONG_STATE },
  { VIR_ERR_CONFIG_UNSUPPORTED, NULL, SANDBOX_ERROR_UNSUPPORTED },
  { VIR_ERR_ARGUMENT_UNSUPPORTED, NULL, SANDBOX_ERROR_UNSUPPORTED },
  { VIR_ERR_OPERATION_UNSUPPORTED, NULL, SANDBOX_ERROR_UNSUPPORTED },
  { VIR_ERR_CPU_INCOMPATIBLE, NULL, SANDBOX_ERROR_HOST, ADVICE_TEXT,
    "the host's processor lacks something: set accel=tcg in the profile" },
  { VIR_ERR_OPERATION_TIMEOUT, NULL, SANDBOX_ERROR_TIMED_OUT, ADVICE_TEXT, HINT_AGAIN },
  { VIR_ERR_AGENT_UNRESPONSIVE, NULL, SANDBOX_ERROR_GUEST },
  { VIR_ERR_RESOURCE_BUSY, NULL, SANDBOX_ERROR_BUSY, ADVICE_TEXT, HINT_AGAIN },
  { VIR_ERR_BLOCK_COPY_ACTIVE, NULL, SANDBOX_ERROR_BUSY, ADVICE_TEXT, HINT_AGAIN },
};

static const Rule rule_stopped = { 0, NULL, SANDBOX_ERROR_HOST, ADVICE_START };
static const Rule rule_locked = { 0, NULL, SANDBOX_ERROR_DENIED, ADVICE_GROUP };
static const Rule rule_lost = { 0, NULL, SANDBOX_ERROR_HOST, ADVICE_TEXT, HINT_LOST };
static const Rule rule_denied = { 0, NULL, SANDBOX_ERROR_DENIED, ADVICE_TEXT,
                                  "check who may read and write that file, and every directory "
                                  "above it" };
static const Rule rule_other = { 0, NULL, SANDBOX_ERROR_FAILED, ADVICE_TEXT, NULL };

/* Trouble between us and the daemon. */
static const Rule *
find_transport_rule (virErrorPtr why)
{
  if (why->domain != VIR_FROM_RPC && why->domain != VIR_FROM_REMOTE)
    return NULL;
  if (why->code == VIR_ERR_INTERNAL_ERROR)
    return &rule_lost;
  if (why->code != VIR_ERR_SYSTEM_ERROR)
    return NULL;
  if (why->int1 == ENOENT || why->int1 == ECONNREFUSED)
    return &rule_stopped;
  if (why->int1 == EACCES || why->int1 == EPERM)
    return &rule_locked;
  return &rule_lost;
}

static const Rule *
find_rule (virErrorPtr why)
{
  const char *text = why->message ? why->message : "";
  const Rule *transport = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (word_rules); i++)
    if (strstr (text, word_rules[i].part))
      return &word_rules[i];
  transport = find_transport_rule (why);
  if (transport)
    return transport;
  if (why->code == VIR_ERR_SYSTEM_ERROR && (why->int1 == EACCES || why->int1 == EPERM))
    return &rule_denied;
  for (gsize i = 0; i < G_N_ELEMENTS (code_rules); i++)
    if (code_rules[i].code == why->code)
      return &code_rules[i];
  return &rule_other;
}

SandboxError
_sandbox_virt_error_map (virErrorPtr why)
{
  return find_rule (why)->error;
}

static char *
rule_hint (const Rule *rule)
{
  switch (rule->advice)
    {
    case ADVICE_START:
      return _sandbox_hint_start ();
    case ADVICE_GROUP:
      return _sandbox_hint_group ();
    case ADVICE_BUS:
      return _sandbox_hint_bus ();
    case ADVICE_DRIVER:
      return _sandbox_hint_driver ();
    case ADVICE_VIRTIOFSD:
      return _sandbox_hint_virtiofsd ();
    case ADVICE_TEXT:
    default:
      return g_strdup (rule->hint);
    }
}

char *
_sandbox_virt_error_text (const char *text)
{
  g_autofree char *copy = g_strdup (text ? text : "");
  g_auto (GStrv) lines = NULL;
  g_autofree char *joined = NULL;

  g_strstrip (copy);
  if (!*copy)
    return g_strdup ("libvirt gave no reason");
  lines = g_strsplit_set (copy, "\r\n", -1);
  for (gsize i = 0; lines[i]; i++)
    g_strstrip (lines[i]);
  joined = g_strjoinv (" ", lines);
  return sandbox_escape (joined, -1, TEXT_MAX);
}

gboolean
_sandbox_virt_fail_with (GError **error, virErrorPtr why, const char *doing)
{
  virError none = { .code = VIR_ERR_INTERNAL_ERROR };
  const Rule *rule = find_rule (why ? why : &none);
  g_autofree char *text = _sandbox_virt_error_text (why ? why->message : NULL);
  g_autofree char *hint = rule_hint (rule);

  if (!hint)
    return sandbox_fail (error, rule->error, "%s: %s", doing, text);
  return sandbox_fail (error, rule->error, "%s: %s; %s", doing, text, hint);
}

gboolean
_sandbox_virt_fail (GError **error, const char *format, ...)
{
  g_autofree char *doing = NULL;
  va_list args;

  va_start (args, format);
  doing = g_strdup_vprintf (format, args);
  va_end (args);
  return _sandbox_virt_fail_with (error, virGetLastError (), doing);
}
