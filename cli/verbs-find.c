// SPDX-License-Identifier: LGPL-2.1-or-later
// Looking things up in the command table.
#include "verbs.h"

#include <string.h>

const VmsVerb *
vms_verb_find (const char *verb, const char *sub)
{
  for (const VmsVerb *row = vms_verbs; row->verb != NULL; row++)
    {
      gboolean same = strcmp (row->verb, verb) == 0 || g_strcmp0 (row->alias, verb) == 0;
      if (same && g_strcmp0 (row->sub, sub) == 0)
        return row;
    }
  return NULL;
}

const VmsVerb *
vms_verb_family (const char *verb)
{
  for (const VmsVerb *row = vms_verbs; row->verb != NULL; row++)
    if (row->sub != NULL && strcmp (row->verb, verb) == 0)
      return row;
  return NULL;
}

const VmsVerb *
vms_verb_default (const char *verb)
{
  for (const VmsVerb *row = vms_verbs; row->verb != NULL; row++)
    if ((row->flags & VMS_VERB_DEFAULT) && strcmp (row->verb, verb) == 0)
      return row;
  return NULL;
}

char *
vms_verb_title (const VmsVerb *verb)
{
  return g_strjoin (" ", verb->verb, verb->sub, NULL);
}

const VmsOption *
vms_option_find (const VmsVerb *verb, const char *name)
{
  if (verb != NULL && verb->options != NULL)
    for (const VmsOption *option = verb->options; option->name != NULL; option++)
      if (strcmp (option->name, name) == 0)
        return option;
  for (const VmsOption *option = vms_global_options; option->name != NULL; option++)
    if (strcmp (option->name, name) == 0)
      return option;
  return NULL;
}

const VmsOption *
vms_option_find_letter (const VmsVerb *verb, char letter)
{
  if (verb != NULL && verb->options != NULL)
    for (const VmsOption *option = verb->options; option->name != NULL; option++)
      if (option->letter == letter)
        return option;
  for (const VmsOption *option = vms_global_options; option->name != NULL; option++)
    if (option->letter == letter)
      return option;
  return NULL;
}
