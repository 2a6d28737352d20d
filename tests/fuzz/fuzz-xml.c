// SPDX-License-Identifier: LGPL-2.1-or-later
// What libvirt says: our readers of its XML, and of recorded host facts.
#include "fuzz.h"

#include "xml/xml-private.h"

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize length)
{
  g_autofree char *text = g_strndup ((const char *)data, length);
  g_autoptr (GError) domain_error = NULL, network_error = NULL, facts_error = NULL;
  g_autoptr (SandboxDomainMeta) meta = _sandbox_xml_read_domain (text, &domain_error);
  g_autoptr (SandboxFacts) facts = sandbox_facts_parse (text, &facts_error);
  g_autofree char *bridge = NULL;
  SandboxCidr subnet;

  if (!_sandbox_xml_read_network (text, &subnet, &bridge, &network_error))
    g_assert_nonnull (network_error);
  if (facts)
    {
      g_autofree char *written = sandbox_facts_format (facts);
      g_autoptr (SandboxFacts) again = sandbox_facts_parse (written, &facts_error);

      g_assert_no_error (facts_error);
      g_assert_nonnull (again);
    }
  else
    g_assert_nonnull (facts_error);
  return 0;
}
