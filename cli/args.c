// SPDX-License-Identifier: LGPL-2.1-or-later
// Reads a command line by the command table: VERB [SUBVERB] OPERANDS, with options anywhere before
// "--".
#include "args.h"

#include <sandbox/error.h>
#include <string.h>

#include "output.h"
#include "suggest.h"

#define TIME_MAX_USEC (7 * 24 * 3600 * (gint64)G_USEC_PER_SEC)

void
vms_args_free (VmsArgs *args)
{
  g_strfreev (args->operands);
  g_strfreev (args->command);
  g_hash_table_unref (args->options);
  g_free (args);
}

static void
add_value (VmsArgs *args, const char *name, const char *value)
{
  GPtrArray *values = g_hash_table_lookup (args->options, name);
  if (values == NULL)
    {
      values = g_ptr_array_new_with_free_func (g_free);
      g_hash_table_insert (args->options, g_strdup (name), values);
    }
  g_ptr_array_add (values, g_strdup (value));
}

static gboolean
fail_option (const VmsVerb *verb, const char *text, GError **error)
{
  g_autofree char *shown = vms_escape (text);
  g_autofree char *near =
      g_str_has_prefix (text, "--") ? vms_suggest_option (verb, text + 2) : NULL;
  g_autofree char *title = verb != NULL ? vms_verb_title (verb) : NULL;

  return vms_fail (error, SANDBOX_ERROR_INVALID, "%s%sunknown option \"%s\"%s%s%s",
                   title != NULL ? title : "", title != NULL ? ": " : "", shown,
                   near != NULL ? "; did you mean \"--" : "", near != NULL ? near : "",
                   near != NULL ? "\"?" : "");
}

/* --name, --name=value, --name value. Moves *@at past a value that is a word of its own. */
static gboolean
parse_long (VmsArgs *args, char **argv, guint *at, GError **error)
{
  const char *word = argv[*at];
  const char *equals = strchr (word, '=');
  g_autofree char *name =
      equals != NULL ? g_strndup (word + 2, equals - word - 2) : g_strdup (word + 2);
  g_autofree char *dashed = g_strconcat ("--", name, NULL);
  const VmsOption *option = vms_option_find (args->verb, name);

  if (option == NULL)
    return fail_option (args->verb, dashed, error);
  if (option->value == NULL && equals != NULL)
    return vms_fail (error, SANDBOX_ERROR_INVALID, "option \"%s\" takes no value", dashed);
  if (option->value != NULL && equals == NULL && argv[*at + 1] == NULL)
    return vms_fail (error, SANDBOX_ERROR_INVALID, "option \"%s\" needs a value: %s", dashed,
                     option->value);

  if (option->value == NULL)
    add_value (args, name, "");
  else if (equals != NULL)
    add_value (args, name, equals + 1);
  else
    add_value (args, name, argv[++*at]);
  return TRUE;
}

/* -q, -fq, -nVALUE, -n VALUE */
static gboolean
parse_short (VmsArgs *args, char **argv, guint *at, GError **error)
{
  for (const char *letter = argv[*at] + 1; *letter != '\0'; letter++)
    {
      const VmsOption *option = vms_option_find_letter (args->verb, *letter);
      if (option == NULL)
        return fail_option (args->verb, argv[*at], error);
      if (option->value == NULL)
        {
          add_value (args, option->name, "");
          continue;
        }
      if (letter[1] == '\0' && argv[*at + 1] == NULL)
        return vms_fail (error, SANDBOX_ERROR_INVALID, "option \"-%c\" needs a value: %s", *letter,
                         option->value);
      add_value (args, option->name, letter[1] != '\0' ? letter + 1 : argv[++*at]);
      return TRUE;
    }
  return TRUE;
}

gboolean
vms_fail_verb (const char *family, const char *word, GError **error)
{
  g_autofree char *shown = vms_escape (word);
  g_autofree char *near = vms_suggest_verb (family, word);

  return vms_fail (error, SANDBOX_ERROR_INVALID, "unknown verb \"%s%s%s\"%s%s%s%s%s",
                   family != NULL ? family : "", family != NULL ? " " : "", shown,
                   near != NULL ? "; did you mean \"" : "",
                   near != NULL && family != NULL ? family : "",
                   near != NULL && family != NULL ? " " : "", near != NULL ? near : "",
                   near != NULL ? "\"?" : "");
}

/* The first word, or the second of a family. FALSE with @error when it is none that we know.
 * *@ret_operand: the second word was left out, and this is what follows. */
static gboolean
take_verb (VmsArgs *args, const char *word, gboolean *ret_operand, GError **error)
{
  args->verb = vms_verb_find (args->family != NULL ? args->family : word,
                              args->family != NULL ? word : NULL);
  if (args->verb != NULL)
    return TRUE;
  if (args->family == NULL && vms_verb_family (word) != NULL)
    {
      args->family = vms_verb_family (word)->verb;
      return TRUE;
    }
  args->verb = args->family != NULL ? vms_verb_default (args->family) : NULL;
  *ret_operand = args->verb != NULL;
  return args->verb != NULL || vms_fail_verb (args->family, word, error);
}

static gboolean
check_operands (const VmsArgs *args, GError **error)
{
  const VmsVerb *verb = args->verb;
  g_autofree char *title = vms_verb_title (verb);

  if (args->n_operands < verb->min)
    return vms_fail (error, SANDBOX_ERROR_INVALID, "%s: something is missing: %s", title,
                     verb->operands);
  if (args->n_operands > verb->max && verb->max == 0)
    {
      g_autofree char *shown = vms_escape (args->operands[0]);
      return vms_fail (error, SANDBOX_ERROR_INVALID, "%s: takes no arguments, \"%s\" was given",
                       title, shown);
    }
  if (args->n_operands > verb->max)
    {
      g_autofree char *shown = vms_escape (args->operands[verb->max]);
      return vms_fail (error, SANDBOX_ERROR_INVALID, "%s: one too many: \"%s\"", title, shown);
    }
  if ((verb->flags & VMS_VERB_NEEDS_COMMAND) && args->command == NULL)
    return vms_fail (error, SANDBOX_ERROR_INVALID, "%s: the command is missing: %s", title,
                     verb->operands);
  if (vms_args_has (args, "json") && !(verb->flags & VMS_VERB_JSON))
    return vms_fail (error, SANDBOX_ERROR_INVALID, "%s: does not take --json", title);
  return TRUE;
}

static gboolean
check_env (const char *text, GError **error)
{
  gsize length = strcspn (text, "=");
  g_autofree char *shown = vms_escape (text);

  if (length == 0 || g_ascii_isdigit (*text)
      || strspn (text, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "_") < length)
    return vms_fail (error, SANDBOX_ERROR_INVALID, "--env: \"%s\" is no NAME=VALUE, and no NAME",
                     shown);
  if (text[length] == '=' || g_getenv (text) != NULL)
    return TRUE;
  return vms_fail (error, SANDBOX_ERROR_INVALID,
                   "--env: there is no variable %s here that could be passed on; --env %s=VALUE "
                   "gives it one",
                   shown, shown);
}

/* The values, by what the table calls them, so that a bad one is found before anything is done. */
static gboolean
check_values (const VmsArgs *args, GError **error)
{
  GHashTableIter iter;
  gpointer name, values;
  gint64 usec;

  g_hash_table_iter_init (&iter, args->options);
  while (g_hash_table_iter_next (&iter, &name, &values))
    {
      const VmsOption *option = vms_option_find (args->verb, name);
      GPtrArray *all = values;
      if (option->value != NULL && !option->repeat && all->len > 1)
        return vms_fail (error, SANDBOX_ERROR_INVALID, "option \"--%s\" may be given only once",
                         (const char *)name);
      if (g_strcmp0 (option->value, "TIME") == 0 && !vms_args_get_time (args, name, &usec, error))
        return FALSE;
      for (guint i = 0; g_strcmp0 (option->value, "NAME[=VALUE]") == 0 && i < all->len; i++)
        if (!check_env (g_ptr_array_index (all, i), error))
          return FALSE;
    }
  return TRUE;
}

/* One word that is not an option. Returns TRUE in @ret_rest when it begins the command for the
 * guest. */
static gboolean
take_word (VmsArgs *args, GPtrArray *operands, const char *word, gboolean *ret_rest, GError **error)
{
  gboolean operand = TRUE;

  if (args->verb == NULL)
    {
      operand = FALSE;
      if (!take_verb (args, word, &operand, error))
        return FALSE;
    }
  if (!operand)
    return TRUE;
  if ((args->verb->flags & VMS_VERB_COMMAND) && operands->len == args->verb->max)
    *ret_rest = TRUE;
  else
    g_ptr_array_add (operands, g_strdup (word));
  return TRUE;
}

static gboolean
parse_words (VmsArgs *args, GPtrArray *operands, char **argv, GError **error)
{
  gboolean dashes = FALSE, rest = FALSE, ok = TRUE;

  for (guint i = 0; argv[i] != NULL && ok && !rest; i++)
    {
      if (!dashes && strcmp (argv[i], "--") == 0)
        dashes = TRUE;
      else if (!dashes && g_str_has_prefix (argv[i], "--"))
        ok = parse_long (args, argv, &i, error);
      else if (!dashes && argv[i][0] == '-' && argv[i][1] != '\0')
        ok = parse_short (args, argv, &i, error);
      else
        ok = take_word (args, operands, argv[i], &rest, error);
      if (rest)
        args->command = g_strdupv (argv + i);
    }
  return ok;
}

VmsArgs *
vms_args_parse (char **argv, const VmsVerb **ret_verb, GError **error)
{
  g_autoptr (VmsArgs) args = g_new0 (VmsArgs, 1);
  GPtrArray *operands = g_ptr_array_new ();
  gboolean ok;

  args->options =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
  ok = parse_words (args, operands, argv, error);
  args->n_operands = operands->len;
  g_ptr_array_add (operands, NULL);
  args->operands = (char **)g_ptr_array_free (operands, FALSE);
  *ret_verb = args->verb != NULL     ? args->verb
              : args->family != NULL ? vms_verb_family (args->family)
                                     : NULL;
  if (!ok)
    return NULL;
  if (vms_args_has (args, "help") || vms_args_has (args, "version"))
    return g_steal_pointer (&args);
  if (args->verb != NULL && !check_operands (args, error))
    return NULL;
  if (!check_values (args, error))
    return NULL;
  return g_steal_pointer (&args);
}

gboolean
vms_args_has (const VmsArgs *args, const char *option)
{
  return g_hash_table_contains (args->options, option);
}

const char *
vms_args_get (const VmsArgs *args, const char *option)
{
  GPtrArray *values = g_hash_table_lookup (args->options, option);
  return values != NULL ? g_ptr_array_index (values, values->len - 1) : NULL;
}

char **
vms_args_get_all (const VmsArgs *args, const char *option)
{
  GPtrArray *values = g_hash_table_lookup (args->options, option);
  char **all;

  if (values == NULL)
    return NULL;
  all = g_new0 (char *, values->len + 1);
  for (guint i = 0; i < values->len; i++)
    all[i] = g_ptr_array_index (values, i);
  return all;
}

static gboolean
parse_time (const char *text, gint64 *ret_usec)
{
  static const struct
  {
    const char *unit;
    gint64 usec;
  } units[] = { { "ms", 1000 },
                { "s", G_USEC_PER_SEC },
                { "", G_USEC_PER_SEC },
                { "m", 60 * (gint64)G_USEC_PER_SEC },
                { "h", 3600 * (gint64)G_USEC_PER_SEC } };
  gsize digits = strspn (text, "0123456789");
  g_autofree char *number = g_strndup (text, digits);
  guint64 value;

  if (digits == 0 || digits > 9)
    return FALSE;
  value = g_ascii_strtoull (number, NULL, 10);
  for (gsize i = 0; i < G_N_ELEMENTS (units); i++)
    if (strcmp (text + digits, units[i].unit) == 0 && value > 0
        && value <= (guint64)(TIME_MAX_USEC / units[i].usec))
      {
        *ret_usec = (gint64)value * units[i].usec;
        return TRUE;
      }
  return FALSE;
}

gboolean
vms_args_get_time (const VmsArgs *args, const char *option, gint64 *ret_usec, GError **error)
{
  const char *text = vms_args_get (args, option);
  g_autofree char *shown = text != NULL ? vms_escape (text) : NULL;

  if (text == NULL)
    {
      *ret_usec = 0;
      return TRUE;
    }
  if (!parse_time (text, ret_usec))
    return vms_fail (error, SANDBOX_ERROR_INVALID,
                     "--%s: \"%s\" is no time; write it as 90s, 5m or 2h, at most 168h", option,
                     shown);
  return TRUE;
}

gboolean
vms_args_get_number (const VmsArgs *args, const char *option, guint64 max, guint64 *ret_number,
                     GError **error)
{
  const char *text = vms_args_get (args, option);
  g_autofree char *shown = text != NULL ? vms_escape (text) : NULL;

  if (text == NULL)
    {
      *ret_number = 0;
      return TRUE;
    }
  if (!g_ascii_string_to_unsigned (text, 10, 1, max, ret_number, NULL))
    return vms_fail (error, SANDBOX_ERROR_INVALID,
                     "--%s: \"%s\" is no number from 1 to %" G_GUINT64_FORMAT, option, shown, max);
  return TRUE;
}
