// SPDX-License-Identifier: LGPL-2.1-or-later
// Every golden domain through libvirt's real QEMU driver, without a daemon and without starting
// anything: made into a QEMU command line, and defined and read back. The schema accepts what this
// driver refuses.
#include "../golden/cases.h"

#include "base/child.h"
#include "base/file.h"
#include "base/xml.h"
#include "xml/xml-private.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

/* The first connection asks QEMU what it can do, which takes seconds. */
#define TIMEOUT_USEC (300 * G_USEC_PER_SEC)
#define OUTPUT_MAX   (1024 * 1024)

typedef struct
{
  char *root, *uri;
  char *missing; /* why nothing can be tested here */
} Embed;

static Embed embed;

static gboolean
run_virsh (const char *const *arguments, char **ret_stdout, GError **error)
{
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;

  g_ptr_array_add (argv, (gpointer) "virsh");
  g_ptr_array_add (argv, (gpointer) "-q");
  g_ptr_array_add (argv, (gpointer) "-c");
  g_ptr_array_add (argv, embed.uri);
  for (guint i = 0; arguments[i]; i++)
    g_ptr_array_add (argv, (gpointer)arguments[i]);
  g_ptr_array_add (argv, NULL);
  options.argv = (const char *const *)argv->pdata;
  return sandbox_child_run (&options, TIMEOUT_USEC, OUTPUT_MAX, NULL, ret_stdout, NULL, NULL,
                            error);
}

static void
set_up (void)
{
  g_autofree char *etc = NULL, *conf = NULL, *virsh = g_find_program_in_path ("virsh");
  g_autofree char *qemu = g_find_program_in_path ("qemu-system-x86_64");
  g_autoptr (GError) error = NULL;

  if (geteuid () != 0)
    embed.missing = g_strdup ("needs root: the driver refuses virtiofs to an ordinary user");
  else if (!virsh || !qemu)
    embed.missing = g_strdup ("virsh or qemu-system-x86_64 is not installed");
  embed.root = g_dir_make_tmp ("embed-XXXXXX", &error);
  g_assert_no_error (error);
  embed.uri = g_strdup_printf ("qemu:///embed?root=%s", embed.root);
  etc = g_build_filename (embed.root, "etc", NULL);
  conf = g_build_filename (etc, "qemu.conf", NULL);
  g_assert_cmpint (g_mkdir (etc, 0700), ==, 0);
  /* with a user who may not open /dev/kvm, libvirt asks QEMU anew for each command */
  g_file_set_contents (conf, "user = \"root\"\ngroup = \"root\"\n", -1, &error);
  g_assert_no_error (error);
}

static void
tear_down (void)
{
  g_autofree char *parent = g_path_get_dirname (embed.root);
  g_autofree char *name = g_path_get_basename (embed.root);
  int fd = open (parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  sandbox_remove_at (fd, name, NULL);
  close (fd);
}

static gboolean
can_run (const SandboxPlan *plan)
{
  if (embed.missing)
    g_test_skip (embed.missing);
  else if (plan->accel == SANDBOX_ACCEL_KVM && !g_file_test ("/dev/kvm", G_FILE_TEST_EXISTS))
    g_test_skip ("libvirt makes no command line for KVM where there is no /dev/kvm");
  else
    return TRUE;
  return FALSE;
}

/* The domain's XML in a file; the machine type of another QEMU's facts becomes that of this host.
 */
static char *
write_domain (const SandboxPlan *plan)
{
  g_autofree char *text = _sandbox_xml_domain (plan);
  g_autoptr (GError) error = NULL;
  g_autoptr (xmlDoc) doc = sandbox_xml_parse ("domain", text, &error);
  g_autofree char *here = NULL;
  char *path = g_build_filename (embed.root, "domain.xml", NULL);

  g_assert_no_error (error);
  xmlSetProp (sandbox_xml_find (xmlDocGetRootElement (doc), "os/type"), BAD_CAST "machine",
              BAD_CAST "q35");
  here = sandbox_xml_to_string (doc);
  g_file_set_contents (path, here, -1, &error);
  g_assert_no_error (error);
  return path;
}

static void
assert_has (const char *argv, const char *part)
{
  if (!strstr (argv, part))
    g_test_fail_printf ("%s is not in %s", part, argv);
}

static void
assert_lacks (const char *argv, const char *part)
{
  if (strstr (argv, part))
    g_test_fail_printf ("%s is in %s", part, argv);
}

static guint
count (const char *text, const char *part)
{
  guint n = 0;

  for (const char *p = text; (p = strstr (p, part)); p += strlen (part))
    n++;
  return n;
}

static void
check_command_line (const SandboxPlan *plan, const char *argv)
{
  static const char *const never[] = { "usb=on",    "-usb",         "vga",        "VGA",
                                       "ich9-usb",  "qemu-xhci",    "usb-tablet", "virtio-gpu",
                                       "intel-hda", "vfio",         "ivshmem",    "spice",
                                       "vnc",       "-netdev user", "vmx=on",     "svm=on",
                                       "-monitor",  "gdb" };
  g_autofree char *seed = g_strdup_printf ("-fw_cfg name=opt/org.libsandbox/seed,file=%s/%s ",
                                           plan->pool_path, plan->seed_volume);
  g_autofree char *mac = g_strdup_printf ("\"mac\":\"%s\"", plan->mac);
  g_autofree char *cores = g_strdup_printf ("-smp %u,", plan->cpus);
  gboolean kvm = plan->accel == SANDBOX_ACCEL_KVM;

  assert_has (argv, kvm ? "-accel kvm" : "-accel tcg");
  assert_has (argv, kvm ? "-cpu host," : "-cpu qemu64,");
  assert_has (argv, kvm ? "vmx=off,svm=off" : "rdrand=on,");
  assert_has (argv, "svm=off");
  assert_has (argv, seed);
  assert_has (argv, mac);
  assert_has (argv, cores);
  (plan->memfd ? assert_has : assert_lacks) (argv, "\"qom-type\":\"memory-backend-memfd\"");
  (plan->memfd ? assert_has : assert_lacks) (argv, "\"share\":true");
  assert_has (argv, "mem-merge=off");
  assert_has (argv, "dump-guest-core=off");
  assert_has (argv, "\"driver\":\"virtio-blk-pci\"");
  assert_has (argv, "\"driver\":\"virtio-rng-pci\"");
  assert_has (argv, "\"free-page-reporting\":true");
  assert_has (argv, "-sandbox on");
  assert_has (argv, "-nodefaults");
  assert_has (argv, "-display none");
  for (guint i = 0; i < G_N_ELEMENTS (never); i++)
    assert_lacks (argv, never[i]);
  g_assert_cmpuint (count (argv, "\"driver\":\"vhost-user-fs-pci\""), ==, plan->shares->len);
  /* each device's own, and eight for shares that come later */
  g_assert_cmpuint (count (argv, "\"driver\":\"pcie-root-port\""), ==, 13 + plan->shares->len);
  for (guint i = 0; i < plan->shares->len; i++)
    {
      const SandboxPlanShare *share = g_ptr_array_index (plan->shares, i);
      g_autofree char *tag = g_strdup_printf ("\"tag\":\"%s\"", share->tag);

      assert_has (argv, tag);
    }
}

static void
test_command_line (gconstpointer data)
{
  g_autofree char *dir = golden_dir ();
  g_autoptr (GoldenCase) golden = golden_case_load (dir, data);
  g_autofree char *path = NULL, *argv = NULL;
  g_autoptr (GError) error = NULL;

  if (!can_run (golden->plan))
    return;
  /* it would want the passphrase, from a daemon that keeps secrets */
  golden->plan->encrypted = FALSE;
  path = write_domain (golden->plan);
  run_virsh ((const char *const[]){ "domxml-to-native", "qemu-argv", "--xml", path, NULL }, &argv,
             &error);
  g_assert_no_error (error);
  check_command_line (golden->plan, argv);
}

/* Define it, read it back: none of what libvirt has put in is taken for a change, nothing is lost.
 */
static void
test_read_back (gconstpointer data)
{
  g_autofree char *dir = golden_dir ();
  g_autoptr (GoldenCase) golden = golden_case_load (dir, data);
  SandboxPlan *plan = golden->plan;
  g_autofree char *path = NULL, *defined = NULL, *wanted = NULL, *changes = NULL;
  g_autoptr (SandboxDomainMeta) meta = NULL;
  g_autoptr (GError) error = NULL;

  if (!can_run (plan))
    return;
  path = write_domain (plan);
  run_virsh ((const char *const[]){ "define", "--validate", path, NULL }, NULL, &error);
  g_assert_no_error (error);
  run_virsh ((const char *const[]){ "dumpxml", "--inactive", plan->object, NULL }, &defined,
             &error);
  g_assert_no_error (error);
  run_virsh ((const char *const[]){ "undefine", plan->object, NULL }, NULL, &error);
  g_assert_no_error (error);
  meta = _sandbox_xml_read_domain (defined, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (meta->name, ==, plan->name);
  g_assert_cmpstr (meta->profile_digest, ==, plan->profile_digest);
  g_assert_cmpuint (meta->shares->len, ==, plan->shares->len);
  {
    /* the machine type is this host's: see write_domain() */
    g_autoptr (xmlDoc) doc = sandbox_xml_parse ("domain", defined, &error);

    g_free (plan->machine);
    plan->machine = sandbox_xml_dup (xmlDocGetRootElement (doc), "os/type", "machine");
  }
  wanted = _sandbox_xml_domain (plan);
  changes = _sandbox_xml_domain_changes (defined, wanted, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (changes, ==, "");
}

int
main (int argc, char **argv)
{
  g_autofree char *dir = NULL;
  g_autoptr (GPtrArray) names = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  set_up ();
  dir = golden_dir ();
  names = golden_names (dir, ".domain.xml");
  for (guint i = 0; i < names->len; i++)
    {
      const char *name = g_ptr_array_index (names, i);
      g_autoptr (GoldenCase) golden = golden_case_load (dir, name);
      g_autofree char *command_line = g_strconcat ("/embed/command-line/", name, NULL);
      g_autofree char *read_back = g_strconcat ("/embed/read-back/", name, NULL);

      g_assert_nonnull (golden->plan);
      if (g_str_equal (golden->plan->driver, "TEST") || !*golden->plan->image_id)
        continue; /* not for QEMU; nothing to boot */
      g_test_add_data_func (command_line, name, test_command_line);
      g_test_add_data_func (read_back, name, test_read_back);
    }
  status = g_test_run ();
  tear_down ();
  return status;
}
