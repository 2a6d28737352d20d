// SPDX-License-Identifier: LGPL-2.1-or-later
// Diagnosis: one line for each thing that machines, images or ssh need, with the command that mends
// it.
#include "facade/facade-private.h"

#include "base/child.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define QUICKSTART_CONFIG "/etc/libsandbox/libvirtd.conf"

/* now, and at each boot */
#define BRIDGE_FIX                                                                                 \
  "echo br_netfilter | sudo tee /etc/modules-load.d/libsandbox.conf && echo "                      \
  "net.bridge.bridge-nf-call-iptables=1 | sudo tee /etc/sysctl.d/60-libsandbox.conf && sudo "      \
  "modprobe br_netfilter && sudo sysctl net.bridge.bridge-nf-call-iptables=1"

enum
{
  GOOD,
  NOTE,
  WARNING,
  ERROR,
};

void
sandbox_check_free (SandboxCheck *check)
{
  if (check == NULL)
    return;
  g_free (check->id);
  g_free (check->text);
  g_free (check->fix);
  g_free (check);
}

static void add (GPtrArray *checks, const char *id, guint level, const char *fix,
                 const char *format, ...) G_GNUC_PRINTF (5, 6);

static void
add (GPtrArray *checks, const char *id, guint level, const char *fix, const char *format, ...)
{
  SandboxCheck *check = g_new0 (SandboxCheck, 1);
  va_list args;

  va_start (args, format);
  check->id = g_strdup (id);
  check->level = level;
  check->text = g_strdup_vprintf (format, args);
  check->fix = g_strdup (level == GOOD ? NULL : fix);
  va_end (args);
  g_ptr_array_add (checks, check);
}

/* Debian keeps some of these outside an ordinary user's PATH. */
static char *
find_program (const char *name)
{
  char *path = g_find_program_in_path (name);
  g_autofree char *sbin = NULL;

  if (path != NULL)
    return path;
  sbin = g_build_filename ("/usr/sbin", name, NULL);
  return g_file_test (sbin, G_FILE_TEST_IS_EXECUTABLE) ? g_steal_pointer (&sbin) : NULL;
}

static void
check_program (GPtrArray *checks, const char *id, const char *name, const char *package,
               guint level, const char *need)
{
  g_autofree char *path = find_program (name);
  g_autofree char *fix = g_strdup_printf ("sudo apt-get install %s", package);

  if (path != NULL)
    add (checks, id, GOOD, NULL, "%s is %s", name, path);
  else
    add (checks, id, level, fix, "%s is missing: %s", name, need);
}

static char *
user_name (void)
{
  const struct passwd *entry = getpwuid (geteuid ());

  return entry != NULL ? g_strdup (entry->pw_name) : g_strdup_printf ("%u", geteuid ());
}

static gboolean
in_group_now (gid_t gid)
{
  gid_t groups[1024];
  int n = getgroups (G_N_ELEMENTS (groups), groups);

  for (int i = 0; i < n; i++)
    if (groups[i] == gid)
      return TRUE;
  return getegid () == gid;
}

static gboolean
is_member (const struct group *group, const char *user)
{
  for (char **member = group->gr_mem; *member != NULL; member++)
    if (strcmp (*member, user) == 0)
      return TRUE;
  return FALSE;
}

static void
check_group (GPtrArray *checks)
{
  g_autofree char *user = user_name (),
                  *fix = g_strdup_printf ("sudo usermod -aG libvirt %s", user);
  const struct group *group = getgrnam ("libvirt");

  if (geteuid () == 0)
    add (checks, "group", GOOD, NULL, "you are root, no group is needed");
  else if (group == NULL)
    add (checks, "group", WARNING, "sudo apt-get install libvirt-daemon-system",
         "there is no group libvirt on this host");
  else if (in_group_now (group->gr_gid))
    add (checks, "group", GOOD, NULL,
         "%s is in group libvirt (which is as good as root on this host)", user);
  else if (is_member (group, user))
    add (checks, "group", ERROR, "newgrp libvirt",
         "%s was added to group libvirt, but this session is older: log in again", user);
  else
    add (checks, "group", WARNING, fix, "%s is not in group libvirt", user);
}

static void
check_libvirt (GPtrArray *checks, SandboxHost *host, const GError *open_error)
{
  g_autofree char *fix = NULL, *user = user_name ();
  const struct group *group = getgrnam ("libvirt");

  if (host != NULL)
    {
      add (checks, "libvirt", GOOD, NULL, "connected to %s", host->uri);
      return;
    }
  if (open_error->code == SANDBOX_ERROR_DENIED)
    fix = group != NULL && is_member (group, user)
              ? g_strdup ("newgrp libvirt")
              : g_strdup_printf ("sudo usermod -aG libvirt %s", user);
  else if (g_file_test ("/usr/sbin/libvirtd", G_FILE_TEST_EXISTS))
    fix = g_strdup (g_file_test ("/run/systemd/system", G_FILE_TEST_EXISTS)
                        ? "sudo systemctl start libvirtd"
                    : g_file_test (QUICKSTART_CONFIG, G_FILE_TEST_EXISTS)
                        ? "sudo libvirtd -d -f " QUICKSTART_CONFIG
                        : "sudo libvirtd -d");
  else
    fix = g_strdup ("sudo apt-get install libvirt-daemon-system qemu-system-x86");
  add (checks, "libvirt", ERROR, fix, "%s", open_error->message);
}

static void
check_kvm (GPtrArray *checks)
{
  g_autofree char *reason = NULL;
  gboolean usable = _sandbox_kvm_probe (&reason, NULL);

  if (usable)
    add (checks, "kvm", GOOD, NULL, "KVM is usable: %s", reason);
  else
    add (checks, "kvm", NOTE, NULL, "machines run emulated (TCG), which is slow: %s", reason);
}

/* A member of group kvm, which libvirt's QEMU is, must be able to open it; udev sees to that where
 * it runs. */
static void
check_kvm_device (GPtrArray *checks)
{
  const struct group *group = getgrnam ("kvm");
  struct stat info;

  if (stat ("/dev/kvm", &info) != 0 || group == NULL || (info.st_mode & 0006) == 0006
      || (info.st_gid == group->gr_gid && (info.st_mode & 0060) == 0060))
    return;
  add (checks, "kvm-device", WARNING, "sudo chgrp kvm /dev/kvm && sudo chmod 0660 /dev/kvm",
       "/dev/kvm is not for group kvm, so libvirt's QEMU cannot open it (and libvirt asks it "
       "slowly each time)");
}

static void
check_facts (GPtrArray *checks, SandboxHost *host)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (SandboxFacts) facts = _sandbox_virt_facts (host->virt, NULL, &local);

  if (facts == NULL)
    {
      add (checks, "qemu", ERROR, "sudo apt-get install qemu-system-x86", "%s", local->message);
      return;
    }
  if (strcmp (facts->driver, "TEST") == 0)
    {
      add (checks, "qemu", NOTE, NULL, "libvirt's test driver: nothing is started for real");
      return;
    }
  add (checks, "qemu", GOOD, NULL, "%s, version %u.%u.%u, with libvirt %u.%u.%u", facts->emulator,
       (guint)(facts->qemu_version / 1000000), (guint)(facts->qemu_version / 1000 % 1000),
       (guint)(facts->qemu_version % 1000), (guint)(facts->libvirt_version / 1000000),
       (guint)(facts->libvirt_version / 1000 % 1000), (guint)(facts->libvirt_version % 1000));
  if (facts->virtiofs && facts->memfd)
    add (checks, "virtiofsd", GOOD, NULL, "shared directories work (virtiofs with shared memory)");
  else
    add (checks, "virtiofsd", ERROR, "sudo apt-get install qemu-system-common virtiofsd",
         "this libvirt or QEMU cannot share directories (%s)",
         facts->virtiofs ? "no memfd memory" : "no virtiofs");
  if (*facts->pool_path != '\0')
    add (checks, "pool", GOOD, NULL, "storage pool \"" SANDBOX_POOL "\" is %s", facts->pool_path);
  else
    add (checks, "pool", NOTE, "vms image build",
         "there is no storage pool \"" SANDBOX_POOL "\" yet: the first image makes it");
}

static void
check_images (GPtrArray *checks, SandboxHost *host)
{
  g_auto (GStrv) ids = _sandbox_image_ids (host, NULL, NULL);
  g_auto (GStrv) recipes = sandbox_image_recipes ();
  g_autofree char *fix = g_strdup_printf ("vms image build %s", recipes[0]);

  if (_sandbox_host_is_test (host))
    return;
  if (ids != NULL && ids[0] != NULL)
    add (checks, "image", GOOD, NULL, "%u image(s), such as %s", g_strv_length (ids), ids[0]);
  else
    add (checks, "image", NOTE, fix, "no image is built yet: the first start does that");
}

static void
check_leftovers (GPtrArray *checks, SandboxHost *host, GCancellable *cancellable)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (GPtrArray) orphans =
      sandbox_host_repair (host, FALSE, NULL, NULL, cancellable, &local);

  if (orphans == NULL)
    add (checks, "leftovers", WARNING, NULL, "%s", local->message);
  else if (orphans->len > 0)
    add (checks, "leftovers", WARNING, "vms doctor --repair",
         "%u thing(s) left by interrupted commands", orphans->len);
  else
    add (checks, "leftovers", GOOD, NULL, "nothing is left by interrupted commands");
}

/* mmdebstrap as an ordinary user needs a range of ids in each of the two files. */
static void
check_subid (GPtrArray *checks)
{
  static const char *const files[] = { "/etc/subuid", "/etc/subgid" };
  g_autofree char *user = user_name (), *uid = g_strdup_printf ("%u:", geteuid ());
  g_autofree char *name = g_strconcat (user, ":", NULL);
  g_autofree char *fix = g_strdup_printf (
      "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s", user);

  if (geteuid () == 0)
    {
      add (checks, "subid", GOOD, NULL, "you are root, building images needs no subordinate ids");
      return;
    }
  check_program (checks, "uidmap", "newuidmap", "uidmap", WARNING,
                 "needed to build images as an ordinary user");
  for (gsize i = 0; i < G_N_ELEMENTS (files); i++)
    {
      g_autofree char *text = NULL;
      g_auto (GStrv) lines = NULL;
      gboolean found = FALSE;

      if (g_file_get_contents (files[i], &text, NULL, NULL))
        lines = g_strsplit (text, "\n", -1);
      for (char **line = lines; line != NULL && *line != NULL; line++)
        found |= g_str_has_prefix (*line, name) || g_str_has_prefix (*line, uid);
      if (!found)
        {
          add (checks, "subid", WARNING, fix,
               "%s has no line for %s: needed to build images as an ordinary user", files[i], user);
          return;
        }
    }
  add (checks, "subid", GOOD, NULL, "%s has subordinate ids", user);
}

/* Containers, a sysctl or AppArmor can forbid what building an image as an ordinary user needs. */
static void
check_user_namespace (GPtrArray *checks)
{
  static const char *const argv[] = { "unshare", "--user", "--map-root-user", "true", NULL };
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  g_autofree char *complaint = NULL;
  g_autofree char *shown = NULL;
  int status = 0;

  options.argv = argv;
  if (geteuid () == 0
      || !sandbox_child_run (&options, 10 * G_USEC_PER_SEC, 1000, NULL, NULL, &complaint, &status,
                             NULL)
      || status == 0)
    return;
  shown = sandbox_escape (g_strstrip (complaint), -1, 200);
  add (checks, "userns", WARNING, NULL,
       "an ordinary user cannot make a user namespace here (%s), which building images needs: look "
       "at kernel.unprivileged_userns_clone, at kernel.apparmor_restrict_unprivileged_userns, and "
       "whether this is a container or a chroot; or build images as root",
       shown);
}

/* A hole in QEMU ends there, or at the rights of QEMU's user. */
static void
check_confinement (GPtrArray *checks, SandboxHost *host)
{
  g_autofree char *model = _sandbox_virt_confinement (host->virt, NULL);

  if (model == NULL)
    return;
  if (*model != '\0')
    add (checks, "confinement", GOOD, NULL, "libvirt confines each machine with %s", model);
  else
    add (checks, "confinement", NOTE, NULL,
         "libvirt confines machines with neither AppArmor nor SELinux here: a hole in QEMU would "
         "have all rights of QEMU's user");
}

static void
check_bridge_netfilter (GPtrArray *checks)
{
  if (_sandbox_virt_bridge_filtered ())
    add (checks, "bridge-netfilter", GOOD, NULL, "the kernel filters bridged packets");
  else
    add (checks, "bridge-netfilter", ERROR, BRIDGE_FIX,
         "the kernel does not filter bridged packets: half of the machines' network filter would "
         "not work, so none is started");
}

static void
check_ssh_config (GPtrArray *checks, SandboxHost *host)
{
  g_autofree char *path = g_build_filename (host->home, ".ssh", "config", NULL), *text = NULL;
  g_autofree char *line = g_strdup_printf ("Include \"%s/ssh_config\"", host->state_dir);

  if (g_file_get_contents (path, &text, NULL, NULL) && strstr (text, line) != NULL)
    add (checks, "ssh-config", GOOD, NULL, "plain `ssh NAME` works: %s includes our file", path);
  else
    add (checks, "ssh-config", NOTE, "vms ssh-config --install",
         "plain `ssh NAME` does not know our machines");
}

static void
check_state (GPtrArray *checks, SandboxHost *host)
{
  g_autoptr (GError) local = NULL;
  sandbox_autofd int fd = _sandbox_host_state_fd (host, TRUE, &local);
  g_autofree char *fix = g_strdup_printf ("chmod 0700 '%s'", host->state_dir);

  if (fd >= 0)
    add (checks, "state", GOOD, NULL, "keys are kept in %s", host->state_dir);
  else
    add (checks, "state", ERROR, fix, "%s", local->message);
}

GPtrArray *
sandbox_host_diagnose (const SandboxHostOptions *options, GCancellable *cancellable)
{
  g_autoptr (GPtrArray) checks =
      g_ptr_array_new_with_free_func ((GDestroyNotify)sandbox_check_free);
  g_autoptr (GError) local = NULL;
  g_autoptr (SandboxHost) host = sandbox_host_open (options, cancellable, &local);

  check_libvirt (checks, host, local);
  check_group (checks);
  if (host != NULL)
    check_facts (checks, host);
  else
    check_program (checks, "qemu", "qemu-system-x86_64", "qemu-system-x86", ERROR,
                   "runs the machines");
  check_kvm (checks);
  check_kvm_device (checks);
  if (host != NULL)
    check_images (checks, host);
  check_program (checks, "ssh", "ssh", "openssh-client", ERROR, "the way into a machine");
  check_program (checks, "ssh-keygen", "ssh-keygen", "openssh-client", ERROR,
                 "makes the keys of a machine");
  check_program (checks, "mmdebstrap", "mmdebstrap", "mmdebstrap", WARNING,
                 "needed to build images");
  check_program (checks, "mke2fs", "mke2fs", "e2fsprogs", WARNING, "needed to build images");
  check_program (checks, "qemu-img", "qemu-img", "qemu-utils", WARNING, "needed to build images");
  check_subid (checks);
  check_user_namespace (checks);
  check_bridge_netfilter (checks);
  if (host != NULL)
    {
      check_confinement (checks, host);
      check_state (checks, host);
      check_ssh_config (checks, host);
      check_leftovers (checks, host, cancellable);
    }
  return g_steal_pointer (&checks);
}
