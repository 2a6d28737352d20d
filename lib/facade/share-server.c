// SPDX-License-Identifier: LGPL-2.1-or-later
// Whether a share's virtiofsd lives. libvirt starts it and then looks at it no more, QEMU goes on
// without it, and a guest that asks hangs: so the host is asked. The socket that libvirt has made
// for it is in the kernel's table as long as somebody has it.
#include "facade/facade-private.h"

#include "base/xml.h"

#include <string.h>

#define TABLE "/proc/net/unix"

/* "/.../domain-7-NAME/SOCKET", of which libvirt shortens NAME: whether it is @id's of @object.
 * (nullable) */
static const char *
find_socket (const char *line, const char *id, const char *object)
{
  g_autofree char *begin = g_strdup_printf ("/domain-%s-", id);
  const char *name = strstr (line, begin);
  const char *end;
  gsize length;

  if (name == NULL)
    return NULL;
  name += strlen (begin);
  end = strchr (name, '/');
  if (end == NULL)
    return NULL;
  length = (gsize)(end - name);
  return length > 0 && strncmp (object, name, length) == 0 ? end + 1 : NULL;
}

gboolean
_sandbox_share_server_is_gone (const char *table, const char *live_xml, const char *tag)
{
  g_autofree char *device_xml = _sandbox_xml_find_share_device (live_xml, tag);
  g_autoptr (xmlDoc) device =
      device_xml != NULL ? sandbox_xml_parse ("share", device_xml, NULL) : NULL;
  g_autoptr (xmlDoc) domain = sandbox_xml_parse ("domain XML of libvirt", live_xml, NULL);
  g_autofree char *alias = NULL, *id = NULL, *object = NULL, *begin = NULL;
  g_auto (GStrv) lines = g_strsplit (table, "\n", -1);
  gboolean machine = FALSE;

  if (device == NULL || domain == NULL)
    return FALSE;
  alias = sandbox_xml_dup (xmlDocGetRootElement (device), "alias", "name");
  id = sandbox_xml_get_attr (xmlDocGetRootElement (domain), "id");
  object = sandbox_xml_dup (xmlDocGetRootElement (domain), "name", NULL);
  if (alias == NULL || id == NULL || object == NULL)
    return FALSE;
  /* "fs0-fs.sock", until now */
  begin = g_strconcat (alias, "-", NULL);
  for (char **line = lines; *line != NULL; line++)
    {
      const char *found = find_socket (*line, id, object);

      if (found != NULL && g_str_has_prefix (found, begin))
        return FALSE;
      machine |= g_strcmp0 (found, "monitor.sock") == 0;
    }
  /* the table of another network namespace says nothing */
  return machine;
}

const char *
_sandbox_share_server_problem (const char *live_xml, const char *tag)
{
  g_autofree char *table = NULL;

  if (!g_file_get_contents (TABLE, &table, NULL, NULL)
      || !_sandbox_share_server_is_gone (table, live_xml, tag))
    return NULL;
  return "what served it on this host has ended, and whoever uses it in the machine waits: restart "
         "the machine";
}

gboolean
_sandbox_share_check_servers (SandboxMachine *machine, GError **error)
{
  g_autoptr (SandboxDomainMeta) live = NULL;
  g_autofree char *xml = NULL;

  if (!_sandbox_machine_read_live (machine, &xml, &live, error))
    return FALSE;
  for (guint i = 0; live != NULL && i < live->shares->len; i++)
    {
      const SandboxPlanShare *share = live->shares->pdata[i];
      const char *problem = _sandbox_share_server_problem (xml, share->tag);

      if (problem != NULL)
        return sandbox_fail (error, SANDBOX_ERROR_WRONG_STATE, "share %s: %s (`vms restart %s`)",
                             share->tag, problem, machine->name);
    }
  return TRUE;
}
