// SPDX-License-Identifier: LGPL-2.1-or-later
// The way to packages, as this host knows it: a machine that is provisioned takes the same one.
#include "facade/provision-private.h"

#include "base/child.h"

#include <string.h>

#define ASK_USEC   (20 * G_USEC_PER_SEC)
#define ANSWER_MAX (64 * 1024)
#define NAMES_MAX  16
#define URL_CHARS  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:/.-_~%"

/* What is a program's own setting, and what it is found with: a configuration file can name any
 * variable, and its value would go into the machine, and to whoever is asked for packages there. */
static char **
small_env (void)
{
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  g_auto (GStrv) all = g_get_environ ();

  for (char **one = all; *one != NULL; one++)
    if (g_str_has_prefix (*one, "HOME=") || g_str_has_prefix (*one, "PATH=")
        || g_ascii_strncasecmp (*one, "npm_config_", strlen ("npm_config_")) == 0)
      g_strv_builder_add (builder, *one);
  return g_strv_builder_end (builder);
}

/* What a program of this host says; NULL when it is not there, or fails. It runs in "/": in the
 * user's directory npm would do as the project says that lies there. */
static char *
ask (const char *const *argv, GCancellable *cancellable)
{
  g_autofree char *program = g_find_program_in_path (argv[0]);
  SandboxChildOptions child = SANDBOX_CHILD_OPTIONS_INIT;
  g_auto (GStrv) env = small_env ();
  g_autofree char *out = NULL;

  child.argv = argv;
  child.cwd = "/";
  child.env = (const char *const *)env;
  if (program == NULL
      || !sandbox_child_run (&child, ASK_USEC, ANSWER_MAX, cancellable, &out, NULL, NULL, NULL))
    return NULL;
  return g_steal_pointer (&out);
}

/* An address with a password in it stays on the host. */
char *
_sandbox_provision_registry (GCancellable *cancellable)
{
  static const char *const argv[] = { "npm", "config", "get", "registry", NULL };
  g_autofree char *answer = ask (argv, cancellable);

  if (answer == NULL)
    return NULL;
  g_strstrip (answer);
  if ((!g_str_has_prefix (answer, "https://") && !g_str_has_prefix (answer, "http://"))
      || strspn (answer, URL_CHARS) != strlen (answer))
    return NULL;
  return g_steal_pointer (&answer);
}

static char *
host_of_url (const char *url)
{
  g_autoptr (GUri) uri = g_uri_parse (url, G_URI_FLAGS_NONE, NULL);
  const char *host = uri != NULL ? g_uri_get_host (uri) : NULL;

  if (host == NULL || g_hostname_is_ip_address (host) || strspn (host, URL_CHARS) != strlen (host))
    return NULL;
  return g_strdup (host);
}

/* The names of all places that packages come from, as far as this host knows them: the registry
 * that npm has built in is looked up by the guest itself. (element-type utf8) */
static GPtrArray *
source_names (const char *registry, GCancellable *cancellable)
{
  static const char *const argv[] = { "apt-get", "indextargets", "--format", "$(SITE)", NULL };
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *answer = ask (argv, cancellable);
  g_auto (GStrv) urls = g_strsplit (answer != NULL ? answer : "", "\n", -1);
  char *name = registry != NULL ? host_of_url (registry) : NULL;

  if (name != NULL)
    g_ptr_array_add (names, name);
  for (char **url = urls; *url != NULL && names->len < NAMES_MAX; url++)
    {
      name = host_of_url (g_strstrip (*url));
      if (name != NULL && g_ptr_array_find_with_equal_func (names, name, g_str_equal, NULL))
        g_clear_pointer (&name, g_free);
      if (name != NULL)
        g_ptr_array_add (names, name);
    }
  return names;
}

/* Appends "ADDRESS NAME;" when a guest may go there. */
static void
add_address (GString *text, SandboxPlan *plan, const char *name, GCancellable *cancellable)
{
  g_autoptr (GResolver) resolver = g_resolver_get_default ();
  GList *addresses = g_resolver_lookup_by_name_with_flags (
      resolver, name, G_RESOLVER_NAME_LOOKUP_FLAGS_IPV4_ONLY, cancellable, NULL);
  g_autofree char *shown = addresses != NULL ? g_inet_address_to_string (addresses->data) : NULL;
  SandboxCidr address;

  if (shown != NULL && sandbox_cidr_parse (shown, &address, NULL)
      && (_sandbox_plan_allows (plan, SANDBOX_FLOW_TCP, address.address, 443)
          || _sandbox_plan_allows (plan, SANDBOX_FLOW_TCP, address.address, 80)))
    g_string_append_printf (text, "%s %s;", shown, name);
  g_resolver_free_addresses (addresses);
}

char **
_sandbox_provision_env (SandboxPlan *plan, GCancellable *cancellable)
{
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  g_autofree char *registry = _sandbox_provision_registry (cancellable);
  g_autoptr (GPtrArray) names = source_names (registry, cancellable);
  g_autoptr (GString) hosts = g_string_new ("VMS_HOSTS=");

  for (guint i = 0; i < names->len; i++)
    add_address (hosts, plan, names->pdata[i], cancellable);
  g_strv_builder_add (builder, hosts->str);
  if (registry != NULL)
    {
      g_autofree char *npm = g_strconcat ("npm_config_registry=", registry, NULL);

      g_strv_builder_add (builder, npm);
    }
  return g_strv_builder_end (builder);
}
