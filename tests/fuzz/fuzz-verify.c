// SPDX-License-Identifier: LGPL-2.1-or-later
// What the probe program says from inside a guest, which may be anything.
#include "fuzz.h"

#include "facade/verify-private.h"

#define NONCE    "0123456789abcdef"
#define N_PROBES 4

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize length)
{
  g_autofree char *text = g_strndup ((const char *)data, length);
  g_autoptr (GPtrArray) probes = g_ptr_array_new_with_free_func (_sandbox_probe_free);
  g_autoptr (GPtrArray) findings =
      g_ptr_array_new_with_free_func ((GDestroyNotify)sandbox_finding_free);
  gboolean whole;

  for (guint i = 0; i < N_PROBES; i++)
    {
      SandboxProbe *probe = g_new0 (SandboxProbe, 1);

      probe->property = "lan";
      probe->target = g_strdup ("192.168.7.1");
      probe->kind = i;
      g_ptr_array_add (probes, probe);
    }
  whole = _sandbox_verify_read (probes, NONCE, text);
  for (guint i = 0; i < N_PROBES; i++)
    g_assert_true (!whole || ((SandboxProbe *)probes->pdata[i])->answer != SANDBOX_ANSWER_NONE);
  _sandbox_verify_judge (probes, findings);
  for (guint i = 0; i < findings->len; i++)
    g_assert_true (g_str_is_ascii (((SandboxFinding *)g_ptr_array_index (findings, i))->found));
  return 0;
}
