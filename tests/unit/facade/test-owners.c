// SPDX-License-Identifier: LGPL-2.1-or-later
// Files that belong to nobody in a machine: which ones count, and what is kept of it.
#include "base/file.h"
#include "base/subid.h"
#include "facade/keep.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct
{
  char *path;
  int fd;
} Place;

static void
place_init (Place *place)
{
  place->path = g_dir_make_tmp ("sandbox-owners-XXXXXX", NULL);
  place->fd = open (place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  g_assert_cmpint (place->fd, >=, 0);
}

static void
place_clear (Place *place)
{
  static const char *const names[] = { "sub", "a", "owners", "subuid" };

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    g_assert_true (sandbox_remove_at (place->fd, names[i], NULL));
  close (place->fd);
  rmdir (place->path);
  g_free (place->path);
}

static void
put (const Place *place, const char *name, const char *text)
{
  g_assert_true (sandbox_file_write_at (place->fd, name, text, strlen (text), 0600, NULL));
}

static void
check_count (const Place *place, uid_t uid, guint64 first, guint64 count, guint expected)
{
  g_autoptr (SandboxOwners) owners = _sandbox_owners_count (place->path, uid, first, count);

  g_assert_cmpuint (owners->n, ==, expected);
  g_assert_cmpuint (owners->names->len, ==, MIN (expected, 5));
  g_assert_false (owners->partly);
}

/* The user's own, and those of the range, are somebody's; the directory itself counts like what is
 * in it, and no link is followed. */
static void
test_count (void)
{
  uid_t me = geteuid ();
  Place place;

  place_init (&place);
  put (&place, "a", "");
  g_assert_cmpint (mkdirat (place.fd, "sub", 0700), ==, 0);
  g_assert_cmpint (symlinkat ("/", place.fd, "sub/l\ni"), ==, 0);
  check_count (&place, me, 100000, 65536, 0);
  check_count (&place, me + 1, 100000, 65536, 4);
  check_count (&place, me + 1, me, 1, 0);
  check_count (&place, me + 1, me + 1, 65536, 4);
  if (me == 0)
    {
      g_autoptr (SandboxOwners) owners = NULL;

      g_assert_cmpint (fchownat (place.fd, "sub/l\ni", 4321, 0, AT_SYMLINK_NOFOLLOW), ==, 0);
      owners = _sandbox_owners_count (place.path, me, 100000, 65536);
      g_assert_cmpuint (owners->n, ==, 1);
      g_assert_cmpstr (owners->names->pdata[0], ==, "sub/l\\x0ai");
      check_count (&place, me, 4321, 1, 0);
    }
  place_clear (&place);
}

/* Of the share that is asked for, and no other. */
static void
test_read (void)
{
  g_autoptr (SandboxOwners) web = NULL, we = NULL, none = NULL;
  Place place;

  place_init (&place);
  none = _sandbox_owners_read (place.fd, "web");
  g_assert_cmpuint (none->n, ==, 0);
  put (&place, "owners", "share web 7 part\npath a\npath b c\nshare we 1 all\npath x\n");
  web = _sandbox_owners_read (place.fd, "web");
  g_assert_cmpuint (web->n, ==, 7);
  g_assert_true (web->partly);
  g_assert_cmpuint (web->names->len, ==, 2);
  g_assert_cmpstr (web->names->pdata[1], ==, "b c");
  we = _sandbox_owners_read (place.fd, "we");
  g_assert_cmpuint (we->n, ==, 1);
  g_assert_false (we->partly);
  place_clear (&place);
}

/* The first that is large enough and high enough, as the share helper takes it. */
static void
test_range (void)
{
  g_autofree char *file = NULL;
  guint64 first = 0, count = 0;
  Place place;

  place_init (&place);
  put (&place, "subuid",
       "other:100000:65536\nme:1000:65536\nme:200000:10\nme:300000:70000\nme:500000:65536\n");
  file = g_build_filename (place.path, "subuid", NULL);
  g_assert_true (sandbox_subid_range (file, "me", 12345, &first, &count));
  g_assert_cmpuint (first, ==, 300000);
  g_assert_cmpuint (count, ==, 70000);
  g_assert_false (sandbox_subid_range (file, "nobody", 12345, &first, &count));
  place_clear (&place);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/facade/owners/count", test_count);
  g_test_add_func ("/facade/owners/read", test_read);
  g_test_add_func ("/facade/owners/range", test_range);
  return g_test_run ();
}
