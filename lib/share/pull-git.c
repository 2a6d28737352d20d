// SPDX-License-Identifier: LGPL-2.1-or-later
// git on what an enemy sent, in a repository of ours, with limits of the kernel's on what it may
// take.
//
// The user's objects are there as an alternate: git reads the files in that directory and nothing
// beside it, no configuration and no hook. (One thing would make it run git in the alternate's
// repository, which is to look for its refs: core.alternateRefsCommand stands in for that.)
#include "share/pull-private.h"

#include "base/child.h"
#include "base/error.h"
#include "base/file.h"
#include "base/names.h"
#include "base/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY     "pull"
#define GIT_USEC      (20 * 60 * G_USEC_PER_SEC)
#define OUTPUT_MAX    (64 * 1024 * 1024)
#define COMPLAINT_MAX 4096
/* A delta of a few bytes can stand for a file of any size. */
#define MEMORY_MAX     (G_GUINT64_CONSTANT (2) * 1024 * 1024 * 1024)
#define WRITES_FACTOR  4
#define DIRECTORY_MODE 0700

static const char CONFIG[] = "[core]\n"
                             "\trepositoryformatversion = %d\n"
                             "\tbare = true\n"
                             "\thooksPath = /dev/null\n"
                             "\tattributesFile = /dev/null\n"
                             "\talternateRefsCommand = true\n"
                             "\tcommitGraph = false\n"
                             "\tmultiPackIndex = false\n"
                             "\tbigFileThreshold = 16m\n"
                             "\tpackedGitLimit = 512m\n"
                             "\tpackedGitWindowSize = 32m\n"
                             "\tfsmonitor = false\n"
                             "[gc]\n\tauto = 0\n"
                             "[maintenance]\n\tauto = false\n"
                             "[transfer]\n\tfsckObjects = true\n"
                             "[fetch]\n\tfsckObjects = true\n"
                             "[pack]\n\tthreads = 2\n\twriteReverseIndex = false\n"
                             "[protocol]\n\tallow = never\n"
                             "[log]\n\tshowSignature = false\n"
                             "%s";

void
_sandbox_quarantine_free (SandboxQuarantine *quarantine)
{
  sandbox_autofd int parent_fd =
      quarantine->fd >= 0 ? openat (quarantine->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

  sandbox_close_fd (&quarantine->fd);
  if (parent_fd >= 0)
    sandbox_remove_at (parent_fd, DIRECTORY, NULL);
  g_clear_object (&quarantine->cancellable);
  g_free (quarantine->path);
  g_free (quarantine->program);
  g_free (quarantine);
}

static gboolean
write_text (int dir_fd, const char *name, const char *text, GError **error)
{
  return sandbox_file_write_at (dir_fd, name, text, strlen (text), 0600, error);
}

/* What git init makes, without its templates. */
static gboolean
fill (SandboxQuarantine *quarantine, const SandboxPullRepo *repo, GError **error)
{
  static const char *const directories[] = { "refs", "refs/heads", "objects", "objects/info",
                                             "objects/pack" };
  gboolean sha256 = quarantine->id_length > 40;
  const char *objects = repo ? repo->objects : "";
  g_autofree char *config = g_strdup_printf (
      CONFIG, sha256 ? 1 : 0, sha256 ? "[extensions]\n\tobjectFormat = sha256\n" : "");
  g_autofree char *alternates = g_strconcat (objects, "\n", NULL);
  sandbox_autofd int info_fd = -1;

  if (strchr (objects, '\n') || objects[0] == '"' || objects[0] == '#')
    return sandbox_fail (error, SANDBOX_ERROR_UNSUPPORTED,
                         "the repository's path has a line break in it");
  for (guint i = 0; i < G_N_ELEMENTS (directories); i++)
    if (mkdirat (quarantine->fd, directories[i], DIRECTORY_MODE) < 0)
      return sandbox_fail_errno (error, errno, "making a place for what is pulled");
  info_fd = openat (quarantine->fd, "objects/info", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (info_fd < 0)
    return sandbox_fail_errno (error, errno, "making a place for what is pulled");
  return write_text (info_fd, "alternates", alternates, error)
         && write_text (quarantine->fd, "config", config, error)
         && write_text (quarantine->fd, "HEAD", "ref: refs/heads/none\n", error)
         && (!repo || !repo->shallow
             || write_text (quarantine->fd, "shallow", repo->shallow, error));
}

SandboxQuarantine *
_sandbox_quarantine_new (int dir_fd, const char *dir_path, const SandboxPullRepo *repo,
                         guint64 max_bytes, GCancellable *cancellable, GError **error)
{
  g_autoptr (SandboxQuarantine) quarantine = g_new0 (SandboxQuarantine, 1);

  quarantine->fd = -1;
  quarantine->id_length = repo && repo->id_length ? repo->id_length : 40;
  quarantine->max_bytes = max_bytes;
  quarantine->timeout_usec = GIT_USEC;
  quarantine->cancellable = cancellable ? g_object_ref (cancellable) : NULL;
  quarantine->path = g_build_filename (dir_path, DIRECTORY, NULL);
  quarantine->program = sandbox_find_program ("git");
  if (!quarantine->program)
    {
      sandbox_fail (error, SANDBOX_ERROR_HOST,
                    "there is no git on this host; install it (for example: sudo apt-get install "
                    "git)");
      return NULL;
    }
  /* what a killed pull has left */
  if (!sandbox_remove_at (dir_fd, DIRECTORY, error))
    return NULL;
  quarantine->fd = sandbox_dir_open_at (dir_fd, DIRECTORY, TRUE, error);
  if (quarantine->fd < 0 || !fill (quarantine, repo, error))
    return NULL;
  return g_steal_pointer (&quarantine);
}

/* All that git reads of its surroundings; nothing of the caller's environment. */
static char **
make_env (const SandboxQuarantine *quarantine)
{
  g_autoptr (GPtrArray) env = g_ptr_array_new ();
  static const char *const fixed[] = { "PATH=" SANDBOX_SYSTEM_PATH,   "LC_ALL=C",
                                       "GIT_CONFIG_NOSYSTEM=1",       "GIT_CONFIG_GLOBAL=/dev/null",
                                       "GIT_CONFIG_SYSTEM=/dev/null", "GIT_ATTR_NOSYSTEM=1",
                                       "GIT_NO_REPLACE_OBJECTS=1",    "GIT_NO_LAZY_FETCH=1",
                                       "GIT_ALLOW_PROTOCOL=",         "GIT_TERMINAL_PROMPT=0",
                                       "GIT_OPTIONAL_LOCKS=0",        "GIT_PAGER=cat" };

  for (guint i = 0; i < G_N_ELEMENTS (fixed); i++)
    g_ptr_array_add (env, g_strdup (fixed[i]));
  g_ptr_array_add (env, g_strconcat ("GIT_DIR=", quarantine->path, NULL));
  g_ptr_array_add (env, g_strconcat ("HOME=", quarantine->path, NULL));
  g_ptr_array_add (env, NULL);
  return (char **)g_ptr_array_free (g_steal_pointer (&env), FALSE);
}

static void
limit (pid_t pid, int resource, guint64 value)
{
  struct rlimit rlimit = { .rlim_cur = value, .rlim_max = value };

  prlimit (pid, resource, &rlimit, NULL);
}

static int
memory_file (const char *text, GError **error)
{
  int fd = memfd_create ("git", MFD_CLOEXEC);

  if (fd >= 0 && text
      && (write (fd, text, strlen (text)) != (gssize)strlen (text) || lseek (fd, 0, SEEK_SET) < 0))
    sandbox_close_fd (&fd);
  if (fd < 0)
    sandbox_fail_errno (error, errno, "making a file in memory");
  return fd;
}

static char *
read_back (int fd, gsize max, gsize *ret_length, GError **error)
{
  off_t length = lseek (fd, 0, SEEK_END);
  g_autofree char *text = length >= 0 ? g_malloc0 (MIN ((gsize)length, max) + 1) : NULL;
  gsize want = length >= 0 ? MIN ((gsize)length, max) : 0;

  if (!text || pread (fd, text, want, 0) != (gssize)want)
    {
      sandbox_fail_errno (error, errno, "reading what git wrote");
      return NULL;
    }
  if (ret_length)
    *ret_length = want;
  return g_steal_pointer (&text);
}

/* Its first word that is no hint. (transfer full) */
static char *
complaint (int err_fd, int status)
{
  g_autofree char *text = read_back (err_fd, COMPLAINT_MAX, NULL, NULL);
  g_auto (GStrv) lines = g_strsplit (text ? text : "", "\n", -1);

  for (guint i = 0; lines[i]; i++)
    if (g_str_has_prefix (lines[i], "error: ") || g_str_has_prefix (lines[i], "fatal: "))
      return sandbox_escape (lines[i], -1, 300);
  return status >= 128 ? g_strdup ("it took more than it may")
                       : sandbox_escape (lines[0] ? lines[0] : "", -1, 300);
}

static gboolean
judge (const char *verb, int status, int err_fd, GError **error)
{
  g_autofree char *reason = status != 0 ? complaint (err_fd, status) : NULL;

  return status == 0
         || sandbox_fail (error, SANDBOX_ERROR_GUEST,
                          "the machine's commits were refused (git %s, status %d): %s", verb,
                          status, reason);
}

char *
_sandbox_quarantine_git (SandboxQuarantine *quarantine, const char *const *args, const char *input,
                         int in_fd, int out_fd, gsize *ret_length, GError **error)
{
  SandboxChildOptions options = SANDBOX_CHILD_OPTIONS_INIT;
  g_auto (GStrv) env = make_env (quarantine);
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  sandbox_autofd int input_fd = input ? memory_file (input, error) : -1;
  sandbox_autofd int text_fd = memory_file (NULL, error);
  sandbox_autofd int err_fd = memory_file (NULL, error);
  pid_t pid = 0;
  int status = 0;

  if (text_fd < 0 || err_fd < 0 || (input && input_fd < 0))
    return NULL;
  g_ptr_array_add (argv, quarantine->program);
  for (guint i = 0; args[i]; i++)
    g_ptr_array_add (argv, (char *)args[i]);
  g_ptr_array_add (argv, NULL);
  options.argv = (const char *const *)argv->pdata;
  options.env = (const char *const *)env;
  options.cwd = quarantine->path;
  options.new_group = TRUE;
  options.stdin_fd = input ? input_fd : in_fd;
  options.stdout_fd = out_fd >= 0 ? out_fd : text_fd;
  options.stderr_fd = err_fd;
  if (!sandbox_child_spawn (&options, &pid, error))
    return NULL;
  limit (pid, RLIMIT_AS, MEMORY_MAX);
  limit (pid, RLIMIT_CORE, 0);
  limit (pid, RLIMIT_FSIZE, MAX (OUTPUT_MAX, WRITES_FACTOR * quarantine->max_bytes));
  if (!sandbox_child_wait (pid, TRUE, quarantine->timeout_usec, quarantine->cancellable, &status,
                           error)
      || !judge (args[0], status, err_fd, error))
    return NULL;
  return read_back (text_fd, OUTPUT_MAX, ret_length, error);
}

GPtrArray *
_sandbox_quarantine_commits (SandboxQuarantine *quarantine, const GPtrArray *ids, GError **error)
{
  static const char *const args[] = { "cat-file", "--batch-check=%(objectname) %(objecttype)",
                                      NULL };
  g_autoptr (GPtrArray) commits = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GString) input = g_string_new (NULL);
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;

  if (ids->len == 0)
    return g_steal_pointer (&commits);
  for (guint i = 0; i < ids->len; i++)
    g_string_append_printf (input, "%s^{commit}\n", (const char *)ids->pdata[i]);
  text = _sandbox_quarantine_git (quarantine, args, input->str, -1, -1, NULL, error);
  lines = text ? g_strsplit (text, "\n", -1) : NULL;
  if (!lines)
    return NULL;
  for (guint i = 0; i < ids->len && lines[i]; i++)
    {
      char *space = strchr (lines[i], ' ');
      gboolean good = space && strcmp (space, " commit") == 0
                      && _sandbox_is_object_id (lines[i], (gsize)(space - lines[i]));

      g_ptr_array_add (commits, good ? g_strndup (lines[i], (gsize)(space - lines[i])) : NULL);
    }
  if (commits->len == ids->len)
    return g_steal_pointer (&commits);
  sandbox_fail (error, SANDBOX_ERROR_FAILED, "git cat-file did not answer for each object");
  return NULL;
}
