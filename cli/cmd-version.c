// SPDX-License-Identifier: LGPL-2.1-or-later
// vms version
#include <stdio.h>

#include "context.h"

int
vms_cmd_version (VmsContext *context, const VmsArgs *args, GError **error)
{
  g_autoptr (JsonBuilder) builder = NULL;

  if (!context->json)
    {
      printf ("vms %s, libsandbox %s\n", SANDBOX_VERSION, sandbox_version ());
      return 0;
    }
  builder = vms_json_begin ();
  vms_json_string (builder, "vms", SANDBOX_VERSION);
  vms_json_string (builder, "libsandbox", sandbox_version ());
  vms_json_end (builder);
  return 0;
}
