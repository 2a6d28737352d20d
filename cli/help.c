// SPDX-License-Identifier: LGPL-2.1-or-later
// Help texts and usage lines out of the command table.
#include "help.h"

#include <stdio.h>
#include <string.h>

#include "context.h"

#define LINE_WIDTH 79

/* @text in lines of LINE_WIDTH columns, each @indent deep; the first word continues a line that is
 * @column wide. */
static void
wrap (const char *text, guint indent, guint column)
{
  g_auto (GStrv) words = g_strsplit (text, " ", -1);

  for (char **word = words; *word != NULL; word++)
    {
      guint width = strlen (*word);
      if (column > indent && column + 1 + width > LINE_WIDTH)
        {
          fputc ('\n', stdout);
          column = 0;
        }
      if (column < indent)
        {
          printf ("%*s", (int)(indent - column), "");
          column = indent;
        }
      else if (column > indent)
        {
          fputc (' ', stdout);
          column++;
        }
      fputs (*word, stdout);
      column += width;
    }
  fputc ('\n', stdout);
}

char *
vms_help_usage (const VmsVerb *verb)
{
  g_autofree char *title = vms_verb_title (verb);

  return g_strconcat (title, verb->options != NULL ? " [OPTION...]" : "",
                      *verb->operands != '\0' ? " " : "", verb->operands, NULL);
}

char *
vms_help_option (const VmsOption *option)
{
  char letter[] = { '-', option->letter, ',', ' ', '\0' };

  return g_strconcat (option->letter != 0 ? letter : "    ", "--", option->name,
                      option->value != NULL ? " " : "", option->value, NULL);
}

static void
show_options (const char *title, const VmsOption *options)
{
  printf ("\n%s:\n", title);
  for (const VmsOption *option = options; option->name != NULL; option++)
    {
      g_autofree char *text = vms_help_option (option);
      guint column = (guint)printf ("  %-24s", text);
      wrap (option->summary, 28, column);
    }
}

static void
show_verb_line (const VmsVerb *verb)
{
  g_autofree char *title = vms_verb_title (verb);
  guint column = (guint)printf ("  %-17s", title);

  wrap (verb->summary, 19, column);
}

static void
show_all (void)
{
  printf ("usage: vms VERB [OPTION...] [ARGUMENT...]\n");
  for (int group = 0; group < VMS_N_GROUPS; group++)
    {
      printf ("\n%s:\n", vms_group_titles[group]);
      for (const VmsVerb *row = vms_verbs; row->verb != NULL; row++)
        if ((int)row->group == group && !(row->flags & VMS_VERB_HIDDEN))
          show_verb_line (row);
    }
  show_options ("Options of every verb", vms_global_options);
  printf ("\n`vms help VERB` tells more about one; the manual is vms(1).\n");
}

static void
show_family (const char *family)
{
  printf ("usage: vms %s SUBVERB [OPTION...] [ARGUMENT...]\n\n", family);
  for (const VmsVerb *row = vms_verbs; row->verb != NULL; row++)
    if (strcmp (row->verb, family) == 0)
      show_verb_line (row);
  printf ("\n`vms help %s SUBVERB` tells more about one.\n", family);
}

static void
show_verb (const VmsVerb *verb)
{
  g_autofree char *usage = vms_help_usage (verb);
  g_autofree char *summary =
      g_strdup_printf ("%c%s.", g_ascii_toupper (verb->summary[0]), verb->summary + 1);
  g_auto (GStrv) paragraphs = verb->details != NULL ? g_strsplit (verb->details, "\n\n", -1) : NULL;

  printf ("usage: vms %s\n", usage);
  if (verb->alias != NULL)
    printf ("also:  vms %s\n", verb->alias);
  fputc ('\n', stdout);
  wrap (summary, 0, 0);
  for (char **paragraph = paragraphs; paragraph != NULL && *paragraph != NULL; paragraph++)
    {
      fputc ('\n', stdout);
      wrap (*paragraph, 0, 0);
    }
  if (verb->flags & VMS_VERB_COMMAND)
    {
      fputc ('\n', stdout);
      wrap ("The exit status is that of the command, 128 and the number of the signal that ended "
            "it, or 125 when vms itself failed.",
            0, 0);
    }
  if (verb->options != NULL)
    show_options ("Options", verb->options);
  printf ("\nAlso: --connect URI, --quiet, --verbose%s; see `vms help`.\n",
          verb->flags & VMS_VERB_JSON ? ", --json" : "");
}

void
vms_help_show (const VmsVerb *verb, const char *family)
{
  if (verb != NULL)
    show_verb (verb);
  else if (family != NULL)
    show_family (family);
  else
    show_all ();
}

void
vms_help_first (void)
{
  printf ("vms: virtual machines for development, kept apart from this host.\n\n"
          "What to do first:\n"
          "  vms doctor            see whether this host has what it takes\n"
          "  vms start work        make the machine \"work\", start it, wait until it is ready\n"
          "  vms ssh work          be in it; ~/shared there is ~/vms/work here\n\n"
          "Then:\n"
          "  vms list              your machines\n"
          "  vms stop work         power it off; its disk stays\n"
          "  vms help              all verbs\n");
}

void
vms_help_hint (const VmsVerb *verb)
{
  g_autofree char *usage = NULL;

  if (verb == NULL)
    {
      fprintf (stderr, "usage: vms VERB [OPTION...] [ARGUMENT...]; see `vms help`\n");
      return;
    }
  usage = vms_help_usage (verb);
  fprintf (stderr, "usage: vms %s; see `vms help %s`\n", usage, verb->verb);
}

/* One line "VERB STEP" for each: what progress calls a phase, and what a test can make fail. */
static void
show_steps (void)
{
  static const char *const parts[] = { "warm-capture", "warm-start" };

  for (const VmsVerb *row = vms_verbs; row->verb != NULL; row++)
    {
      g_autofree char *verb = g_strjoin ("-", row->verb, row->sub, NULL);
      const char *const *ids = sandbox_machine_step_ids (verb);
      for (; ids != NULL && *ids != NULL; ids++)
        printf ("%s %s\n", verb, *ids);
    }
  for (guint i = 0; i < G_N_ELEMENTS (parts); i++)
    for (const char *const *id = sandbox_machine_step_ids (parts[i]); *id != NULL; id++)
      printf ("%s %s\n", parts[i], *id);
}

int
vms_cmd_help (VmsContext *context, const VmsArgs *args, GError **error)
{
  const char *first = args->operands[0], *second = first != NULL ? args->operands[1] : NULL;
  const VmsVerb *verb = first != NULL ? vms_verb_find (first, second) : NULL;

  if (vms_args_has (args, "steps"))
    {
      show_steps ();
      return 0;
    }
  if (first == NULL || verb != NULL)
    {
      vms_help_show (verb, NULL);
      return 0;
    }
  if (second == NULL && vms_verb_family (first) != NULL)
    {
      vms_help_show (NULL, first);
      return 0;
    }
  return !vms_fail_verb (vms_verb_family (first) != NULL ? first : NULL,
                         vms_verb_family (first) != NULL ? second : first, error);
}
