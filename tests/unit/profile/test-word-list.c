// SPDX-License-Identifier: LGPL-2.1-or-later
// Items of [provision]: what is taken, what is refused, how lists add up.
#include "fixture.h"

#include "profile/profile-internal.h"

typedef struct
{
  KeyId id;
  const char *good[16], *bad[24];
} Case;

static const Case cases[] = {
  { KEY_PROVISION_USE, { "node", "claude-code" }, { "", "Node", "../x", "a/b", "a b", "-x" } },
  { KEY_PROVISION_PACKAGES,
    { "git", "g++", "libc6-dev", "python3.13", "nodejs=20.19.2+dfsg-1~x", "docker-cli?" },
    { "", "a", "-y", "Git", "git;", "a b", "./x.deb", "git/sid", "git=", "git=1 2", "*", "git*",
      "$(id)", "git\n", "git??", "git?=1", "git=1?", "g?", "?" } },
  { KEY_PROVISION_NPM,
    { "typescript", "@openai/codex", "npm@10", "@a/b@1.2.3-rc.1", "x@^2" },
    { "", "@", "@a", "@a/", "/b", "@a/b/c", "-g", "--prefix", "a b", "git+https:", "https://x/y",
      "file:x", "a@", "../x", "a@b/c", ".", "@./b" } },
  { KEY_PROVISION_ENV,
    { "A=", "EDITOR=vim", "GREETING=hello there", "_X=a=b", "P=/a:/b" },
    { "", "A", "=b", "1A=b", "A B=c", "A=\"b\"", "A=$B", "A=`id`", "A=b#c", "A=b\\c", "A='b'" } },
  { KEY_POLICY_FORBID,
    { "npm", "docker*", "@openai/*", "*claude*", "lib?x", "python3.13", "g++" },
    { "",     "*",      "?*",  "a",   "a*",    "-rf", "./x",   "/bin/x", "a/b", "@a", "@/b",
      "@ab/", "@a/b/c", "a@b", "x y", "$(id)", "a;b", "[ab]c", "npm\n",  "..",  "+ab" } },
  { KEY_PROVISION_SETUP,
    { "setup.sh", "~/setup.sh,as=user", "/srv/x/y.sh,as=root", "sub/x.sh" },
    { "", "/", "~", "~/", "../x", "a/../b", "a//b", "~root/x", "x,as=other", "x,as=", "x,mode=1",
      "a b", "x,", "./x", "x,as=root,as=user" } },
  { KEY_PROVISION_FILES,
    { "a:/etc/a", "a:~/.a", "~/a:/b,owner=user", "/x/a:~/b,owner=root,mode=755" },
    { "", "a", "a:", ":b", "a:b", "a:../b", "a:/b/../c", "a:~root/b", "a:/b,mode=7777",
      "a:/b,mode=8", "a:/b,mode=4755", "a:/b,owner=dev", "a:/b,x=y", "a:/b c", "a:/",
      "a:/b,mode=644,mode=600", "a:/b,owner=root,mode=644,owner=user" } },
};

static void
test_items (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      for (guint k = 0; cases[i].good[k]; k++)
        {
          g_autoptr (GError) error = NULL;
          g_autofree char *text = _sandbox_word_canonical (cases[i].id, cases[i].good[k], &error);

          g_assert_no_error (error);
          g_assert_cmpstr (text, ==, cases[i].good[k]);
        }
      for (guint k = 0; cases[i].bad[k]; k++)
        {
          g_autoptr (GError) error = NULL;

          g_test_message ("%s", cases[i].bad[k]);
          g_assert_null (_sandbox_word_canonical (cases[i].id, cases[i].bad[k], &error));
          g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
        }
    }
}

static void
test_files (void)
{
  g_auto (SandboxProvisionFile) a = { 0 }, b = { 0 };

  g_assert_true (_sandbox_files_item_parse ("x:~/.x", &a, NULL));
  g_assert_true (a.as_user);
  g_assert_cmpuint (a.mode, ==, 0644);
  g_assert_true (_sandbox_files_item_parse ("x:/etc/x,mode=0750", &b, NULL));
  g_assert_false (b.as_user);
  g_assert_cmpuint (b.mode, ==, 0750);
  g_assert_cmpstr (b.source, ==, "x");
  g_assert_cmpstr (b.target, ==, "/etc/x");
}

/* Where each machine has its own: what is put there would not be there. */
static void
test_files_not_kept (void)
{
  static const char *const places[] = { "/etc/hosts",
                                        "/tmp/a/b",
                                        "/run/x",
                                        "/var/log/x",
                                        "~/.ssh/authorized_keys",
                                        "/home/dev/.ssh/authorized_keys",
                                        "/etc/ssh/ssh_host_rsa_key" };
  static const char *const kept[] = { "/etc/hosts.allow", "/etc/tmp/a", "~/.ssh/config", "~/tmp/x",
                                      "/srv/run/x" };

  for (gsize i = 0; i < G_N_ELEMENTS (places); i++)
    {
      g_autofree char *item = g_strconcat ("x:", places[i], NULL);
      g_auto (SandboxProvisionFile) file = { 0 };
      g_autoptr (GError) error = NULL;

      g_assert_false (_sandbox_files_item_parse (item, &file, &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
      g_assert_nonnull (strstr (error->message, places[i]));
    }
  for (gsize i = 0; i < G_N_ELEMENTS (kept); i++)
    {
      g_autofree char *item = g_strconcat ("x:", kept[i], NULL);
      g_auto (SandboxProvisionFile) file = { 0 };

      g_assert_true (_sandbox_files_item_parse (item, &file, NULL));
    }
}

/* Of two values of one thing nobody could say which one holds; what is inherited is replaced. */
static void
test_once (void)
{
  static const struct
  {
    KeyId id;
    const char *twice, *inherited, *added, *sum;
  } once[] = {
    { KEY_PROVISION_ENV, "A=1;B=1;A=2", "A=1;B=1", "+A=2;C=3", "A=2;B=1;C=3" },
    { KEY_PROVISION_FILES, "a:/x;b:/x,mode=600", "a:/x;a:/y", "+b:/x;c:/z", "b:/x;a:/y;c:/z" },
    { KEY_PROVISION_PACKAGES, "jq;jq", "jq;git", "+git;tree", "jq;git;tree" },
    { KEY_PROVISION_PACKAGES, "jq;jq=1.7-1", "jq;git?", "+jq=1.7-1;git", "jq=1.7-1;git" },
    { KEY_PROVISION_NPM, "a;a@2", "a@1;@s/a;b", "+a@2;@s/a@3", "a@2;@s/a@3;b" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (once); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *list = NULL, *sum = NULL;

      g_assert_false (_sandbox_list_check (once[i].id, once[i].twice, &list, &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
      g_test_message ("%s", error->message);
      g_clear_error (&error);
      g_assert_true (
          _sandbox_list_merge (once[i].id, once[i].inherited, once[i].added, &sum, &error));
      g_assert_no_error (error);
      g_assert_cmpstr (sum, ==, once[i].sum);
    }
}

static void
test_time (void)
{
  static const char *const bad[] = { "", "0m", "5", "m", "1d", "25h", "-1m", "1.5h", "90001s" };

  g_assert_cmpint (_sandbox_time_limit_usec ("90s"), ==, 90 * G_USEC_PER_SEC);
  g_assert_cmpint (_sandbox_time_limit_usec ("2h"), ==, 7200 * (gint64)G_USEC_PER_SEC);
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_false (_sandbox_time_limit_check (bad[i], &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/word-list/items", test_items);
  g_test_add_func ("/word-list/files", test_files);
  g_test_add_func ("/word-list/files-not-kept", test_files_not_kept);
  g_test_add_func ("/word-list/once", test_once);
  g_test_add_func ("/word-list/time", test_time);
  return g_test_run ();
}
