// SPDX-License-Identifier: LGPL-2.1-or-later
// Manual pages: a template of prose with the command table and the profile keys put in where it
// says so.
#include <stdio.h>
#include <string.h>

#include "context.h"
#include "help.h"

/* Text as roff: backslashes, hyphens and line beginnings that would be requests. `x` becomes bold.
 */
static void
append_text (GString *out, const char *text)
{
  gboolean bold = FALSE, begin = TRUE;

  for (; *text != '\0'; text++)
    {
      if (begin && (*text == '.' || *text == '\''))
        g_string_append (out, "\\&");
      begin = *text == '\n';
      if (*text == '\\')
        g_string_append (out, "\\e");
      else if (*text == '-')
        g_string_append (out, "\\-");
      else if (*text == '~')
        g_string_append (out, "\\(ti");
      else if (*text == '^')
        g_string_append (out, "\\(ha");
      else if (*text == '`')
        {
          bold = !bold;
          g_string_append (out, bold ? "\\fB" : "\\fR");
        }
      else
        g_string_append_c (out, *text);
    }
}

static void
append_paragraph (GString *out, const char *request, const char *text)
{
  g_auto (GStrv) parts = g_strsplit (text, "\n\n", -1);

  for (char **part = parts; *part != NULL; part++)
    {
      g_string_append_printf (out, "%s\n", part == parts ? request : ".PP");
      append_text (out, *part);
      g_string_append_c (out, '\n');
    }
}

static void
append_options (GString *out, const VmsOption *options)
{
  for (const VmsOption *option = options; option->name != NULL; option++)
    {
      g_string_append (out, ".TP\n");
      if (option->letter != 0)
        g_string_append_printf (out, "\\fB\\-%c\\fR, ", option->letter);
      g_string_append (out, "\\fB\\-\\-");
      append_text (out, option->name);
      g_string_append (out, "\\fR");
      if (option->value != NULL)
        g_string_append_printf (out, " \\fI%s\\fR", option->value);
      g_string_append_c (out, '\n');
      append_text (out, option->summary);
      g_string_append_c (out, '\n');
    }
}

static void
append_verb (GString *out, const VmsVerb *verb)
{
  g_autofree char *title = vms_verb_title (verb);
  g_autofree char *summary =
      g_strdup_printf ("%c%s.", g_ascii_toupper (verb->summary[0]), verb->summary + 1);

  g_string_append (out, ".TP\n\\fBvms ");
  append_text (out, title);
  g_string_append (out, "\\fR");
  if (verb->options != NULL)
    g_string_append (out, " [\\fIOPTION\\fR...]");
  if (*verb->operands != '\0')
    {
      g_string_append (out, " \\fI");
      append_text (out, verb->operands);
      g_string_append (out, "\\fR");
    }
  g_string_append_c (out, '\n');
  append_text (out, summary);
  g_string_append (out, "\n.RS\n");
  if (verb->alias != NULL)
    g_string_append_printf (out, ".PP\nAlso: \\fBvms %s\\fR.\n", verb->alias);
  if (verb->details != NULL)
    append_paragraph (out, ".PP", verb->details);
  if (verb->options != NULL)
    append_options (out, verb->options);
  g_string_append (out, ".RE\n");
}

static void
append_commands (GString *out)
{
  for (int group = 0; group < VMS_N_GROUPS; group++)
    {
      g_string_append_printf (out, ".SS %s\n", vms_group_titles[group]);
      for (const VmsVerb *row = vms_verbs; row->verb != NULL; row++)
        if ((int)row->group == group && !(row->flags & VMS_VERB_HIDDEN))
          append_verb (out, row);
    }
}

static void
append_keys (GString *out)
{
  gsize n;
  const SandboxProfileKey *keys = sandbox_profile_keys (&n);

  for (gsize i = 0; i < n; i++)
    {
      if (i == 0 || strcmp (keys[i].group, keys[i - 1].group) != 0)
        {
          g_string_append (out, ".SS [");
          append_text (out, strcmp (keys[i].group, "share:*") == 0 ? "share:NAME" : keys[i].group);
          g_string_append (out, "]\n");
        }
      g_string_append (out, ".TP\n\\fB");
      append_text (out, keys[i].name);
      g_string_append (out, "\\fR=\\fI");
      append_text (out, keys[i].type);
      g_string_append (out, "\\fR\n");
      append_text (out, keys[i].summary);
      g_string_append (out, ".\nAllowed: ");
      append_text (out, keys[i].allowed);
      if (keys[i].default_value != NULL && *keys[i].default_value != '\0')
        {
          g_string_append (out, ".\nDefault: ");
          append_text (out, keys[i].default_value);
        }
      g_string_append (out, ".\n");
    }
}

int
vms_cmd_manual (VmsContext *context, const VmsArgs *args, GError **error)
{
  g_autofree char *template = NULL;
  g_auto (GStrv) lines = NULL;
  g_autoptr (GString) out = g_string_new (NULL);

  if (!g_file_get_contents (args->operands[0], &template, NULL, error))
    return 1;
  lines = g_strsplit (g_strchomp (template), "\n", -1);
  for (char **line = lines; *line != NULL; line++)
    {
      if (strcmp (*line, "@COMMANDS@") == 0)
        append_commands (out);
      else if (strcmp (*line, "@OPTIONS@") == 0)
        append_options (out, vms_global_options);
      else if (strcmp (*line, "@KEYS@") == 0)
        append_keys (out);
      else
        g_string_append_printf (out, "%s\n", *line);
    }
  vms_print (out->str);
  return 0;
}
