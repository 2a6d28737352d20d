// SPDX-License-Identifier: LGPL-2.1-or-later
// Shares that come and go, as far as it goes without a guest: in the profile of a machine that is
// off, and what is refused before anything is done. With a guest: tests/vm/52-live-shares.sh.
#include "facade-driver.h"

static char *
profile_text (const SandboxHost *host, const char *name)
{
  g_autofree char *file = g_strconcat (name, ".profile", NULL);
  g_autofree char *path = g_build_filename (g_get_user_config_dir (), "vms", file, NULL);
  char *text = NULL;

  g_file_get_contents (path, &text, NULL, NULL);
  return text;
}

static char *
make_directory (const char *name)
{
  char *path = g_build_filename (g_getenv ("HOME"), name, NULL);

  g_assert_cmpint (g_mkdir_with_parents (path, 0755), ==, 0);
  return path;
}

static SandboxMachine *
make_machine (SandboxHost *host, const char *name)
{
  g_autoptr (GError) error = NULL;
  SandboxMachine *machine = sandbox_host_create (host, name, "ci", NULL, NULL, &error);

  g_assert_no_error (error);
  return machine;
}

/* NULL: it is not there. */
static const SandboxShare *
find (const GPtrArray *shares, const char *name)
{
  for (guint i = 0; shares != NULL && i < shares->len; i++)
    if (g_str_equal (((const SandboxShare *)shares->pdata[i])->name, name))
      return shares->pdata[i];
  return NULL;
}

static GPtrArray *
list (SandboxMachine *machine)
{
  g_autoptr (GError) error = NULL;
  GPtrArray *shares = sandbox_machine_list_shares (machine, NULL, &error);

  g_assert_no_error (error);
  return shares;
}

static gboolean
add (SandboxMachine *machine, const char *spec, gint64 for_usec, char **ret_name, GError **error)
{
  SandboxAddShareOptions options = SANDBOX_ADD_SHARE_OPTIONS_INIT;

  options.for_usec = for_usec;
  return sandbox_machine_add_share (machine, spec, &options, NULL, NULL, NULL, ret_name, error);
}

static void
test_off (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = make_machine (host, "off");
  g_autofree char *src = make_directory ("src"), *spec = g_strconcat (src, ":~/code", NULL);
  g_autofree char *more = g_strconcat (src, ",guard=deploy.sh", NULL);
  g_autofree char *most = g_strconcat (src, ",flag=*.tf", NULL);
  g_autofree char *before = profile_text (host, "off"), *first = NULL, *again = NULL;
  g_autofree char *changed = NULL, *after = NULL, *name = NULL;
  g_autoptr (GPtrArray) shares = NULL, left = NULL;
  g_autoptr (GError) error = NULL;
  const SandboxShare *share;

  g_assert_true (add (machine, spec, 0, &name, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (name, ==, "src");
  shares = list (machine);
  share = find (shares, "src");
  g_assert_nonnull (share);
  g_assert_cmpstr (share->source, ==, src);
  g_assert_cmpstr (share->target, ==, "/home/dev/code");
  g_assert_cmpstr (share->mode, ==, "review");
  g_assert_cmpint ((int)share->state, ==, SANDBOX_SHARE_OFF);
  g_assert_true (share->in_profile);
  g_assert_cmpint (share->until_usec, ==, 0);
  first = profile_text (host, "off");
  /* once more is no mistake, and changes nothing */
  g_assert_true (add (machine, spec, 0, NULL, &error));
  again = profile_text (host, "off");
  g_assert_cmpstr (first, ==, again);
  /* in another way: it is the same share */
  g_assert_true (add (machine, more, 0, NULL, &error));
  g_assert_true (add (machine, most, 0, NULL, &error));
  changed = profile_text (host, "off");
  g_assert_nonnull (strstr (changed, "\nguard=deploy.sh\nflag=*.tf\n"));
  g_assert_nonnull (strstr (changed, "\ntarget=~/code\n"));
  g_assert_true (sandbox_machine_remove_share (machine, src, NULL, NULL, &error));
  g_assert_no_error (error);
  after = profile_text (host, "off");
  g_assert_null (strstr (after, "share:src"));
  g_assert_nonnull (strstr (after, "inherits=ci"));
  left = list (machine);
  g_assert_null (find (left, "src"));
  g_assert_false (sandbox_machine_remove_share (machine, "src", NULL, NULL, &error));
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_NOT_FOUND);
}

/* What is refused leaves the profile as it was, to the byte. */
static void
test_refused (void)
{
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = make_machine (host, "refused");
  g_autofree char *src = make_directory ("other"), *inner = make_directory ("other/inner");
  g_autofree char *before = NULL;
  const struct
  {
    const char *options;
    gint64 for_usec;
    int code;
  } cases[] = {
    { "", G_USEC_PER_SEC, SANDBOX_ERROR_WRONG_STATE },
    { "", -1, SANDBOX_ERROR_INVALID },
    { "", G_GINT64_CONSTANT (8) * 86400 * G_USEC_PER_SEC, SANDBOX_ERROR_INVALID },
    { ",mode=all", 0, SANDBOX_ERROR_INVALID },
    { ",limit=1GiB", 0, SANDBOX_ERROR_INVALID },
    { ",shadow=target", 0, SANDBOX_ERROR_INVALID },
    { ",mode=rw,guard=x", 0, SANDBOX_ERROR_INVALID },
    { ",guard=*", 0, SANDBOX_ERROR_INVALID },
    { ":/etc", 0, SANDBOX_ERROR_INVALID },
  };

  g_assert_true (add (machine, inner, 0, NULL, NULL));
  before = profile_text (host, "refused");
  for (gsize i = 0; i <= G_N_ELEMENTS (cases); i++)
    {
      /* at last: one that holds what is shared already */
      g_autofree char *dir = make_directory (i < G_N_ELEMENTS (cases) ? "third" : "other");
      g_autofree char *spec =
          g_strconcat (dir, i < G_N_ELEMENTS (cases) ? cases[i].options : "", NULL);
      g_autofree char *after = NULL;
      g_autoptr (GError) error = NULL;

      g_test_message ("%s", spec);
      g_assert_false (
          add (machine, spec, i < G_N_ELEMENTS (cases) ? cases[i].for_usec : 0, NULL, &error));
      g_assert_true (g_error_matches (
          error, SANDBOX_ERROR, i < G_N_ELEMENTS (cases) ? cases[i].code : SANDBOX_ERROR_INVALID));
      after = profile_text (host, "refused");
      g_assert_cmpstr (before, ==, after);
    }
}

/* Killed, or failing, at each of its steps, on a machine that is off: nothing is left of it. */
static void
test_faults (void)
{
  static const char *const steps[] = { "profile", "plan",   "check",  "record", "door", "metadata",
                                       "tell",    "device", "mounts", "define", "time" };
  g_autoptr (SandboxHost) host = driver_test_open (TEST_URI, NULL);
  g_autoptr (SandboxMachine) machine = make_machine (host, "faults");
  g_autofree char *src = make_directory ("faulty"), *before = profile_text (host, "faults");

  for (gsize i = 0; i < 2 * G_N_ELEMENTS (steps); i++)
    {
      g_autofree char *fault =
          g_strdup_printf ("share-add:%s:%s:fail", steps[i / 2], i % 2 ? "after" : "before");
      g_autofree char *after = NULL;
      g_autoptr (GError) error = NULL;

      g_test_message ("%s", fault);
      g_setenv ("SANDBOX_FAULT", fault, TRUE);
      g_assert_false (add (machine, src, 0, NULL, &error));
      g_unsetenv ("SANDBOX_FAULT");
      g_assert_nonnull (error);
      after = profile_text (host, "faults");
      g_assert_cmpstr (before, ==, after);
    }
  g_assert_true (add (machine, src, 0, NULL, NULL));
}

int
main (int argc, char **argv)
{
  g_autofree char *home = driver_test_home ();
  int status;

  umask (022);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/driver/shares/off", test_off);
  g_test_add_func ("/driver/shares/refused", test_refused);
  g_test_add_func ("/driver/shares/faults", test_faults);
  status = g_test_run ();
  driver_test_remove_home (home);
  return status;
}
