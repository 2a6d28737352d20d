// SPDX-License-Identifier: LGPL-2.1-or-later
// Walks the command table: every row must be complete and agree with itself and with the others.
#include <string.h>

#include "args.h"
#include "help.h"
#include "suggest.h"

/* Longer lines would not fit beside the verb in `vms help`. */
#define SUMMARY_MAX 80

static void
check_summary (const char *what, const char *summary)
{
  gsize length = summary != NULL ? strlen (summary) : 0;

  g_test_message ("%s", what);
  g_assert_cmpuint (length, >, 0);
  g_assert_cmpuint (length, <=, SUMMARY_MAX + 20);
  g_assert_false (g_str_has_suffix (summary, "."));
  g_assert_false (g_ascii_isupper (summary[0]) && g_ascii_islower (summary[1]));
}

static void
check_word (const char *word)
{
  g_assert_nonnull (word);
  g_assert_cmpuint (strlen (word), >, 1);
  g_assert_cmpuint (strspn (word, "abcdefghijklmnopqrstuvwxyz-"), ==, strlen (word));
  g_assert_true (word[0] != '-');
}

static void
check_options (const VmsOption *options, gboolean global)
{
  for (const VmsOption *option = options; option->name != NULL; option++)
    {
      check_word (option->name);
      check_summary (option->name, option->summary);
      g_assert_true (option->letter == 0 || g_ascii_isalpha (option->letter));
      g_assert_true (option->value != NULL || !option->repeat);
      g_assert_true (option->value != NULL || option->completer == VMS_COMPLETE_NONE);
      for (const VmsOption *other = options; other < option; other++)
        {
          g_assert_cmpstr (other->name, !=, option->name);
          g_assert_true (option->letter == 0 || other->letter != option->letter);
        }
      /* an option of a verb must not hide a global one */
      for (const VmsOption *other = vms_global_options; !global && other->name != NULL; other++)
        {
          g_assert_cmpstr (other->name, !=, option->name);
          g_assert_true (option->letter == 0 || other->letter != option->letter);
        }
    }
}

/* What the usage line says and what is checked must be the same. */
static void
check_operands (const VmsVerb *row)
{
  g_autofree char *before = g_strndup (row->operands, strcspn (row->operands, "-"));
  g_auto (GStrv) words = g_strsplit (g_strstrip (before), " ", -1);
  guint required = 0, most = 0;

  for (char **word = words; *word != NULL; word++)
    {
      if (**word == '\0' || strcmp (*word, "[") == 0)
        continue;
      required += **word != '[' && !g_str_has_suffix (*word, "]]");
      most = strstr (*word, "...") != NULL ? VMS_MANY : most == VMS_MANY ? VMS_MANY : most + 1;
    }
  g_assert_cmpuint (row->min, ==, required);
  g_assert_cmpuint (row->max, ==, most);
}

static void
test_rows (void)
{
  for (const VmsVerb *row = vms_verbs; row->verb != NULL; row++)
    {
      g_autofree char *title = vms_verb_title (row);

      check_word (row->verb);
      check_summary (title, row->summary);
      g_assert_nonnull (row->run);
      g_assert_cmpint (row->group, >=, 0);
      g_assert_cmpint (row->group, <, VMS_N_GROUPS);
      g_assert_true (row->max == 0 || row->operands[0] != '\0');
      g_assert_true (row->max > 0 || row->completer == VMS_COMPLETE_NONE);
      g_assert_true (row->details == NULL || g_str_has_suffix (row->details, "."));
      check_operands (row);
      if (row->sub != NULL)
        check_word (row->sub);
      if (row->options != NULL)
        check_options (row->options, FALSE);
      g_assert_true (vms_verb_find (row->verb, row->sub) == row);
      for (const VmsVerb *other = vms_verbs; other < row; other++)
        {
          g_assert_true (other->run != row->run);
          g_assert_true (row->alias == NULL || strcmp (row->alias, other->verb) != 0);
          /* a family has subverbs only, one after the other */
          if (strcmp (other->verb, row->verb) == 0)
            {
              g_assert_true (other->sub != NULL && row->sub != NULL
                             && strcmp (other->sub, row->sub) != 0);
              g_assert_cmpstr (row[-1].verb, ==, row->verb);
            }
        }
    }
}

static void
test_global_options (void)
{
  check_options (vms_global_options, TRUE);
  for (int group = 0; group < VMS_N_GROUPS; group++)
    g_assert_nonnull (vms_group_titles[group]);
}

/* Parses, or fails with the message that is expected (nullable: the parse must succeed). */
static VmsArgs *
parse (const char *line, const char *problem)
{
  g_auto (GStrv) argv = NULL;
  g_autoptr (GError) error = NULL;
  const VmsVerb *verb;
  VmsArgs *args;

  g_assert_true (g_shell_parse_argv (line, NULL, &argv, NULL));
  args = vms_args_parse (argv, &verb, &error);
  if (problem == NULL)
    g_assert_no_error (error);
  else
    {
      g_assert_null (args);
      g_test_message ("%s", error->message);
      g_assert_nonnull (strstr (error->message, problem));
    }
  return args;
}

static void
test_operands_and_options (void)
{
  g_autoptr (VmsArgs) args = parse ("-q start work --share=/a:~/b home -s /c --timeout 5m", NULL);
  g_autofree char **shares = vms_args_get_all (args, "share");
  gint64 usec;

  g_assert_cmpstr (args->verb->verb, ==, "start");
  g_assert_cmpuint (args->n_operands, ==, 2);
  g_assert_cmpstr (args->operands[0], ==, "work");
  g_assert_cmpstr (args->operands[1], ==, "home");
  g_assert_cmpstr (shares[0], ==, "/a:~/b");
  g_assert_cmpstr (shares[1], ==, "/c");
  g_assert_null (shares[2]);
  g_assert_true (vms_args_has (args, "quiet"));
  g_assert_true (vms_args_get_time (args, "timeout", &usec, NULL));
  g_assert_cmpint (usec, ==, 5 * 60 * (gint64)G_USEC_PER_SEC);
}

static void
test_command (void)
{
  /* options after the name are ours until the command begins, with or without "--" */
  static const char *const lines[] = { "exec -C /tmp work -- ls -la --json",
                                       "exec work -C /tmp ls -la --json",
                                       "exec work -C /tmp -- ls -la --json" };

  for (gsize i = 0; i < G_N_ELEMENTS (lines); i++)
    {
      g_autoptr (VmsArgs) args = parse (lines[i], NULL);
      g_assert_cmpstr (vms_args_get (args, "directory"), ==, "/tmp");
      g_assert_false (vms_args_has (args, "json"));
      g_assert_cmpuint (g_strv_length (args->command), ==, 3);
      g_assert_cmpstr (args->command[2], ==, "--json");
    }
}

static void
test_second_dashes (void)
{
  g_autoptr (VmsArgs) args = parse ("exec work -- grep -- -x", NULL);
  g_autoptr (VmsArgs) none = parse ("ssh work --", NULL);

  g_assert_cmpuint (g_strv_length (args->command), ==, 3);
  g_assert_cmpstr (args->command[1], ==, "--");
  g_assert_null (none->command);
}

static void
test_problems (void)
{
  static const struct
  {
    const char *line, *problem;
  } cases[] = {
    { "strat work", "did you mean \"start\"?" },
    { "stats", "did you mean \"status\"?" },
    { "xyzzy", "unknown verb \"xyzzy\"" },
    { "image biuld", "did you mean \"image build\"?" },
    { "start --shrae=/x work", "did you mean \"--share\"?" },
    { "--conect x list", "did you mean \"--connect\"?" },
    { "start -Z work", "unknown option \"-Z\"" },
    { "start", "something is missing: NAME..." },
    { "list work", "takes no arguments" },
    { "console a b", "one too many: \"b\"" },
    { "stop --force=1 a", "takes no value" },
    { "stop a --timeout", "needs a value: TIME" },
    { "logs a -n", "needs a value: N" },
    { "stop a --timeout 1s --timeout 2s", "only once" },
    { "stop a --timeout 1.5s", "is no time" },
    { "stop a --timeout -1", "is no time" },
    { "stop a --timeout 0", "is no time" },
    { "stop a --timeout 169h", "is no time" },
    { "stop a --timeout 99999999999999999999", "is no time" },
    { "stop a --json", "does not take --json" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_assert_null (parse (cases[i].line, cases[i].problem));
    }
}

/* Every verb and option is found again after each single slip of the finger. */
static void
test_slips (void)
{
  for (const VmsVerb *row = vms_verbs; row->verb != NULL; row++)
    {
      gsize length = strlen (row->verb);
      for (gsize i = 0; length >= 5 && i < length && !(row->flags & VMS_VERB_HIDDEN); i++)
        {
          g_autofree char *word = g_strdup (row->verb);
          g_autofree char *found = NULL;
          word[i] = word[i] == 'q' ? 'x' : 'q';
          found = vms_suggest_verb (NULL, word);
          g_assert_cmpstr (found, ==, row->verb);
        }
    }
  g_assert_null (vms_suggest_verb (NULL, ""));
  g_assert_null (vms_suggest_verb (NULL, "zzzzzzzzzz"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/table/rows", test_rows);
  g_test_add_func ("/table/global-options", test_global_options);
  g_test_add_func ("/args/operands-and-options", test_operands_and_options);
  g_test_add_func ("/args/command", test_command);
  g_test_add_func ("/args/second-dashes", test_second_dashes);
  g_test_add_func ("/args/problems", test_problems);
  g_test_add_func ("/suggest/slips", test_slips);
  return g_test_run ();
}
