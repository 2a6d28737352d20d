// SPDX-License-Identifier: LGPL-2.1-or-later
// Files in a shared directory that belong to nobody in the machine: on this host their owner is
// neither the user nor one of the user's subordinate numbers, which are all that the share helper
// maps. Looked for at a start, in a part of the directory that takes no time worth mentioning.
//
// The file "owners" in the machine's state directory has, for each such share, a line "share TAG N
// all|part", and lines "path PATH", fit for a terminal.
#include "facade/keep.h"

#include "base/setup.h"
#include "base/subid.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES_MAX  5
#define SHOWN_MAX  3
#define PATH_SHOWN 300
#define FILE_MAX   (1024 * 1024)
/* What a start looks at, of each share. */
#define LOOK_FILES 100000
#define LOOK_USEC  (G_USEC_PER_SEC / 2)

typedef struct
{
  uid_t uid;
  guint64 first, count;
} Mapped;

static gboolean
is_mapped (const Mapped *mapped, uid_t uid)
{
  return uid == mapped->uid || (uid >= mapped->first && uid - mapped->first < mapped->count);
}

SandboxOwners *
_sandbox_owners_new (void)
{
  SandboxOwners *owners = g_new0 (SandboxOwners, 1);

  owners->names = g_ptr_array_new_with_free_func (g_free);
  return owners;
}

void
_sandbox_owners_free (SandboxOwners *owners)
{
  g_ptr_array_unref (owners->names);
  g_free (owners);
}

typedef struct
{
  SandboxOwners *owners;
  Mapped mapped;
  GString *path; /* from the shared directory on */
  dev_t device;
  gint64 end;
  guint n;
} Look;

static void
look_at (Look *look, const struct stat *st)
{
  SandboxOwners *owners = look->owners;

  if (is_mapped (&look->mapped, st->st_uid))
    return;
  owners->n++;
  if (owners->names->len < NAMES_MAX)
    g_ptr_array_add (owners->names,
                     sandbox_escape (look->path->len > 0 ? look->path->str : ".", -1, PATH_SHOWN));
}

static void look_in (Look *look, int dir_fd, guint depth);

static void
look_at_name (Look *look, int dir_fd, const char *name, guint depth)
{
  gsize length = look->path->len;
  struct stat st;
  int fd = -1;

  if (++look->n > LOOK_FILES || g_get_monotonic_time () > look->end)
    {
      look->owners->partly = TRUE;
      return;
    }
  if (fstatat (dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return;
  g_string_append_printf (look->path, "%s%s", length > 0 ? "/" : "", name);
  look_at (look, &st);
  if (S_ISDIR (st.st_mode) && st.st_dev == look->device && depth < SANDBOX_TREE_DEPTH_MAX)
    fd = openat (dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd >= 0)
    look_in (look, fd, depth + 1);
  g_string_truncate (look->path, length);
}

/* Takes @dir_fd. */
static void
look_in (Look *look, int dir_fd, guint depth)
{
  DIR *dir = fdopendir (dir_fd);
  const struct dirent *entry;

  while (dir != NULL && !look->owners->partly && (entry = readdir (dir)) != NULL)
    if (strcmp (entry->d_name, ".") != 0 && strcmp (entry->d_name, "..") != 0)
      look_at_name (look, dirfd (dir), entry->d_name, depth);
  if (dir != NULL)
    closedir (dir);
  else
    close (dir_fd);
}

SandboxOwners *
_sandbox_owners_count (const char *source, uid_t uid, guint64 first, guint64 count)
{
  g_autoptr (GString) path = g_string_new (NULL);
  Look look = { .owners = _sandbox_owners_new (),
                .mapped = { uid, first, count },
                .path = path,
                .end = g_get_monotonic_time () + LOOK_USEC };
  int fd = open (source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  struct stat st;

  if (fd >= 0 && fstat (fd, &st) == 0)
    {
      look.device = st.st_dev;
      look_at (&look, &st);
      look_in (&look, fd, 0);
    }
  else if (fd >= 0)
    close (fd);
  return look.owners;
}

static void
tell (const SandboxPlanShare *share, const SandboxOwners *owners, const SandboxReport *report)
{
  g_autoptr (GString) note = g_string_new (NULL);

  g_string_append_printf (note,
                          "share \"%s\": %s%u %s to others on this host, and to nobody in "
                          "the machine: ",
                          share->tag, owners->partly ? "at least " : "", owners->n,
                          owners->n == 1 ? "file belongs" : "files belong");
  for (guint i = 0; i < MIN (owners->names->len, SHOWN_MAX); i++)
    g_string_append_printf (note, "%s%s", i > 0 ? ", " : "", (char *)owners->names->pdata[i]);
  g_string_append (note, owners->n > SHOWN_MAX ? " and more" : "");
  _sandbox_report (report, "owners", note->str, 0, 0);
}

static void
add_lines (GString *text, const SandboxPlanShare *share, const SandboxOwners *owners)
{
  g_string_append_printf (text, "share %s %u %s\n", share->tag, owners->n,
                          owners->partly ? "part" : "all");
  for (guint i = 0; i < owners->names->len; i++)
    g_string_append_printf (text, "path %s\n", (char *)owners->names->pdata[i]);
}

/* Is told and not needed: what cannot be written is not shown by status. */
static void
look (SandboxMachine *machine, const SandboxPlanShare *share, uid_t uid, GString *text,
      const SandboxReport *report)
{
  g_autofree char *user = sandbox_user_name ();
  g_autoptr (SandboxOwners) owners = NULL;
  guint64 first = 0, count = 0;

  if (!sandbox_subid_range (SANDBOX_SUBUID_FILE, user, machine->host->uid, &first, &count))
    return;
  owners = _sandbox_owners_count (share->source, uid, first, count);
  if (owners->n == 0)
    return;
  tell (share, owners, report);
  add_lines (text, share, owners);
}

static void
write_note (int state_fd, const GString *text)
{
  g_autoptr (GError) local = NULL;
  gboolean ok = text->len == 0 ? sandbox_remove_at (state_fd, SANDBOX_OWNERS_FILE, &local)
                               : sandbox_file_write_at (state_fd, SANDBOX_OWNERS_FILE, text->str,
                                                        text->len, 0600, &local);

  if (!ok)
    g_debug ("%s", local->message);
}

void
_sandbox_owners_look (SandboxWork *work)
{
  sandbox_autofd int state_fd = _sandbox_machine_state_fd (work->machine, FALSE, NULL);
  g_autoptr (GString) text = g_string_new (NULL);

  if (state_fd < 0)
    return;
  for (guint i = 0; i < work->plan->shares->len; i++)
    look (work->machine, work->plan->shares->pdata[i], work->plan->uid, text, &work->report);
  write_note (state_fd, text);
}

void
_sandbox_owners_look_more (SandboxWork *work, const SandboxPlanShare *share)
{
  sandbox_autofd int state_fd = _sandbox_machine_state_fd (work->machine, FALSE, NULL);
  g_autoptr (GString) text = g_string_new (NULL);
  g_autofree char *old = NULL;
  gsize length = 0;

  if (state_fd < 0)
    return;
  look (work->machine, share, work->plan->uid, text, &work->report);
  if (text->len == 0)
    return;
  /* what is said of it first counts */
  if (sandbox_file_read_at (state_fd, SANDBOX_OWNERS_FILE, FILE_MAX, &old, &length, NULL))
    g_string_append (text, old);
  write_note (state_fd, text);
}

SandboxOwners *
_sandbox_owners_read (int state_fd, const char *tag)
{
  g_autoptr (SandboxOwners) owners = _sandbox_owners_new ();
  g_autofree char *start = g_strdup_printf ("share %s ", tag), *text = NULL;
  g_auto (GStrv) lines = NULL;
  gsize length = 0;
  char **line;

  if (!sandbox_file_read_at (state_fd, SANDBOX_OWNERS_FILE, FILE_MAX, &text, &length, NULL))
    return g_steal_pointer (&owners);
  lines = g_strsplit (text, "\n", -1);
  for (line = lines; *line != NULL && !g_str_has_prefix (*line, start); line++)
    ;
  if (*line == NULL)
    return g_steal_pointer (&owners);
  owners->n = (guint)g_ascii_strtoull (*line + strlen (start), NULL, 10);
  owners->partly = g_str_has_suffix (*line, " part");
  for (line++; *line != NULL && g_str_has_prefix (*line, "path "); line++)
    g_ptr_array_add (owners->names, g_strdup (*line + strlen ("path ")));
  return g_steal_pointer (&owners);
}
