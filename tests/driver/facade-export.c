// SPDX-License-Identifier: LGPL-2.1-or-later
// Import on libvirt's test driver: what of a file's profile counts, what is refused before anything
// is made, and what a failed step leaves.
#include "facade/export.h"
#include "facade-driver.h"

#include "base/qcow2.h"

#include "../unit/disk-image.h"

#define FULL                                                                                       \
  "[profile]\ninherits=base\nsummary=x\n[machine]\nimage=debian-12\ncpus=1\nmemory=512MiB\n"       \
  "disk=8GiB\nuser=ann\naccel=kvm\nstart-on-exec=no\n[network]\nmode=nat\negress=443/tcp\n"        \
  "allow=10.0.0.5:5432/tcp\nforward=8000\nhost=11434\n[provision]\nuse=node\npackages=ripgrep\n"   \
  "setup=/tmp/x.sh\nfiles=~/.ssh/id_ed25519:~/k\nenv=A=b\n[policy]\nforbid=docker*\n"              \
  "[share:all]\nsource=~/src\ntarget=~/src\nmode=rw\n"

/* Two branches on the first; what the machine wrote to is on the second of them. */
#define ENTRY(name, layer, automatic)                                                              \
  "[" name "]\nlayer=" layer "\ncreated=1795341600000000\nautomatic=" automatic                    \
  "\nrunning=true\nnote=of " name "\n"
#define LIST                                                                                       \
  ENTRY ("one", "0", "false") "\n" ENTRY ("two", "2", "false") "\n" ENTRY ("auto-x", "1", "true")

static guint disk_gib = 1;
/* Names of what the layers of the next file stand on; NULL: it has none. */
static const char *const *layers;
static const char *list = LIST;

static void
write_layers (SandboxArchiveWriter *writer)
{
  g_assert_true (_sandbox_archive_put (writer, list, strlen (list), NULL));
  for (const char *const *below = layers; *below != NULL; below++)
    {
      g_auto (Image) image;

      make_image (&image);
      g_assert_true (sandbox_qcow2_stand_on (image.data, *below, NULL));
      g_assert_true (_sandbox_archive_put (writer, image.data, image.length, NULL));
    }
}

static char *
write_file (const char *name, const char *profile, gboolean spoil)
{
  char *path = g_build_filename (g_get_home_dir (), "file.vms", NULL);
  guint n_layers = layers != NULL ? g_strv_length ((char **)layers) : 0;
  g_autofree char *note = g_strdup_printf (
      "format=%d\nname=%s\nimage=debian-13-x\ncreated=2026-11-21T20:00:00Z\nversion=0.1.0\n",
      n_layers > 0 ? 2 : 1, name);
  int fd = g_open (path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  g_auto (SandboxArchiveWriter) writer;
  g_auto (Image) image;
  guint8 kernel[KERNEL_LENGTH];

  make_kernel (kernel);
  make_image (&image);
  put64 (&image, 24, disk_gib * GIB);
  put32 (&image, 36, disk_gib * 2);
  if (spoil)
    put64 (&image, 8, 4096);
  _sandbox_archive_writer_init (&writer, fd, n_layers);
  g_assert_true (_sandbox_archive_put (&writer, note, strlen (note), NULL));
  g_assert_true (_sandbox_archive_put (&writer, profile, strlen (profile), NULL));
  g_assert_true (_sandbox_archive_put (&writer, "quiet", 5, NULL));
  g_assert_true (_sandbox_archive_put (&writer, kernel, sizeof kernel, NULL));
  g_assert_true (_sandbox_archive_put (&writer, "initrd", 6, NULL));
  g_assert_true (_sandbox_archive_put (&writer, image.data, image.length, NULL));
  if (n_layers > 0)
    write_layers (&writer);
  g_assert_true (_sandbox_archive_finish (&writer, NULL));
  close (fd);
  return path;
}

static SandboxMachine *
import (SandboxHost *host, const char *path, const char *name, char **ret_report, GError **error)
{
  SandboxImportOptions options = SANDBOX_IMPORT_OPTIONS_INIT;

  options.name = name;
  return sandbox_host_import (host, path, &options, NULL, NULL, ret_report, NULL, error);
}

/* Nothing of it is anywhere. */
static void
assert_refused (SandboxHost *host, const char *path, const char *name, const char *message)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxMachine) machine = import (host, path, name, NULL, &error);
  g_autoptr (GPtrArray) before = NULL;

  g_assert_null (machine);
  g_assert_true (error->domain == SANDBOX_ERROR);
  if (strstr (error->message, message) == NULL)
    g_error ("\"%s\" instead of \"%s\"", error->message, message);
  before = sandbox_host_list (host, SANDBOX_LIST_DEFAULT, NULL, NULL);
  g_assert_cmpuint (before->len, ==, 0);
}

static void
test_profile (void)
{
  static const char *const left_out[] = {
    "accel=kvm", "start-on-exec=no", "allow=", "forward=8000", "host=11434", "use=node",
    "packages=", "setup=",           "files=", "env=A=b",      "share=~/src"
  };
  static const char want[] = "[profile]\ninherits=base\n[machine]\nimage=debian-12\ncpus=1\n"
                             "memory=512MiB\ndisk=8GiB\nuser=ann\n[network]\n"
                             "egress=443/tcp\n[policy]\nforbid=+docker*\n";
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autofree char *path = write_file ("old", FULL, FALSE), *report = NULL, *text = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxMachine) machine = import (host, path, "new", &report, &error);

  g_assert_no_error (error);
  driver_test_assert_state (machine, SANDBOX_STATE_STOPPED);
  text = _sandbox_profile_own_text (host, "new", NULL);
  g_assert_cmpstr (text, ==, want);
  for (gsize i = 0; i < G_N_ELEMENTS (left_out); i++)
    {
      g_autofree char *line = g_strconcat ("left out: ", left_out[i], NULL);

      if (strstr (report, line) == NULL)
        g_error ("no \"%s\" in %s", line, report);
    }
  g_assert_nonnull (strstr (report, "exported from \"old\" on 2026-11-21T20:00:00Z"));
  driver_test_start (machine);
  driver_test_destroy (machine, TRUE);
  driver_test_assert_nothing (machine);
}

/* Larger than the host, or wider than what holds here. */
static void
test_too_much (void)
{
  static const char much[] = "[profile]\ninherits=base\n[machine]\nimage=imported\ncpus=256\n"
                             "memory=4TiB\ndisk=16TiB\n";
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autofree char *path = write_file ("old", much, FALSE), *report = NULL, *text = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxMachine) machine = import (host, path, NULL, &report, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (sandbox_machine_get_name (machine), ==, "old");
  text = _sandbox_profile_own_text (host, "old", NULL);
  g_assert_cmpstr (text, ==, "[profile]\ninherits=base\n");
  g_assert_nonnull (strstr (report, "left out: memory=4TiB, too much"));
  driver_test_destroy (machine, TRUE);
}

/* Narrower than here: also where the user's defaults say where to. */
static void
test_narrower (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autofree char *dir = _sandbox_profile_user_dir (&host->profiles);
  g_autofree char *file = g_build_filename (dir, "defaults.profile", NULL);
  g_autofree char *path = write_file (
      "old", "[profile]\ninherits=base\n[network]\nmode=none\negress=\nallow=\n", FALSE);
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxMachine) machine = NULL;

  g_assert_cmpint (g_mkdir_with_parents (dir, 0700), ==, 0);
  g_assert_true (g_file_set_contents (file, "[network]\negress=443/tcp\n", -1, NULL));
  machine = import (host, path, NULL, NULL, &error);
  g_assert_no_error (error);
  text = _sandbox_profile_own_text (host, "old", NULL);
  g_assert_nonnull (strstr (text, "mode=none\negress=\nallow=\n"));
  driver_test_destroy (machine, TRUE);
  g_unlink (file);
}

/* What the user's defaults forbid stays forbidden. */
static void
test_not_wider (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autofree char *dir = _sandbox_profile_user_dir (&host->profiles);
  g_autofree char *file = g_build_filename (dir, "defaults.profile", NULL);
  g_autofree char *path = write_file (
      "old", "[profile]\ninherits=base\n[network]\nmode=nat\negress=\n[policy]\nforbid=\n", FALSE);
  g_autofree char *report = NULL, *text = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxMachine) machine = NULL;

  g_assert_cmpint (g_mkdir_with_parents (dir, 0700), ==, 0);
  g_assert_true (
      g_file_set_contents (file, "[network]\nmode=none\n[policy]\nforbid=docker*\n", -1, NULL));
  machine = import (host, path, NULL, &report, &error);
  g_assert_no_error (error);
  text = _sandbox_profile_own_text (host, "old", NULL);
  g_assert_cmpstr (text, ==, "[profile]\ninherits=base\n");
  g_assert_nonnull (strstr (report, "left out: mode=nat"));
  driver_test_destroy (machine, TRUE);
  g_unlink (file);
}

static void
test_refuses (void)
{
  static const char *const profiles[][2] = {
    { "[profile]\ninherits=work\n", "inherits one of yours" },
    { "[profile]\ninherits=base\n[machine]\nuser=root\n", "user" },
    { "[nonsense]\na=b\n", "nonsense" },
    { "\x1b[2J", "" },
    { "[profile]\ninherits=base\n[machine]\nqemu=-device\n", "qemu" },
    { "[profile]\ninherits=base\n[share:x]\nsource=/etc\ntarget=/x\n", "/etc" },
  };
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autofree char *bad = write_file ("old", "[profile]\ninherits=base\n", TRUE);
  g_autofree char *good = NULL, *link = NULL;

  assert_refused (host, bad, "new", "backing file");
  for (gsize i = 0; i < G_N_ELEMENTS (profiles); i++)
    {
      g_autofree char *path = write_file ("old", profiles[i][0], FALSE);

      assert_refused (host, path, "new", profiles[i][1]);
    }
  good = write_file ("old", "[profile]\ninherits=base\n", FALSE);
  assert_refused (host, good, "work", "a profile of that name already");
  assert_refused (host, good, "../x", "../x");
  assert_refused (host, "/dev/zero", "new", "no regular file");
  assert_refused (host, g_get_home_dir (), "new", "no regular file");
  link = g_build_filename (g_get_home_dir (), "fifo", NULL);
  g_assert_cmpint (mkfifo (link, 0600), ==, 0);
  assert_refused (host, link, "new", "no regular file");
}

/* Larger than what the base profile of this host allows, but for who says so. */
static void
test_disk_limit (void)
{
  SandboxImportOptions options = SANDBOX_IMPORT_OPTIONS_INIT;
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autofree char *dir = _sandbox_profile_user_dir (&host->profiles);
  g_autofree char *file = g_build_filename (dir, "defaults.profile", NULL);
  g_autofree char *path = NULL;
  g_autoptr (SandboxMachine) machine = NULL;
  g_autoptr (GError) error = NULL;

  disk_gib = 9;
  path = write_file ("old", "[profile]\ninherits=base\n", FALSE);
  disk_gib = 1;
  g_assert_cmpint (g_mkdir_with_parents (dir, 0700), ==, 0);
  g_assert_true (g_file_set_contents (file, "[machine]\ndisk=8GiB\n", -1, NULL));
  assert_refused (host, path, "limit", "can grow to 9.0 GiB, and no more than 8.0 GiB");
  assert_refused (host, path, "limit", "`vms import --max-disk 9`");
  options.name = "limit";
  options.max_disk_bytes = 9 * GIB;
  machine = sandbox_host_import (host, path, &options, NULL, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  driver_test_destroy (machine, TRUE);
  g_unlink (file);
}

static const char *const tree[] = { "disk.qcow2", "disk.qcow2", "layer-2.qcow2", NULL };

/* "one<of one! two<one:of two <two": "!": automatic; the last is the present state. */
static void
assert_tree (SandboxMachine *machine, const char *want)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) snapshots = sandbox_machine_snapshot_list (machine, NULL, &error);
  g_autoptr (GString) text = g_string_new (NULL);

  g_assert_no_error (error);
  for (guint i = 0; i < snapshots->len; i++)
    {
      const SandboxSnapshot *snapshot = snapshots->pdata[i];

      g_string_append_printf (text, "%s%s<%s:%s%s", i > 0 ? " " : "", snapshot->name,
                              snapshot->parent, snapshot->note, snapshot->automatic ? "!" : "");
      g_assert_true (*snapshot->name == '\0'
                     || snapshot->created_usec == G_GINT64_CONSTANT (1795341600000000));
    }
  g_assert_cmpstr (text->str, ==, want);
}

static guint
count_layers (SandboxMachine *machine)
{
  g_autoptr (GPtrArray) volumes =
      _sandbox_virt_list_volumes (machine->host->virt, machine->object, FALSE, NULL);

  return volumes->len;
}

/* Its snapshots are there, and can be gone back to. */
static void
test_layers (void)
{
  static const char want[] = "one<:of one two<one:of two <two: auto-x<one:of auto-x!";
  static const char back[] = "one<:of one two<one:of two auto-x<one:of auto-x! <auto-x:";
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autofree char *path = NULL, *report = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxMachine) machine = NULL;
  SandboxRevertOptions options = SANDBOX_REVERT_OPTIONS_INIT;

  layers = tree;
  path = write_file ("old", "[profile]\ninherits=base\n[machine]\ndisk=8GiB\n", FALSE);
  layers = NULL;
  machine = import (host, path, "new", &report, &error);
  g_assert_no_error (error);
  g_assert_nonnull (strstr (report, "with 3 snapshots\n"));
  g_assert_cmpuint (count_layers (machine), ==, 4);
  assert_tree (machine, want);
  options.snapshot = "auto-x";
  options.discard = TRUE;
  g_assert_true (sandbox_machine_revert (machine, &options, NULL, NULL, NULL, NULL, &error));
  g_assert_no_error (error);
  assert_tree (machine, back);
  driver_test_start (machine);
  driver_test_destroy (machine, TRUE);
  g_assert_cmpuint (count_layers (machine), ==, 0);
  driver_test_assert_nothing (machine);
}

/* What libvirt is told that the disk stands on. */
static void
assert_chain (SandboxMachine *machine, const char *const *volumes)
{
  g_autofree char *xml =
      _sandbox_virt_domain_xml (machine->host->virt, machine->object, FALSE, NULL);
  const char *at = xml;

  for (; *volumes != NULL; volumes++)
    {
      g_autofree char *name = g_strconcat (machine->object, *volumes, "'", NULL);

      at = strstr (at, name);
      g_assert_nonnull (at);
    }
}

/* A layer of an earlier machine of that name is there, for a copy of it: it keeps its number. */
static void
test_layers_beside (void)
{
  static const char *const chain[] = { ".4.qcow2", ".3.qcow2", ".1.qcow2", NULL };
  static const char want[] = "one<:of one two<one:of two <two: auto-x<one:of auto-x!";
  SandboxSnapshotOptions options = SANDBOX_SNAPSHOT_OPTIONS_INIT;
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxMachine) old = sandbox_host_create (host, "new", "work", NULL, NULL, &error);
  g_autoptr (SandboxMachine) copy = NULL, machine = NULL;
  g_autofree char *made = NULL, *path = NULL;

  g_assert_no_error (error);
  driver_test_start (old);
  g_assert_true (sandbox_machine_stop (old, TRUE, 0, NULL, NULL, NULL, &error));
  options.name = "first";
  made = sandbox_machine_snapshot_create (old, &options, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  copy = sandbox_machine_clone (old, "copy", NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  driver_test_destroy (old, TRUE);
  g_assert_cmpuint (count_layers (old), ==, 1);
  layers = tree;
  path = write_file ("old", "[profile]\ninherits=base\n", FALSE);
  layers = NULL;
  machine = import (host, path, "new", NULL, &error);
  g_assert_no_error (error);
  assert_tree (machine, want);
  assert_chain (machine, chain);
  driver_test_destroy (machine, TRUE);
  g_assert_cmpuint (count_layers (old), ==, 1);
  driver_test_destroy (copy, TRUE);
  g_assert_cmpuint (count_layers (old), ==, 0);
}

/* Whatever is wrong with them, before anything is made. */
static void
test_layers_refused (void)
{
  static const char *const bad[][3] = {
    { "/etc/passwd", LIST, "its backing file is \"/etc/passwd\"" },
    { "layer-1.qcow2", LIST, "its backing file is \"layer-1.qcow2\"" },
    { "disk.qcow2", LIST, "names a layer that is not in the file" },
    { "disk.qcow2", "", NULL },
    { "disk.qcow2", "x", "list of snapshots is none" },
    { "disk.qcow2", ENTRY ("a", "0", "false") "\n" ENTRY ("b", "0", "false"), "twice" },
  };
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      const char *const one[] = { bad[i][0], NULL };
      g_autoptr (SandboxMachine) machine = NULL;
      g_autofree char *path = NULL;

      layers = one;
      list = bad[i][1];
      path = write_file ("old", "[profile]\ninherits=base\n", FALSE);
      layers = NULL;
      list = LIST;
      if (bad[i][2] != NULL)
        {
          assert_refused (host, path, "new", bad[i][2]);
          continue;
        }
      machine = import (host, path, "new", NULL, NULL);
      g_assert_nonnull (machine);
      driver_test_destroy (machine, TRUE);
    }
}

static void
try_faults (const char *path, guint n_layers)
{
  for (const char *const *step = sandbox_machine_step_ids ("import"); *step != NULL; step++)
    for (guint after = 0; after < 2; after++)
      {
        g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
        g_autofree char *fault =
            g_strdup_printf ("import:%s:%s:fail", *step, after ? "after" : "before");
        g_autoptr (SandboxMachine) machine = NULL, none = NULL;
        g_autoptr (GPtrArray) machines = NULL;
        g_autoptr (GError) error = NULL;

        g_setenv ("SANDBOX_FAULT", fault, TRUE);
        none = import (host, path, "new", NULL, &error);
        g_unsetenv ("SANDBOX_FAULT");
        /* what the test driver has no step for */
        if (none != NULL)
          {
            g_assert_true (g_str_equal (*step, "image") || g_str_equal (*step, "keys")
                           || g_str_equal (*step, "manifest"));
            driver_test_destroy (none, TRUE);
            continue;
          }
        machines = sandbox_host_list (host, SANDBOX_LIST_DEFAULT, NULL, NULL);
        g_assert_cmpuint (machines->len, ==, 0);
        g_clear_error (&error);
        machine = import (host, path, "new", NULL, &error);
        g_assert_no_error (error);
        g_assert_cmpuint (count_layers (machine), ==, n_layers);
        driver_test_destroy (machine, TRUE);
        driver_test_assert_nothing (machine);
      }
}

static void
test_faults (void)
{
  g_autofree char *flat = write_file ("old", FULL, FALSE), *layered = NULL;

  try_faults (flat, 1);
  layers = tree;
  layered = write_file ("old", FULL, FALSE);
  layers = NULL;
  try_faults (layered, 4);
}

static void
test_export_refuses (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxMachine) machine = sandbox_host_create (host, "out", "work", NULL, NULL, NULL);
  g_autofree char *path = g_build_filename (g_get_home_dir (), "out.vms", NULL);

  g_assert_false (sandbox_machine_export (machine, path, NULL, NULL, NULL, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_WRONG_STATE);
  g_clear_error (&error);
  driver_test_start (machine);
  g_assert_false (sandbox_machine_export (machine, "/", NULL, NULL, NULL, NULL, &error));
  g_clear_error (&error);
  g_assert_true (g_file_set_contents (path, "x", -1, NULL));
  g_assert_false (sandbox_machine_export (machine, path, NULL, NULL, NULL, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_EXISTS);
  g_clear_error (&error);
  g_unlink (path);
  g_assert_false (sandbox_machine_export (machine, path, NULL, NULL, NULL, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_UNSUPPORTED);
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
  driver_test_destroy (machine, TRUE);
}

int
main (int argc, char **argv)
{
  g_autofree char *home = driver_test_home ();
  int result;

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/export/profile", test_profile);
  g_test_add_func ("/export/too-much", test_too_much);
  g_test_add_func ("/export/narrower", test_narrower);
  g_test_add_func ("/export/not-wider", test_not_wider);
  g_test_add_func ("/export/refuses", test_refuses);
  g_test_add_func ("/export/disk-limit", test_disk_limit);
  g_test_add_func ("/export/layers", test_layers);
  g_test_add_func ("/export/layers-beside", test_layers_beside);
  g_test_add_func ("/export/layers-refused", test_layers_refused);
  g_test_add_func ("/export/faults", test_faults);
  g_test_add_func ("/export/export-refuses", test_export_refuses);
  result = g_test_run ();
  driver_test_remove_home (home);
  return result;
}
