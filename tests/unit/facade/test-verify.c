// SPDX-License-Identifier: LGPL-2.1-or-later
// The self-test's pure parts: which probes a plan makes, what a hostile guest may say of them, and
// what follows.
#include <string.h>

#include "../plan/support.h"
#include "facade/verify-private.h"

#define LAN     "192.168.7.2"
#define HOST    "192.168.7.5"
#define PUBLIC  "198.51.100.7"
#define GATEWAY 1

typedef struct
{
  SandboxPlan *plan;
  SandboxVerifyScene scene;
  GPtrArray *probes, *findings;
} Fixture;

static guint32
address_of (const char *text)
{
  SandboxCidr cidr;

  g_assert_true (sandbox_cidr_parse (text, &cidr, NULL));
  return cidr.address;
}

static void
fixture_init (Fixture *fixture, const char *network)
{
  g_autofree char *text = g_strconcat ("[network]\n", network, NULL);
  guint32 host = address_of (HOST);
  g_autoptr (GError) error = NULL;

  fixture->plan = support_plan (text);
  _sandbox_verify_scene_init (&fixture->scene, fixture->plan);
  fixture->scene.canary_port = 40022;
  fixture->scene.raw_canary = TRUE;
  fixture->scene.spoofed_address = fixture->plan->subnet.address + 3;
  fixture->scene.spoofed_arp = fixture->plan->subnet.address + 4;
  g_array_append_val (fixture->scene.host_addresses, host);
  _sandbox_verify_target_add (fixture->scene.lan, "lan", LAN, &error);
  _sandbox_verify_target_add (fixture->scene.internet, "public", PUBLIC, &error);
  g_assert_no_error (error);
  fixture->probes = _sandbox_verify_probes (&fixture->scene);
  fixture->findings = g_ptr_array_new_with_free_func ((GDestroyNotify)sandbox_finding_free);
}

static void
fixture_clear (Fixture *fixture)
{
  g_ptr_array_unref (fixture->probes);
  g_ptr_array_unref (fixture->findings);
  _sandbox_verify_scene_clear (&fixture->scene);
  sandbox_plan_unref (fixture->plan);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Fixture, fixture_clear)

static SandboxProbe *
find_probe (Fixture *fixture, SandboxProbeKind kind, guint32 address, guint port)
{
  for (guint i = 0; i < fixture->probes->len; i++)
    {
      SandboxProbe *probe = fixture->probes->pdata[i];

      if (probe->kind == kind && probe->address == address && (port == 0 || probe->port == port))
        return probe;
    }
  return NULL;
}

static gboolean
expects (Fixture *fixture, SandboxProbeKind kind, const char *address, guint port)
{
  const SandboxProbe *probe = find_probe (fixture, kind, address_of (address), port);

  g_assert_nonnull (probe);
  return probe->allowed;
}

/* Judged again from the beginning. */
static SandboxVerdict
verdict (Fixture *fixture, const char *id, const char *target, const char *expected)
{
  g_ptr_array_set_size (fixture->findings, 0);
  _sandbox_verify_judge (fixture->probes, fixture->findings);
  for (guint i = 0; i < fixture->findings->len; i++)
    {
      const SandboxFinding *finding = fixture->findings->pdata[i];

      if (strcmp (finding->id, id) == 0 && (target == NULL || strcmp (finding->target, target) == 0)
          && g_str_has_prefix (finding->expected, expected))
        return finding->verdict;
    }
  g_assert_not_reached ();
}

/* What a machine says that the filter holds, and what is there answers. */
static char *
sound_answers (Fixture *fixture)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < fixture->probes->len; i++)
    {
      const SandboxProbe *probe = fixture->probes->pdata[i];
      const char *answer = probe->kind == SANDBOX_PROBE_FRAME ? "sent"
                           : !probe->allowed                  ? "silent"
                           : probe->kind == SANDBOX_PROBE_TCP ? "open"
                                                              : "answer";

      g_string_append_printf (text, "%s-%u %s\n", fixture->scene.nonce, i, answer);
    }
  g_string_append_printf (text, "done %u\n", fixture->probes->len);
  return g_string_free (text, FALSE);
}

static void
read_sound (Fixture *fixture)
{
  g_autofree char *text = sound_answers (fixture);

  g_assert_true (_sandbox_verify_read (fixture->probes, fixture->scene.nonce, text));
  for (guint i = 0; i < fixture->probes->len; i++)
    ((SandboxProbe *)fixture->probes->pdata[i])->control = TRUE;
}

/* One source of what is expected: the flows of the plan. */
static void
test_expected (void)
{
  g_auto (Fixture) nat = { 0 }, lists = { 0 }, none = { 0 };
  g_autofree char *gateway = NULL;

  fixture_init (&nat, "mode=nat\n");
  fixture_init (&lists, "mode=nat\negress=443/tcp\nallow=" LAN ":8080-8082/tcp\n");
  fixture_init (&none, "mode=none\n");
  gateway = sandbox_address_format (nat.plan->subnet.address + GATEWAY);
  g_assert_true (expects (&nat, SANDBOX_PROBE_DNS_UDP, gateway, 0));
  g_assert_false (expects (&none, SANDBOX_PROBE_DNS_UDP, gateway, 0));
  g_assert_false (expects (&nat, SANDBOX_PROBE_TCP, gateway, 40022));
  g_assert_false (expects (&nat, SANDBOX_PROBE_TCP, HOST, 40022));
  g_assert_false (expects (&nat, SANDBOX_PROBE_TCP, LAN, 80));
  g_assert_true (expects (&nat, SANDBOX_PROBE_TCP, PUBLIC, 443));
  g_assert_true (expects (&nat, SANDBOX_PROBE_PING, PUBLIC, 0));
  g_assert_false (expects (&none, SANDBOX_PROBE_TCP, PUBLIC, 443));
  g_assert_false (expects (&lists, SANDBOX_PROBE_PING, PUBLIC, 0));
  g_assert_true (expects (&lists, SANDBOX_PROBE_TCP, LAN, 8080));
  g_assert_false (expects (&lists, SANDBOX_PROBE_TCP, LAN, 8083));
  for (guint i = 0; i < nat.probes->len; i++)
    {
      const SandboxProbe *probe = nat.probes->pdata[i];

      g_assert_true (probe->kind != SANDBOX_PROBE_FRAME || !probe->allowed);
      g_assert_nonnull (_sandbox_verify_property (probe->property));
    }
}

/* The program has places for so many; each line says one probe. */
static void
test_lines (void)
{
  g_auto (Fixture) fixture = { 0 };
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;

  fixture_init (&fixture, "mode=nat\n");
  text = _sandbox_verify_lines (fixture.probes, fixture.scene.nonce);
  lines = g_strsplit (text, "\n", -1);
  g_assert_cmpuint (g_strv_length (lines), ==, fixture.probes->len + 1);
  g_assert_cmpuint (fixture.probes->len, <, 200);
  for (guint i = 0; i < fixture.probes->len; i++)
    g_assert_cmpint (
        _sandbox_verify_number (lines[i], strlen (lines[i]), fixture.scene.nonce, 1000), ==, i);
}

static guint
sum_of (const guint8 *data, gsize length)
{
  guint32 sum = 0;

  for (gsize i = 0; i + 1 < length; i += 2)
    sum += (guint32)data[i] << 8 | data[i + 1];
  while (sum >> 16)
    sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

/* A frame with a wrong sum is dropped by the host's kernel, whatever the filter does: then nothing
 * would be proved. */
static void
test_frames (void)
{
  g_auto (Fixture) fixture = { 0 };
  guint ip = 0;

  fixture_init (&fixture, "mode=nat\n");
  for (guint i = 0; i < fixture.probes->len; i++)
    {
      const SandboxProbe *probe = fixture.probes->pdata[i];
      gsize length = 0;
      const guint8 *data = probe->frame != NULL ? g_bytes_get_data (probe->frame, &length) : NULL;

      if (data == NULL)
        continue;
      g_assert_cmpuint (length, >=, 14 + 20);
      g_assert_cmpuint (length, <, 300);
      if (data[12] != 8 || data[13] != 0)
        continue;
      ip++;
      g_assert_cmpuint (data[14 + 2] << 8 | data[14 + 3], ==, length - 14);
      g_assert_cmpuint (sum_of (data + 14, 20), ==, 0xffff);
    }
  g_assert_cmpuint (ip, >, 30);
}

static void
test_sound (void)
{
  g_auto (Fixture) fixture = { 0 };

  fixture_init (&fixture, "mode=nat\nallow=" LAN ":8080/tcp\n");
  read_sound (&fixture);
  _sandbox_verify_judge (fixture.probes, fixture.findings);
  g_assert_cmpuint (fixture.findings->len, >, 15);
  for (guint i = 0; i < fixture.findings->len; i++)
    g_assert_cmpint (((SandboxFinding *)fixture.findings->pdata[i])->verdict, ==,
                     SANDBOX_VERDICT_PASS);
  g_assert_cmpint (verdict (&fixture, "lan", LAN, "open: tcp 8080"), ==, SANDBOX_VERDICT_PASS);
}

/* What the host hears counts, whatever the guest says; what answers the guest counts, too. */
static void
test_holes (void)
{
  static const SandboxAnswer answers[] = { SANDBOX_ANSWER_OPEN, SANDBOX_ANSWER_ANSWER,
                                           SANDBOX_ANSWER_REFUSED };
  g_auto (Fixture) fixture = { 0 };
  SandboxProbe *host, *lan;

  fixture_init (&fixture, "mode=nat\n");
  read_sound (&fixture);
  host = find_probe (&fixture, SANDBOX_PROBE_UDP, address_of (HOST), 40022);
  host->seen = TRUE;
  g_assert_cmpint (verdict (&fixture, "host-addresses", HOST, "closed"), ==, SANDBOX_VERDICT_FAIL);
  lan = find_probe (&fixture, SANDBOX_PROBE_TCP, address_of (LAN), 80);
  for (gsize i = 0; i < G_N_ELEMENTS (answers); i++)
    {
      lan->answer = answers[i];
      g_assert_cmpint (verdict (&fixture, "lan", LAN, "closed"), ==, SANDBOX_VERDICT_FAIL);
    }
  for (guint i = 0; i < fixture.probes->len; i++)
    {
      SandboxProbe *probe = fixture.probes->pdata[i];

      if (probe->kind == SANDBOX_PROBE_FRAME || probe->kind == SANDBOX_PROBE_LISTEN)
        {
          probe->seen = TRUE;
          g_assert_cmpint (verdict (&fixture, probe->property, probe->target, "closed"), ==,
                           SANDBOX_VERDICT_FAIL);
        }
    }
}

/* Silence of somebody who is silent to everybody proves nothing; what was not said neither. */
static void
test_unknown (void)
{
  g_auto (Fixture) fixture = { 0 };
  SandboxProbe *probe;

  fixture_init (&fixture, "mode=nat\n");
  g_assert_cmpint (verdict (&fixture, "host-addresses", HOST, "closed"), ==,
                   SANDBOX_VERDICT_UNKNOWN);
  read_sound (&fixture);
  for (guint i = 0; i < fixture.probes->len; i++)
    ((SandboxProbe *)fixture.probes->pdata[i])->control = FALSE;
  g_assert_cmpint (verdict (&fixture, "lan", LAN, "closed"), ==, SANDBOX_VERDICT_UNKNOWN);
  g_assert_cmpint (verdict (&fixture, "host-addresses", HOST, "closed"), ==, SANDBOX_VERDICT_PASS);
  probe = find_probe (&fixture, SANDBOX_PROBE_UDP, address_of (HOST), 40022);
  probe->blind = TRUE;
  g_assert_cmpint (verdict (&fixture, "host-addresses", HOST, "closed"), ==,
                   SANDBOX_VERDICT_UNKNOWN);
  probe->seen = TRUE;
  g_assert_cmpint (verdict (&fixture, "host-addresses", HOST, "closed"), ==, SANDBOX_VERDICT_FAIL);
  probe = find_probe (&fixture, SANDBOX_PROBE_TCP, address_of (PUBLIC), 443);
  probe->answer = SANDBOX_ANSWER_SILENT;
  g_assert_cmpint (verdict (&fixture, "internet", PUBLIC, "open"), ==, SANDBOX_VERDICT_UNKNOWN);
  probe->control_open = TRUE;
  g_assert_cmpint (verdict (&fixture, "internet", PUBLIC, "open"), ==, SANDBOX_VERDICT_FAIL);
  probe->answer = SANDBOX_ANSWER_OPEN;
  g_assert_cmpint (verdict (&fixture, "internet", PUBLIC, "open"), ==, SANDBOX_VERDICT_PASS);
  probe = find_probe (&fixture, SANDBOX_PROBE_DNS_UDP, fixture.plan->subnet.address + GATEWAY, 0);
  probe->answer = SANDBOX_ANSWER_SILENT;
  g_assert_cmpint (verdict (&fixture, "dns", NULL, "open"), ==, SANDBOX_VERDICT_FAIL);
}

/* What a hostile guest says instead of its first line. */
static void
test_hostile (void)
{
  static const char *const lines[] = {
    "",
    "done 0",
    "a",
    "-0 open",
    "open",
    "\033]0;x\007",
    "NONCE-0  silent",
    "NONCE-00 silent",
    "NONCE-0 Silent",
    "NONCE-0 silent ",
    "NONCE-0 silent\r",
    "NONCE-99999 silent",
    "NONCE--1 silent",
    "NONCE-0 sent",
    "NONCE-0 (null)",
    "NONCE-4294967296 silent",
    "NONCE-1 silent",
    "NONCE-0 silent\nNONCE-0 open",
    "NONCE-0 ",
    "NONCE-0",
    "0123456789abcdef-0 silent",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (lines); i++)
    {
      g_auto (Fixture) fixture = { 0 };
      g_auto (GStrv) parts = g_strsplit (lines[i], "NONCE", -1);
      g_autofree char *line = NULL, *sound = NULL, *text = NULL;

      fixture_init (&fixture, "mode=nat\n");
      line = g_strjoinv (fixture.scene.nonce, parts);
      sound = sound_answers (&fixture);
      text = g_strconcat (line, strchr (sound, '\n'), NULL);
      g_assert_false (_sandbox_verify_read (fixture.probes, fixture.scene.nonce, text));
    }
}

/* All of it, and one thing too many; and all but the end. */
static void
test_hostile_end (void)
{
  static const char *const ends[] = { "\n", "x", "done 1\n" };

  for (gsize i = 0; i <= G_N_ELEMENTS (ends); i++)
    {
      g_auto (Fixture) fixture = { 0 };
      g_autofree char *sound = NULL, *text = NULL;

      fixture_init (&fixture, "mode=nat\n");
      sound = sound_answers (&fixture);
      text = i < G_N_ELEMENTS (ends) ? g_strconcat (sound, ends[i], NULL)
                                     : g_strndup (sound, strlen (sound) - 1);
      g_assert_false (_sandbox_verify_read (fixture.probes, fixture.scene.nonce, text));
    }
}

static void
test_unasked (void)
{
  g_auto (Fixture) fixture = { 0 };
  guint allow = 0, internet = 0;

  fixture_init (&fixture, "mode=nat\nallow=10.1.2.3:5432/tcp;" LAN ":8080/tcp\n");
  g_array_set_size (fixture.scene.internet, 0);
  _sandbox_verify_judge_unasked (&fixture.scene, fixture.probes, fixture.findings);
  for (guint i = 0; i < fixture.findings->len; i++)
    {
      const SandboxFinding *finding = fixture.findings->pdata[i];

      g_assert_cmpint (finding->verdict, ==, SANDBOX_VERDICT_UNKNOWN);
      allow += strcmp (finding->target, "10.1.2.3:5432/tcp") == 0;
      internet += strcmp (finding->id, "internet") == 0;
    }
  g_assert_cmpuint (allow, ==, 1);
  g_assert_cmpuint (internet, ==, 1);
  g_assert_cmpuint (fixture.findings->len, ==, 2);
}

/* More addresses than are tried, and more machines. */
static void
test_left_out (void)
{
  static const char *const ids[] = { "host-addresses", "ipv6", "machines" };
  g_auto (Fixture) fixture = { 0 };

  fixture_init (&fixture, "mode=nat\n");
  fixture.scene.n_untried = 1;
  fixture.scene.n_untried6 = 2;
  fixture.scene.n_untried_machines = 3;
  _sandbox_verify_judge_unasked (&fixture.scene, fixture.probes, fixture.findings);
  g_assert_cmpuint (fixture.findings->len, ==, G_N_ELEMENTS (ids));
  for (guint i = 0; i < G_N_ELEMENTS (ids); i++)
    {
      const SandboxFinding *finding = fixture.findings->pdata[i];
      g_autofree char *count = g_strdup_printf ("not tried: %u more ", i + 1);

      g_assert_cmpstr (finding->id, ==, ids[i]);
      g_assert_cmpint (finding->verdict, ==, SANDBOX_VERDICT_UNKNOWN);
      g_assert_nonnull (strstr (finding->found, count));
    }
}

static void
test_targets (void)
{
  static const char *const bad[] = { "",
                                     "a",
                                     "192.168.7",
                                     "192.168.7.2/24",
                                     "192.168.7.2:",
                                     "192.168.7.2:0",
                                     "192.168.7.2:65536",
                                     "192.168.7.2:80:80",
                                     ":80",
                                     "fe80::1",
                                     "192.168.7.2 " };
  SandboxVerifyScene scene;
  g_autoptr (GError) error = NULL;

  _sandbox_verify_scene_init (&scene, NULL);
  g_assert_true (_sandbox_verify_target_add (scene.lan, "lan", "192.168.7.2:443", &error));
  g_assert_cmpuint (g_array_index (scene.lan, SandboxVerifyTarget, 0).port, ==, 443);
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_assert_false (_sandbox_verify_target_add (scene.lan, "lan", bad[i], &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
      g_clear_error (&error);
    }
  for (guint i = 1; i < SANDBOX_VERIFY_TARGETS_MAX; i++)
    g_assert_true (_sandbox_verify_target_add (scene.lan, "lan", LAN, &error));
  g_assert_false (_sandbox_verify_target_add (scene.lan, "lan", LAN, &error));
  _sandbox_verify_scene_clear (&scene);
}

/* The machine as we make it, and with one thing more. */
static void
test_devices (void)
{
  static const char *const foreign[] = {
    "<hostdev mode='subsystem' type='pci'/>",
    "<sound model='ich9'/>",
    "<video><model type='vga'/></video>",
    "<graphics type='vnc'/>",
    "<interface type='user'><model type='virtio'/></interface><redirdev bus='usb'/>",
    "<interface type='network'><model type='e1000'/></interface>",
    "<interface type='network'><source network='vms-1000-work'/><model type='virtio'/></interface>",
    "<interface type='network'><source network='default'/><model type='virtio'/>"
    "<filterref filter='vms-1000-work'/></interface>",
    "<interface type='bridge'><source bridge='br0'/><model type='virtio'/>"
    "<filterref filter='vms-1000-work'/></interface>",
    "<disk type='file' device='floppy'><target bus='fdc'/></disk>",
    "<controller type='usb' model='qemu-xhci'/>",
    "<channel type='unix'/>",
    "<filesystem type='mount'><driver type='path'/></filesystem>",
    "<tpm model='tpm-crb'/>",
    "<input type='tablet' bus='usb'/>",
    "</devices><qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'/>"
    "<devices>",
    "</devices><launchSecurity type='sev'/><devices>",
  };
  g_autoptr (SandboxPlan) plan =
      support_plan ("[share:a]\nsource=/a\ntarget=/b\nmode=rw\n[network]\nmode=nat\n");
  g_autofree char *xml = _sandbox_xml_domain (plan), *found = NULL;
  g_auto (GStrv) parts = g_strsplit (xml, "</devices>", 2);

  found = _sandbox_verify_foreign_element (xml, plan->object);
  g_assert_cmpstr (found, ==, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (foreign); i++)
    {
      g_autofree char *more = g_strconcat (parts[0], foreign[i], "</devices>", parts[1], NULL);
      g_autofree char *element = _sandbox_verify_foreign_element (more, plan->object);

      g_assert_nonnull (element);
    }
}

static void
test_nested (void)
{
  g_autoptr (SandboxPlan) kvm = support_plan ("[machine]\naccel=kvm\n"),
                          tcg = support_plan ("[machine]\naccel=tcg\n");
  g_autofree char *kvm_xml = _sandbox_xml_domain (kvm), *tcg_xml = _sandbox_xml_domain (tcg);

  g_assert_false (_sandbox_verify_is_nested (kvm_xml));
  g_assert_false (_sandbox_verify_is_nested (tcg_xml));
  g_assert_true (_sandbox_verify_is_nested ("<domain><cpu mode='host-passthrough'/></domain>"));
  g_assert_true (_sandbox_verify_is_nested ("<domain><cpu mode='host-passthrough'><feature "
                                            "policy='disable' name='svm'/></cpu></domain>"));
  g_assert_true (_sandbox_verify_is_nested (
      "<domain><cpu mode='custom'><feature policy='require' name='svm'/></cpu></domain>"));
  g_assert_true (_sandbox_verify_is_nested ("no XML"));
}

/* As the kernel writes them. */
static void
test_ports (void)
{
  static const struct
  {
    const char *line, *inode;
    guint port;
  } lines[] = {
    { "   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 "
      "4711 1 0000000000000000 100 0 0 10 0",
      "4711", 8080 },
    { "   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 "
      "4712 1 0000000000000000 100 0 0 10 0",
      NULL, 0 },
    { "   2: 0500A8C0:1F90 00000000:0000 01 00000000:00000000 00:00000000 00000000  1000        0 "
      "4713 1 0000000000000000 100 0 0 10 0",
      NULL, 0 },
    { "   3: 00000000000000000000000000000000:0BB8 00000000000000000000000000000000:0000 0A "
      "00000000:00000000 00:00000000 00000000  1000        0 4714 1 0000000000000000 100 0 0 10 0",
      "4714", 3000 },
    { "   4: 00000000000000000000000001000000:0BB8 00000000000000000000000000000000:0000 0A "
      "00000000:00000000 00:00000000 00000000  1000        0 4715 1 0000000000000000 100 0 0 10 0",
      NULL, 0 },
    { "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid", NULL,
      0 },
    { "", NULL, 0 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (lines); i++)
    {
      g_autofree char *inode = NULL;
      guint port = 0;

      g_assert_cmpint (_sandbox_verify_is_exposed (lines[i].line, &inode, &port), ==,
                       lines[i].inode != NULL);
      g_assert_cmpstr (inode, ==, lines[i].inode);
      g_assert_cmpuint (port, ==, lines[i].port);
    }
}

static void
test_verdicts (void)
{
  g_assert_cmpstr (sandbox_verdict_to_string (SANDBOX_VERDICT_PASS), ==, "pass");
  g_assert_cmpstr (sandbox_verdict_to_string (SANDBOX_VERDICT_FAIL), ==, "fail");
  g_assert_cmpstr (sandbox_verdict_to_string (SANDBOX_VERDICT_UNKNOWN), ==, "unknown");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/verify/expected", test_expected);
  g_test_add_func ("/verify/lines", test_lines);
  g_test_add_func ("/verify/frames", test_frames);
  g_test_add_func ("/verify/sound", test_sound);
  g_test_add_func ("/verify/holes", test_holes);
  g_test_add_func ("/verify/unknown", test_unknown);
  g_test_add_func ("/verify/hostile", test_hostile);
  g_test_add_func ("/verify/hostile-end", test_hostile_end);
  g_test_add_func ("/verify/unasked", test_unasked);
  g_test_add_func ("/verify/left-out", test_left_out);
  g_test_add_func ("/verify/targets", test_targets);
  g_test_add_func ("/verify/devices", test_devices);
  g_test_add_func ("/verify/nested", test_nested);
  g_test_add_func ("/verify/ports", test_ports);
  g_test_add_func ("/verify/verdicts", test_verdicts);
  return g_test_run ();
}
