// SPDX-License-Identifier: LGPL-2.1-or-later
// Completion: the script is a few lines that ask `vms complete`, which answers from the command
// table.
#include <stdio.h>
#include <string.h>

#include "context.h"

/* The candidates come one a line; ":files" and ":dirs" ask the shell for its own. No candidate is
 * ever evaluated by the shell. */
static const char bash_script[] =
    "# bash completion for vms\n"
    "_vms ()\n"
    "{\n"
    "  local cur=\"${COMP_WORDS[COMP_CWORD]}\" line\n"
    "  local -a found=()\n"
    "  COMPREPLY=()\n"
    "  # bash splits at = and :, vms does not\n"
    "  if declare -F _get_comp_words_by_ref >/dev/null; then\n"
    "    local words cword\n"
    "    _get_comp_words_by_ref -n := cur words cword\n"
    "    set -- \"${words[@]:1:cword}\"\n"
    "  else\n"
    "    set -- \"${COMP_WORDS[@]:1:COMP_CWORD}\"\n"
    "  fi\n"
    "  while IFS= read -r line; do\n"
    "    case \"$line\" in\n"
    "      :files) mapfile -t -O ${#found[@]} found < <(compgen -f -- \"$cur\")\n"
    "              compopt -o filenames ;;\n"
    "      :dirs) mapfile -t -O ${#found[@]} found < <(compgen -d -- \"$cur\")\n"
    "             compopt -o filenames ;;\n"
    "      :nospace) compopt -o nospace ;;\n"
    "      *) found+=(\"$line\") ;;\n"
    "    esac\n"
    "  done < <(command vms complete -- \"$@\" 2>/dev/null)\n"
    "  COMPREPLY=(\"${found[@]}\")\n"
    "  declare -F __ltrim_colon_completions >/dev/null && __ltrim_colon_completions \"$cur\"\n"
    "  return 0\n"
    "}\n"
    "complete -F _vms vms\n";

int
vms_cmd_completion (VmsContext *context, const VmsArgs *args, GError **error)
{
  g_autofree char *shown = vms_escape (args->operands[0]);

  if (strcmp (args->operands[0], "bash") != 0)
    return vms_fail (error, SANDBOX_ERROR_INVALID,
                     "completion: no script for \"%s\", only for bash", shown);
  vms_print (bash_script);
  return 0;
}

static void
offer (const char *word, const char *prefix)
{
  if (g_str_has_prefix (word, prefix))
    vms_print (word);
}

/* Names of profiles: what start takes. */
static void
offer_profiles (const char *prefix, const char *suffix)
{
  g_autoptr (GPtrArray) profiles = sandbox_profile_list (&vms_profile_dirs, NULL);

  for (guint i = 0; profiles != NULL && i < profiles->len; i++)
    {
      const SandboxProfileInfo *info = g_ptr_array_index (profiles, i);
      g_autofree char *word = g_strconcat (info->name, suffix, NULL);
      offer (word, prefix);
    }
}

static void
offer_verbs (const char *family, const char *prefix)
{
  const char *last = "";

  for (const VmsVerb *row = vms_verbs; row->verb != NULL; row++)
    {
      if (row->flags & VMS_VERB_HIDDEN)
        continue;
      if (family != NULL && row->sub != NULL && strcmp (row->verb, family) == 0)
        offer (row->sub, prefix);
      else if (family == NULL && strcmp (row->verb, last) != 0)
        offer (row->verb, prefix);
      last = row->verb;
    }
}

static void
offer_options (const VmsOption *options, const char *prefix)
{
  for (const VmsOption *option = options; option != NULL && option->name != NULL; option++)
    {
      g_autofree char *word = g_strconcat ("--", option->name, NULL);
      offer (word, prefix);
    }
}

static void
offer_kind (VmsCompleter completer, const char *prefix)
{
  g_auto (GStrv) recipes = NULL;

  switch (completer)
    {
    case VMS_COMPLETE_MACHINE:
    case VMS_COMPLETE_PROFILE:
      offer_profiles (prefix, "");
      break;
    case VMS_COMPLETE_IMAGE:
      recipes = sandbox_image_recipes ();
      for (char **recipe = recipes; recipe != NULL && *recipe != NULL; recipe++)
        offer (*recipe, prefix);
      break;
    case VMS_COMPLETE_COPY:
      offer_profiles (prefix, ":");
      vms_print (":files");
      vms_print (":nospace");
      break;
    case VMS_COMPLETE_FILE:
      vms_print (":files");
      break;
    case VMS_COMPLETE_DIR:
      vms_print (":dirs");
      break;
    case VMS_COMPLETE_VERB:
      offer_verbs (NULL, prefix);
      break;
    case VMS_COMPLETE_SHELL:
      offer ("bash", prefix);
      break;
    case VMS_COMPLETE_NONE:
      break;
    }
}

/* The option whose value @word, the one before the last, waits for; NULL when it is none. */
static const VmsOption *
waiting_option (const VmsVerb *verb, const char *word)
{
  const VmsOption *option = NULL;

  if (g_str_has_prefix (word, "--"))
    option = vms_option_find (verb, word + 2);
  else if (word[0] == '-' && word[1] != '\0' && word[2] == '\0')
    option = vms_option_find_letter (verb, word[1]);
  return option != NULL && option->value != NULL ? option : NULL;
}

/* Reads the finished words @words; what is not understood is passed over, as the line is still
 * being written. */
static const VmsVerb *
read_words (char **words, guint n, const char **ret_family, guint *ret_operands)
{
  const VmsVerb *verb = NULL;

  *ret_family = NULL;
  *ret_operands = 0;
  for (guint i = 0; i < n; i++)
    {
      if (words[i][0] == '-')
        i += waiting_option (verb, words[i]) != NULL;
      else if (verb != NULL)
        (*ret_operands)++;
      else if (*ret_family != NULL)
        {
          verb = vms_verb_find (*ret_family, words[i]);
          if (verb == NULL)
            verb = vms_verb_default (*ret_family);
          *ret_operands = verb != NULL && g_strcmp0 (verb->sub, words[i]) != 0;
        }
      else if (vms_verb_family (words[i]) != NULL)
        *ret_family = words[i];
      else
        verb = vms_verb_find (words[i], NULL);
    }
  return verb;
}

int
vms_cmd_complete (VmsContext *context, const VmsArgs *args, GError **error)
{
  guint n = args->n_operands > 0 ? args->n_operands - 1 : 0, n_operands;
  const char *last = args->n_operands > 0 ? args->operands[n] : "";
  const char *family;
  const VmsVerb *verb = read_words (args->operands, n, &family, &n_operands);
  const VmsOption *waiting = n > 0 ? waiting_option (verb, args->operands[n - 1]) : NULL;

  if (waiting != NULL)
    offer_kind (waiting->completer, last);
  else if (last[0] == '-')
    {
      offer_options (verb != NULL ? verb->options : NULL, last);
      offer_options (vms_global_options, last);
    }
  else if (verb == NULL)
    {
      offer_verbs (family, last);
      if (family != NULL && vms_verb_default (family) != NULL)
        offer_kind (vms_verb_default (family)->completer, last);
    }
  else if (verb->completer == VMS_COMPLETE_VERB && n_operands == 1
           && vms_verb_family (args->operands[n - 1]) != NULL)
    offer_verbs (args->operands[n - 1], last);
  else if (n_operands < verb->max)
    offer_kind (verb->completer, last);
  else if (verb->flags & VMS_VERB_COMMAND)
    offer_kind (VMS_COMPLETE_FILE, last);
  return 0;
}
