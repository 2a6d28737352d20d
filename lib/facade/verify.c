// SPDX-License-Identifier: LGPL-2.1-or-later
// The self-test of the network policy: a fresh machine of the same profile, hostile probes in it,
// listeners here, and a list of findings.
#include "config.h"
#include "facade/verify-private.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAIT_SECONDS     3
#define WAIT_SECONDS_MAX 60
/* For sending the program, and for a guest that is emulated. */
#define GUEST_USEC      (60 * G_USEC_PER_SEC)
#define PROBE_PROGRAM   "sandbox-probe"
#define PROGRAM_MAX     (16 * 1024 * 1024)
#define THROWAWAY_BYTES (G_GUINT64_CONSTANT (1) << 30)

/* One run. */
typedef struct
{
  SandboxMachine *machine, *probed; /* the second one: where the probes run */
  SandboxPlan *plan;                /* of the second one */
  SandboxVerifyOptions options;
  SandboxVerifyScene scene;
  SandboxReport report;
  GPtrArray *probes, *findings;
} Verify;

static void
verify_clear (Verify *verify)
{
  _sandbox_verify_scene_clear (&verify->scene);
  g_clear_pointer (&verify->probes, g_ptr_array_unref);
  g_clear_pointer (&verify->findings, g_ptr_array_unref);
  g_clear_pointer (&verify->plan, sandbox_plan_unref);
  g_clear_pointer (&verify->probed, sandbox_machine_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Verify, verify_clear)

static gboolean
check_options (Verify *verify, GError **error)
{
  SandboxHost *host = verify->machine->host;
  const char *name = verify->machine->name;

  if (verify->options.timeout_usec < 0
      || verify->options.timeout_usec > WAIT_SECONDS_MAX * G_USEC_PER_SEC)
    return sandbox_fail (error, SANDBOX_ERROR_INVALID,
                         "verify %s: the time for a probe is at most %d s", name, WAIT_SECONDS_MAX);
  if (_sandbox_host_is_test (host))
    return sandbox_fail (error, SANDBOX_ERROR_UNSUPPORTED,
                         "verify %s: libvirt's test driver has no guests to probe from", name);
  if (_sandbox_virt_is_remote (host->virt))
    return sandbox_fail (
        error, SANDBOX_ERROR_UNSUPPORTED,
        "verify %s: its libvirt is on another host, and only that one can see what "
        "reaches it; run it there",
        name);
  return TRUE;
}

static gboolean
add_targets (GArray *targets, const char *option, const char *const *texts, GError **error)
{
  for (const char *const *text = texts; text != NULL && *text != NULL; text++)
    if (!_sandbox_verify_target_add (targets, option, *text, error))
      return FALSE;
  return TRUE;
}

static gboolean
read_targets (Verify *verify, GError **error)
{
  SandboxVerifyScene *scene = &verify->scene;

  if (!add_targets (scene->lan, "lan", verify->options.lan, error)
      || !add_targets (scene->internet, "public", verify->options.internet, error)
      || !add_targets (scene->metadata, "metadata", verify->options.metadata, error))
    return FALSE;
  if (verify->options.lan == NULL)
    _sandbox_verify_find_gateway (scene);
  return TRUE;
}

/* A fresh one; a machine that may be hostile cannot vouch for itself. Its size does not matter. */
static gboolean
start_throwaway (Verify *verify, GCancellable *cancellable, GError **error)
{
  SandboxMachine *machine = verify->machine;
  g_autoptr (SandboxProfile) profile = _sandbox_machine_load_profile (machine, error);
  SandboxRunOptions options = SANDBOX_RUN_OPTIONS_INIT;
  guint64 memory;

  if (profile == NULL)
    return FALSE;
  memory = _sandbox_profile_values (profile)->memory_bytes;
  options.profile = machine->name;
  options.memory_bytes = memory == 0 ? THROWAWAY_BYTES : MIN (memory, THROWAWAY_BYTES);
  verify->probed = _sandbox_host_run_throwaway (machine->host, &options, TRUE, &verify->report,
                                                cancellable, error);
  return verify->probed != NULL;
}

static gboolean
find_machine (Verify *verify, GCancellable *cancellable, GError **error)
{
  g_autoptr (SandboxSsh) ssh = NULL;

  if (!verify->options.inside)
    return start_throwaway (verify, cancellable, error);
  ssh = _sandbox_machine_ready (verify->machine, cancellable, error);
  if (ssh != NULL)
    verify->probed = sandbox_machine_ref (verify->machine);
  return ssh != NULL;
}

static gboolean
parse_mac (const char *text, guint8 ret_mac[6])
{
  g_auto (GStrv) parts = g_strsplit (text, ":", 6);

  if (g_strv_length (parts) != 6)
    return FALSE;
  for (guint i = 0; i < 6; i++)
    {
      guint64 value;

      if (!g_ascii_string_to_unsigned (g_strstrip (parts[i]), 16, 0, 255, &value, NULL))
        return FALSE;
      ret_mac[i] = (guint8)value;
    }
  return TRUE;
}

/* Other machines of the caller's that run now. */
static gboolean
find_others (Verify *verify, GError **error)
{
  SandboxHost *host = verify->machine->host;
  g_autofree char *prefix = _sandbox_host_prefix (host);
  g_autoptr (GPtrArray) domains = _sandbox_virt_list_domains (host->virt, prefix, error);

  for (guint i = 0; domains != NULL && i < domains->len; i++)
    {
      const SandboxVirtDomain *domain = domains->pdata[i];
      g_autofree char *name = _sandbox_object_parse (host->uid, host->owner, domain->name);
      g_autoptr (SandboxMachine) other = NULL;
      g_autoptr (SandboxDomainMeta) meta = NULL;
      g_autofree char *xml = NULL;
      SandboxVerifyTarget target = { 0 };
      SandboxCidr subnet;

      if (name == NULL || domain->state != SANDBOX_VIRT_RUNNING
          || strcmp (name, verify->probed->name) == 0)
        continue;
      if (verify->scene.machines->len >= SANDBOX_VERIFY_TARGETS_MAX)
        {
          verify->scene.n_untried_machines++;
          continue;
        }
      other = _sandbox_machine_new (host, name);
      if (!_sandbox_machine_read_domain (other, &xml, &meta, NULL) || meta == NULL
          || meta->subnet == NULL || !sandbox_cidr_parse (meta->subnet, &subnet, NULL))
        continue;
      target.address = (subnet.address & ~(guint32)7) + 2;
      target.name = g_steal_pointer (&name);
      g_array_append_val (verify->scene.machines, target);
    }
  return domains != NULL;
}

static gboolean
set_scene (Verify *verify, GError **error)
{
  SandboxVerifyScene *scene = &verify->scene;
  const SandboxPlan *plan = verify->plan;
  g_autofree char *path = g_strdup_printf ("/sys/class/net/%s/address", plan->bridge);
  g_autofree char *text = NULL;

  scene->plan = plan;
  if (!g_file_get_contents (path, &text, NULL, error))
    {
      g_prefix_error (error, "verify %s: ", verify->machine->name);
      return FALSE;
    }
  if (!parse_mac (text, scene->gateway_mac) || !parse_mac (plan->mac, scene->own_mac))
    return sandbox_fail (error, SANDBOX_ERROR_FAILED, "verify %s: %s: no MAC address",
                         verify->machine->name, path);
  _sandbox_verify_choose_spoofs (scene);
  scene->ipv6_before = _sandbox_verify_count_ipv6 (plan->bridge);
  return _sandbox_verify_find_addresses (scene, error) && find_others (verify, error);
}

/* The program, and behind it what it reads: the guest's shell takes as many bytes for the program
 * as it is long. */
static int
make_input (const char *lines, gsize *ret_length, GError **error)
{
  const char *directory = g_getenv ("SANDBOX_LIBEXEC_DIR");
  g_autofree char *path =
      g_build_filename (directory != NULL && *directory != '\0' ? directory : SANDBOX_LIBEXECDIR,
                        PROBE_PROGRAM, NULL);
  g_autofree char *program = NULL;
  g_autoptr (GString) all = NULL;
  sandbox_autofd int fd = -1;
  int result;

  if (!g_file_get_contents (path, &program, ret_length, NULL) || *ret_length > PROGRAM_MAX)
    {
      sandbox_fail (error, SANDBOX_ERROR_HOST,
                    "verify: the program that probes from inside, %s, cannot be read; install "
                    "libsandbox again",
                    path);
      return -1;
    }
  all = g_string_new_len (program, (gssize)*ret_length);
  g_string_append (all, lines);
  fd = memfd_create ("sandbox-probe", MFD_CLOEXEC);
  if (fd < 0 || write (fd, all->str, all->len) != (gssize)all->len || lseek (fd, 0, SEEK_SET) < 0)
    {
      sandbox_fail_errno (error, errno, "verify: keeping the probes in memory");
      return -1;
    }
  result = fd;
  fd = -1;
  return result;
}

static gboolean
run_probes (Verify *verify, GCancellable *cancellable, GError **error)
{
  guint seconds =
      verify->options.timeout_usec > 0
          ? (guint)((verify->options.timeout_usec + G_USEC_PER_SEC - 1) / G_USEC_PER_SEC)
          : WAIT_SECONDS;
  g_autofree char *lines = _sandbox_verify_lines (verify->probes, verify->scene.nonce);
  g_autofree char *command = NULL, *answers = NULL;
  g_autoptr (SandboxSsh) ssh = NULL;
  gsize length = 0;
  sandbox_autofd int input = make_input (lines, &length, error);

  if (input < 0)
    return FALSE;
  ssh = _sandbox_machine_ready (verify->probed, cancellable, error);
  if (ssh == NULL)
    return FALSE;
  command = g_strdup_printf ("d=$(mktemp -d) || exit; head -c %" G_GSIZE_FORMAT
                             " >$d/p; chmod 700 $d/p; sudo -n $d/p ask %u %s; s=$?; "
                             "rm -rf $d; exit $s",
                             length, seconds, verify->plan->mac);
  answers = _sandbox_ssh_capture (ssh, command, input, SANDBOX_VERIFY_ANSWERS_MAX,
                                  GUEST_USEC + seconds * G_USEC_PER_SEC, cancellable, error);
  if (answers == NULL)
    {
      g_prefix_error (error, "verify %s: probing from inside: ", verify->machine->name);
      return FALSE;
    }
  if (!_sandbox_verify_read (verify->probes, verify->scene.nonce, answers))
    _sandbox_finding_add (verify->findings, "inside", verify->probed->name, "a list of answers",
                          SANDBOX_VERDICT_UNKNOWN,
                          "something else was among what the machine said of the probes");
  return TRUE;
}

static gboolean
has_failed (GPtrArray *findings)
{
  for (guint i = 0; i < findings->len; i++)
    if (((SandboxFinding *)findings->pdata[i])->verdict == SANDBOX_VERDICT_FAIL)
      return TRUE;
  return FALSE;
}

/* A machine that does not say what it did has done it all the same: what this host saw of it is a
 * finding. TRUE when there is one; else @failure says it all. */
static gboolean
excuse (Verify *verify, GError *failure)
{
  if (!g_error_matches (failure, SANDBOX_ERROR, SANDBOX_ERROR_GUEST)
      && !g_error_matches (failure, SANDBOX_ERROR, SANDBOX_ERROR_TIMED_OUT))
    return FALSE;
  if (!has_failed (verify->findings))
    return FALSE;
  _sandbox_finding_add (verify->findings, "inside", verify->probed->name, "a list of answers",
                        SANDBOX_VERDICT_UNKNOWN, "%s", failure->message);
  return TRUE;
}

static gboolean
probe_all (Verify *verify, GCancellable *cancellable, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (SandboxCanary) canary = _sandbox_canary_new (&verify->scene, error);
  const char *bridge = verify->plan->bridge;

  if (canary == NULL)
    return FALSE;
  verify->probes = _sandbox_verify_probes (&verify->scene);
  _sandbox_report (&verify->report, "probes", "trying from inside what is forbidden", 0, 0);
  _sandbox_canary_start (canary, &verify->scene, verify->probes, bridge);
  run_probes (verify, cancellable, &failure);
  _sandbox_canary_stop (canary);
  _sandbox_verify_look_at_neighbours (&verify->scene, verify->probes, bridge);
  _sandbox_verify_judge (verify->probes, verify->findings);
  if (failure != NULL && !excuse (verify, failure))
    {
      g_propagate_error (error, g_steal_pointer (&failure));
      return FALSE;
    }
  _sandbox_verify_judge_unasked (&verify->scene, verify->probes, verify->findings);
  return TRUE;
}

/* Of a filter that holds a machine that runs. */
static gboolean
check_filter (Verify *verify, const char *name, const char *have, const char *wanted,
              GError **error)
{
  gboolean same, closes, policy;

  if (!_sandbox_xml_same_filter (have, wanted, &same, error)
      || !_sandbox_xml_filter_closes (have, wanted, &closes, error)
      || !_sandbox_xml_same_policy (have, wanted, &policy, error))
    return FALSE;
  if (closes)
    _sandbox_finding_add (verify->findings, "filter", name, "the same", SANDBOX_VERDICT_PASS, "%s",
                          same ? "the same"
                               : "the same, but for addresses and networks that this host lost "
                                 "since the start");
  else if (policy)
    _sandbox_finding_add (verify->findings, "filter", name, "the same", SANDBOX_VERDICT_FAIL,
                          "this host got addresses or networks since the start, or the filter was "
                          "changed; with `vms start %s` it follows",
                          name);
  else
    _sandbox_finding_add (verify->findings, "filter", name, "the same", SANDBOX_VERDICT_FAIL,
                          "another one: it was changed, or the profile was after the start; `vms "
                          "restart %s` makes it anew",
                          name);
  return TRUE;
}

/* What holds a machine that runs: libvirt's definition, which is what it applies; and what leads
 * into it. */
static gboolean
check_running (Verify *verify, SandboxMachine *machine, GError **error)
{
  SandboxVirt *virt = machine->host->virt;
  g_autoptr (SandboxPlan) plan = NULL;
  g_autofree char *wanted = NULL, *have = NULL;
  SandboxPieces pieces;

  if (!_sandbox_machine_pieces (machine, &pieces, error))
    return FALSE;
  if (!_sandbox_pieces_running (&pieces))
    return TRUE;
  _sandbox_verify_check_ports (machine->state_path, machine->name, verify->findings);
  plan = sandbox_machine_plan (machine, NULL, NULL, NULL, error);
  have = plan != NULL ? _sandbox_virt_filter_xml (virt, machine->object, error) : NULL;
  if (have == NULL)
    return FALSE;
  wanted = _sandbox_xml_filter (plan);
  return check_filter (verify, machine->name, have, wanted, error);
}

static gboolean
check_host (Verify *verify, GCancellable *cancellable, GError **error)
{
  SandboxMachine *probed = verify->probed;
  SandboxVirt *virt = probed->host->virt;
  g_autofree char *model = _sandbox_virt_confinement (virt, NULL);
  g_autofree char *xml = _sandbox_virt_domain_xml (virt, probed->object, TRUE, error);

  if (xml == NULL || !check_running (verify, probed, error)
      || (probed != verify->machine && !check_running (verify, verify->machine, error)))
    return FALSE;
  _sandbox_verify_check_guard (verify->findings);
  _sandbox_verify_check_services (verify->machine, verify->findings, cancellable);
  _sandbox_verify_check_domain (xml, probed->object, model != NULL ? model : "", probed->name,
                                verify->findings);
  if (verify->options.inside)
    _sandbox_finding_add (verify->findings, "inside", probed->name, "a fresh machine",
                          SANDBOX_VERDICT_UNKNOWN,
                          "the machine itself: one that is hostile already cannot vouch for itself "
                          "(what this host has seen by itself holds)");
  return TRUE;
}

/* What @machine has of what its profile forbids. */
static gboolean
look_for_forbidden (Verify *verify, SandboxMachine *machine, GCancellable *cancellable,
                    GError **error)
{
  char *const *forbid = verify->plan->forbid;
  g_autofree char *expected =
      g_strdup_printf ("none of %u patterns", g_strv_length ((char **)forbid));
  g_autoptr (SandboxSsh) ssh = _sandbox_machine_ready (machine, cancellable, error);
  g_autoptr (GPtrArray) found = NULL;

  if (ssh == NULL)
    return FALSE;
  found = _sandbox_policy_look (machine->host, ssh, forbid, cancellable, error);
  if (found == NULL)
    return FALSE;
  for (guint i = 0; i < found->len; i++)
    _sandbox_finding_add (verify->findings, "forbidden", machine->name, expected,
                          SANDBOX_VERDICT_FAIL, "%s", (char *)found->pdata[i]);
  if (found->len == 0)
    _sandbox_finding_add (verify->findings, "forbidden", machine->name, expected,
                          SANDBOX_VERDICT_PASS, "nothing of these names, as it says itself");
  return TRUE;
}

/* A machine that does not answer is a finding, and takes the others nothing. */
static gboolean
look_or_say (Verify *verify, SandboxMachine *machine, GCancellable *cancellable, GError **error)
{
  g_autoptr (GError) local = NULL;

  if (look_for_forbidden (verify, machine, cancellable, &local))
    return TRUE;
  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return FALSE;
  _sandbox_finding_add (verify->findings, "forbidden", machine->name, "nothing",
                        SANDBOX_VERDICT_FAIL, "it could not be looked at: %s", local->message);
  return TRUE;
}

/* In the fresh machine, which shows what the profile makes, and in the machine itself, which may
 * have got more since. */
static gboolean
check_forbidden (Verify *verify, GCancellable *cancellable, GError **error)
{
  SandboxPieces pieces;

  if (*verify->plan->forbid == NULL)
    return TRUE;
  _sandbox_report (&verify->report, "forbidden", "looking for what is forbidden", 0, 0);
  if (!look_or_say (verify, verify->probed, cancellable, error))
    return FALSE;
  if (verify->probed == verify->machine)
    return TRUE;
  if (!_sandbox_machine_pieces (verify->machine, &pieces, error))
    return FALSE;
  if (_sandbox_pieces_running (&pieces) && pieces.virt_state == SANDBOX_VIRT_RUNNING)
    return look_or_say (verify, verify->machine, cancellable, error);
  if (pieces.disk)
    _sandbox_finding_add (verify->findings, "forbidden", verify->machine->name, "nothing",
                          SANDBOX_VERDICT_UNKNOWN, "it %s, so nobody can look: %s it before",
                          _sandbox_pieces_running (&pieces) ? "stands still" : "does not run",
                          _sandbox_pieces_running (&pieces) ? "resume" : "start");
  return TRUE;
}

GPtrArray *
sandbox_machine_verify (SandboxMachine *machine, const SandboxVerifyOptions *options,
                        SandboxProgressFunc progress, gpointer user_data, GCancellable *cancellable,
                        GError **error)
{
  g_auto (Verify) verify = { .machine = machine,
                             .options = SANDBOX_VERIFY_OPTIONS_INIT,
                             .report = { progress, user_data, machine->name } };

  _sandbox_verify_scene_init (&verify.scene, NULL);
  verify.findings = g_ptr_array_new_with_free_func ((GDestroyNotify)sandbox_finding_free);
  if (!_sandbox_options_copy (&verify.options, sizeof verify.options, options, error)
      || !check_options (&verify, error) || !read_targets (&verify, error)
      || !find_machine (&verify, cancellable, error))
    return NULL;
  verify.plan = sandbox_machine_plan (verify.probed, NULL, NULL, cancellable, error);
  if (verify.plan == NULL || !set_scene (&verify, error) || !probe_all (&verify, cancellable, error)
      || !check_host (&verify, cancellable, error)
      || !check_forbidden (&verify, cancellable, error))
    return NULL;
  if (!verify.options.inside)
    _sandbox_report (&verify.report, "destroy", "removing the throwaway machine", 0, 0);
  return g_steal_pointer (&verify.findings);
}
