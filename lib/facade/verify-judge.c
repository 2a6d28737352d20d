// SPDX-License-Identifier: LGPL-2.1-or-later
// From what the guest says and what this host saw to findings. Pure; what the guest says is taken
// as hostile.
#include "facade/verify-private.h"

#include <string.h>

static const char *const answer_names[] = {
  [SANDBOX_ANSWER_OPEN] = "open",       [SANDBOX_ANSWER_ANSWER] = "answer",
  [SANDBOX_ANSWER_REFUSED] = "refused", [SANDBOX_ANSWER_UNREACHABLE] = "unreachable",
  [SANDBOX_ANSWER_SILENT] = "silent",   [SANDBOX_ANSWER_SENT] = "sent",
};

static const char *const verdict_names[] = {
  [SANDBOX_VERDICT_PASS] = "pass",
  [SANDBOX_VERDICT_FAIL] = "fail",
  [SANDBOX_VERDICT_UNKNOWN] = "unknown",
};

const char *
sandbox_verdict_to_string (SandboxVerdict verdict)
{
  g_return_val_if_fail ((guint)verdict < G_N_ELEMENTS (verdict_names), "");
  return verdict_names[verdict];
}

void
sandbox_finding_free (SandboxFinding *finding)
{
  if (finding == NULL)
    return;
  g_free (finding->id);
  g_free (finding->property);
  g_free (finding->target);
  g_free (finding->expected);
  g_free (finding->found);
  g_free (finding);
}

void
_sandbox_finding_add (GPtrArray *findings, const char *id, const char *target, const char *expected,
                      SandboxVerdict verdict, const char *format, ...)
{
  SandboxFinding *finding = g_new0 (SandboxFinding, 1);
  va_list args;

  va_start (args, format);
  finding->id = g_strdup (id);
  finding->property = g_strdup (_sandbox_verify_property (id));
  finding->target = g_strdup (target);
  finding->expected = g_strdup (expected);
  finding->found = g_strdup_vprintf (format, args);
  finding->verdict = verdict;
  va_end (args);
  g_ptr_array_add (findings, finding);
}

/* "open" at the beginning of @word, which is one; NONE for what no such probe says. */
static SandboxAnswer
read_answer (const SandboxProbe *probe, const char *word)
{
  SandboxAnswer answer = SANDBOX_ANSWER_NONE;
  gboolean frame = probe->kind == SANDBOX_PROBE_FRAME;

  for (guint i = SANDBOX_ANSWER_OPEN; i < G_N_ELEMENTS (answer_names); i++)
    if (strcmp (answer_names[i], word) == 0)
      answer = i;
  if (answer == SANDBOX_ANSWER_ANSWER || answer == SANDBOX_ANSWER_UNREACHABLE)
    return answer;
  return frame == (answer == SANDBOX_ANSWER_SENT) ? answer : SANDBOX_ANSWER_NONE;
}

/* "NONCE-12 open" */
static gboolean
read_line (GPtrArray *probes, const char *nonce, const char *line)
{
  int number = _sandbox_verify_number (line, strlen (line), nonce, probes->len);
  SandboxProbe *probe = number >= 0 ? probes->pdata[number] : NULL;
  g_autofree char *id = g_strdup_printf ("%s-%d ", nonce, number);
  SandboxAnswer answer;

  if (probe == NULL || !g_str_has_prefix (line, id) || probe->answer != SANDBOX_ANSWER_NONE)
    return FALSE;
  answer = read_answer (probe, line + strlen (id));
  probe->answer = answer;
  return answer != SANDBOX_ANSWER_NONE;
}

gboolean
_sandbox_verify_read (GPtrArray *probes, const char *nonce, const char *text)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", (int)probes->len + 2);
  g_autofree char *last = g_strdup_printf ("done %u", probes->len);
  guint n = g_strv_length (lines);

  for (guint i = 0; i < n && i < probes->len; i++)
    if (!read_line (probes, nonce, lines[i]))
      return FALSE;
  return n == probes->len + 2 && strcmp (lines[n - 2], last) == 0 && *lines[n - 1] == '\0';
}

/* Something of it got there. */
static gboolean
is_through (const SandboxProbe *probe)
{
  return probe->seen || probe->answer == SANDBOX_ANSWER_OPEN
         || probe->answer == SANDBOX_ANSWER_ANSWER || probe->answer == SANDBOX_ANSWER_REFUSED;
}

static const char *
how_through (const SandboxProbe *probe)
{
  if (probe->kind == SANDBOX_PROBE_LISTEN)
    return "open";
  if (probe->seen)
    return "this host got it";
  switch (probe->answer)
    {
    case SANDBOX_ANSWER_OPEN:
      return "open";
    case SANDBOX_ANSWER_REFUSED:
      return "reached, and refused there";
    default:
      return "answered";
    }
}

/* What the policy denies. @ret_text: static. */
static SandboxVerdict
judge_denied (const SandboxProbe *probe, const char **ret_text)
{
  if (is_through (probe))
    {
      *ret_text = how_through (probe);
      return SANDBOX_VERDICT_FAIL;
    }
  if (probe->answer == SANDBOX_ANSWER_NONE)
    {
      *ret_text = "the machine did not say that it tried";
      return SANDBOX_VERDICT_UNKNOWN;
    }
  if (probe->blind)
    {
      *ret_text = "nothing came back, but this host knew that address before and cannot tell; "
                  "restart the machine, or verify without --inside";
      return SANDBOX_VERDICT_UNKNOWN;
    }
  if (probe->judge == SANDBOX_JUDGE_REPLIES && !probe->control)
    {
      *ret_text = "no answer, but it does not answer this host either";
      return SANDBOX_VERDICT_UNKNOWN;
    }
  *ret_text = "closed";
  return SANDBOX_VERDICT_PASS;
}

/* What the policy allows: only of a TCP port that is open for this host it is known that it would
 * answer, and of the gateway's DNS. */
static SandboxVerdict
judge_allowed (const SandboxProbe *probe, const char **ret_text)
{
  gboolean own = probe->judge != SANDBOX_JUDGE_REPLIES;

  if (probe->answer == SANDBOX_ANSWER_NONE)
    {
      *ret_text = "the machine did not say that it tried";
      return SANDBOX_VERDICT_UNKNOWN;
    }
  if (probe->answer == SANDBOX_ANSWER_OPEN || probe->answer == SANDBOX_ANSWER_ANSWER)
    {
      *ret_text = "open";
      return SANDBOX_VERDICT_PASS;
    }
  if (own || probe->control_open)
    {
      *ret_text = own ? "no answer" : "no answer, though it answers this host";
      return SANDBOX_VERDICT_FAIL;
    }
  *ret_text = "no answer; it does not answer this host either";
  if (probe->kind != SANDBOX_PROBE_TCP)
    *ret_text = "no answer; whether it ever answers that is not known";
  return SANDBOX_VERDICT_UNKNOWN;
}

/* Probes of one property of one target are one finding, when they are expected to end alike. */
static gboolean
same_finding (const SandboxProbe *a, const SandboxProbe *b)
{
  return strcmp (a->property, b->property) == 0 && strcmp (a->target, b->target) == 0
         && a->allowed == b->allowed;
}

/* The worst of them: fail, unknown, pass. */
static gboolean
is_worse (SandboxVerdict a, SandboxVerdict b)
{
  static const guint order[] = {
    [SANDBOX_VERDICT_PASS] = 0,
    [SANDBOX_VERDICT_UNKNOWN] = 1,
    [SANDBOX_VERDICT_FAIL] = 2,
  };

  return order[a] > order[b];
}

static void
judge_one (GPtrArray *probes, guint first, gboolean *done, GPtrArray *findings)
{
  const SandboxProbe *probe = probes->pdata[first];
  SandboxVerdict worst = SANDBOX_VERDICT_PASS;
  g_autoptr (GString) found = g_string_new (NULL), tried = g_string_new (NULL);
  g_autofree char *expected = NULL;

  for (guint i = first; i < probes->len; i++)
    {
      const SandboxProbe *other = probes->pdata[i];
      g_autofree char *what = _sandbox_probe_describe (other);
      const char *text = NULL;
      SandboxVerdict verdict;

      if (done[i] || !same_finding (probe, other))
        continue;
      done[i] = TRUE;
      if (strstr (tried->str, what) == NULL)
        g_string_append_printf (tried, "%s%s", tried->len > 0 ? ", " : "", what);
      verdict = (other->allowed ? judge_allowed : judge_denied) (other, &text);
      if (is_worse (verdict, worst))
        g_string_truncate (found, 0);
      worst = is_worse (verdict, worst) ? verdict : worst;
      if (verdict == worst && verdict != SANDBOX_VERDICT_PASS)
        g_string_append_printf (found, "%s%s: %s", found->len > 0 ? "; " : "", what, text);
    }
  if (worst == SANDBOX_VERDICT_PASS)
    g_string_assign (found, probe->allowed ? "open" : "closed");
  expected = g_strdup_printf ("%s: %s", probe->allowed ? "open" : "closed", tried->str);
  _sandbox_finding_add (findings, probe->property, probe->target,
                        probe->kind == SANDBOX_PROBE_FRAME ? "closed" : expected, worst, "%s",
                        found->str);
}

void
_sandbox_verify_judge (GPtrArray *probes, GPtrArray *findings)
{
  g_autofree gboolean *done = g_new0 (gboolean, probes->len);

  for (guint i = 0; i < probes->len; i++)
    if (!done[i])
      judge_one (probes, i, done, findings);
}

static gboolean
was_asked (GPtrArray *probes, const SandboxFlow *flow)
{
  SandboxProbeKind kind = flow->kind == SANDBOX_FLOW_TCP ? SANDBOX_PROBE_TCP : SANDBOX_PROBE_UDP;

  for (guint i = 0; i < probes->len; i++)
    {
      const SandboxProbe *probe = probes->pdata[i];
      SandboxCidr to = { probe->address, 32 };

      if (probe->kind == kind && probe->port >= flow->ports.first && probe->port <= flow->ports.last
          && sandbox_cidr_overlaps (&flow->net, &to))
        return TRUE;
    }
  return FALSE;
}

static void
judge_unasked_flow (GPtrArray *probes, const SandboxFlow *flow, GPtrArray *findings)
{
  SandboxNetRule rule = { flow->net, flow->ports,
                          flow->kind == SANDBOX_FLOW_TCP ? SANDBOX_TCP : SANDBOX_UDP };
  g_autofree char *text = sandbox_net_rule_format (&rule);
  g_autofree char *address = sandbox_address_format (flow->net.address);

  if (!was_asked (probes, flow))
    _sandbox_finding_add (findings, "allow", text, "open", SANDBOX_VERDICT_UNKNOWN,
                          "not asked; --lan %s asks", address);
}

/* What there is more of than is tried. */
static void
judge_left_out (const SandboxVerifyScene *scene, GPtrArray *findings)
{
  if (scene->n_untried > 0)
    _sandbox_finding_add (findings, "host-addresses", "-", "closed", SANDBOX_VERDICT_UNKNOWN,
                          "not tried: %u more IPv4 addresses of this host than the %d that are",
                          scene->n_untried, SANDBOX_VERIFY_ADDRESSES_MAX);
  if (scene->n_untried6 > 0)
    _sandbox_finding_add (findings, "ipv6", "-", "closed", SANDBOX_VERDICT_UNKNOWN,
                          "not tried: %u more IPv6 addresses of this host than the %d that are",
                          scene->n_untried6, SANDBOX_VERIFY_ADDRESSES6_MAX);
  if (scene->n_untried_machines > 0)
    _sandbox_finding_add (findings, "machines", "-", "closed", SANDBOX_VERDICT_UNKNOWN,
                          "not tried: %u more machines that run than the %d that are",
                          scene->n_untried_machines, SANDBOX_VERIFY_TARGETS_MAX);
}

void
_sandbox_verify_judge_unasked (const SandboxVerifyScene *scene, GPtrArray *probes,
                               GPtrArray *findings)
{
  const SandboxPlan *plan = scene->plan;
  guint32 gateway = plan->subnet.address + 1;
  gboolean nat = g_str_equal (plan->network_mode, "nat");

  for (guint i = 0; i < plan->flows->len; i++)
    {
      const SandboxFlow *flow = &g_array_index (plan->flows, SandboxFlow, i);

      if (flow->allow && flow->net.bits > 0 && flow->net.address != gateway
          && (flow->kind == SANDBOX_FLOW_TCP || flow->kind == SANDBOX_FLOW_UDP))
        judge_unasked_flow (probes, flow, findings);
    }
  if (scene->internet->len == 0)
    _sandbox_finding_add (findings, "internet", "-", nat ? "open" : "closed",
                          SANDBOX_VERDICT_UNKNOWN, "not asked; --public ADDRESS asks");
  if (scene->lan->len == 0)
    _sandbox_finding_add (findings, "lan", "-", "closed", SANDBOX_VERDICT_UNKNOWN,
                          "not asked; --lan ADDRESS asks");
  judge_left_out (scene, findings);
}
