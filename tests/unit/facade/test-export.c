// SPDX-License-Identifier: LGPL-2.1-or-later
// Snapshots in exported files: which layers are in it and in which order; and of a file that is
// imported, which lists of them are taken.
#include "facade/export.h"

#include <string.h>

#define OBJECT "vms-7-work"
#define POOL   "/pool/"

/* "NAME<BELOW NAME<BELOW", and "SNAPSHOT=NUMBER SNAPSHOT=NUMBER". */
static SandboxLayers *
make (const char *volumes, const char *names, const char *top)
{
  g_autoptr (GPtrArray) list =
      g_ptr_array_new_with_free_func ((GDestroyNotify)_sandbox_virt_volume_free);
  GPtrArray *entries = _sandbox_snapshots_new ();
  g_auto (GStrv) each = g_strsplit (names, " ", -1), lines = g_strsplit (volumes, " ", -1);
  g_autofree char *path = g_strconcat (POOL, top, ".qcow2", NULL);
  g_autoptr (GError) error = NULL;
  SandboxLayers *layers;

  for (char **line = lines; *line != NULL; line++)
    {
      g_auto (GStrv) parts = g_strsplit (*line, "<", 2);
      SandboxVirtVolume *volume = g_new0 (SandboxVirtVolume, 1);

      volume->name = g_strconcat (parts[0], ".qcow2", NULL);
      volume->path = g_strconcat (POOL, volume->name, NULL);
      volume->backing_path = g_strconcat (POOL, parts[1], ".qcow2", NULL);
      g_ptr_array_add (list, volume);
    }
  for (char **name = each; *name != NULL && **name != '\0'; name++)
    {
      SandboxSnapshotEntry *entry = g_new0 (SandboxSnapshotEntry, 1);

      entry->name = g_strndup (*name, strcspn (*name, "="));
      entry->note = g_strdup_printf ("of %s", entry->name);
      entry->layer = (guint)g_ascii_strtoull (strchr (*name, '=') + 1, NULL, 10);
      entry->created_usec = entry->layer * G_USEC_PER_SEC;
      entry->automatic = *entry->name == 'x';
      g_ptr_array_add (entries, entry);
    }
  layers = _sandbox_layers_new (OBJECT, list, entries, TRUE, path, NULL, &error);
  g_assert_no_error (error);
  return layers;
}

static void
test_order (void)
{
  static const struct
  {
    const char *volumes, *names, *top, *want, *snapshots;
  } cases[] = {
    /* no snapshot: one layer, however many there are */
    { OBJECT "<image", "", OBJECT, "0", "" },
    { OBJECT "<image " OBJECT ".1<" OBJECT " " OBJECT ".2<" OBJECT ".1", "", OBJECT ".2", "2", "" },
    { OBJECT "<image " OBJECT ".1<" OBJECT, "a=0", OBJECT ".1", "0 1", "a=0" },
    /* below the lowest snapshot nothing matters; above it, what has no name does */
    { OBJECT "<image " OBJECT ".1<" OBJECT " " OBJECT ".2<" OBJECT ".1 " OBJECT ".3<" OBJECT ".2",
      "a=1", OBJECT ".3", "1 2 3", "a=0" },
    /* two branches: that of the top last, whatever the numbers */
    { OBJECT "<image " OBJECT ".1<" OBJECT " " OBJECT ".2<" OBJECT " " OBJECT ".3<" OBJECT ".2",
      "a=0 b=3 c=2", OBJECT ".1", "0 2 3 1", "a=0 b=2 c=1" },
    { OBJECT "<image " OBJECT ".1<" OBJECT " " OBJECT ".2<" OBJECT ".1 " OBJECT ".3<" OBJECT
             " " OBJECT ".4<" OBJECT ".1",
      "one=0 x=2 b=3", OBJECT ".4", "0 3 1 2 4", "one=0 x=3 b=1" },
    /* a fork without a name */
    { OBJECT "<image " OBJECT ".1<" OBJECT " " OBJECT ".2<" OBJECT, "a=1", OBJECT ".2", "0 1 2",
      "a=1" },
    /* a copy of another machine, and one that a copy stands on; what is of no use */
    { "vms-7-other<image " OBJECT "<vms-7-other " OBJECT ".1<" OBJECT " vms-7-copy<" OBJECT
      " " OBJECT ".7<" OBJECT,
      "a=0", OBJECT ".1", "0 1", "a=0" },
    /* provisioned */
    { "layer.x<image " OBJECT "<layer.x " OBJECT ".1<" OBJECT, "a=0", OBJECT ".1", "0 1", "a=0" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (SandboxLayers) layers = make (cases[i].volumes, cases[i].names, cases[i].top);
      g_autoptr (GPtrArray) order = _sandbox_export_order (layers, TRUE);
      g_autoptr (GPtrArray) flat = _sandbox_export_order (layers, FALSE);
      g_autoptr (GString) have = g_string_new (NULL), names = g_string_new (NULL);
      g_autofree char *text = _sandbox_export_snapshots (layers, order);
      g_autoptr (GPtrArray) entries = _sandbox_snapshots_parse (text, strlen (text));

      for (guint k = 0; k < order->len; k++)
        g_string_append_printf (have, "%s%u", k > 0 ? " " : "",
                                ((SandboxLayer *)order->pdata[k])->number);
      g_assert_cmpstr (have->str, ==, cases[i].want);
      g_assert_cmpuint (flat->len, ==, 1);
      g_assert_true (flat->pdata[0] == layers->top);
      for (guint k = 0; k < entries->len; k++)
        {
          const SandboxSnapshotEntry *entry = entries->pdata[k];

          g_string_append_printf (names, "%s%s=%u", k > 0 ? " " : "", entry->name, entry->layer);
          g_assert_true (g_str_has_prefix (entry->note, "of "));
          g_assert_true (entry->automatic == (*entry->name == 'x'));
        }
      g_assert_cmpstr (names->str, ==, cases[i].snapshots);
    }
}

/* @below: what each layer from the first on stands on. */
static GPtrArray *
take (const char *list, const guint *below, guint n, GError **error)
{
  SandboxArchive archive = { .snapshots = (char *)list };
  g_autoptr (GArray) layers = g_array_new (FALSE, TRUE, sizeof (SandboxArchiveLayer));

  for (guint i = 0; i < n; i++)
    {
      SandboxArchiveLayer layer = { .below = below[i] };

      g_array_append_val (layers, layer);
    }
  archive.layers = layers;
  return _sandbox_import_snapshots (&archive, error);
}

#define ENTRY(name, layer, rest) "[" name "]\nlayer=" layer "\ncreated=7\n" rest
#define REST                     "automatic=false\nrunning=true\nnote=a\n"

static void
test_lists (void)
{
  static const guint chain[] = { 0, 1 }, fork[] = { 0, 0 };
  static const struct
  {
    const char *list;
    const guint *below;
    const char *message; /* NULL: it is taken */
  } cases[] = {
    { ENTRY ("a", "0", REST), chain, NULL },
    { ENTRY ("a", "0", REST) "\n" ENTRY ("b", "1", REST), chain, NULL },
    { ENTRY ("b", "1", REST) "\n" ENTRY ("a", "0", REST), fork, NULL },
    { "", chain, NULL },
    { ENTRY ("b", "1", REST), fork, NULL },
    { ENTRY ("a", "0", REST), fork, "number 1 is of no use" },
    { ENTRY ("a", "2", REST), chain, "not in the file, or cannot be" },
    { ENTRY ("a", "3", REST), chain, "not in the file" },
    { ENTRY ("a", "2147483647", REST), chain, "not in the file" },
    { ENTRY ("a", "-1", REST), chain, "none that" },
    { ENTRY ("a", "01", REST), chain, "none that" },
    { ENTRY ("a", "4294967296", REST), chain, "none that" },
    { ENTRY ("a", "0", REST) "\n" ENTRY ("b", "0", REST), chain, "twice" },
    { ENTRY ("a", "0", REST) "\n" ENTRY ("a", "1", REST), chain, "none that" },
    { ENTRY ("A", "0", REST), chain, "none that" },
    { ENTRY ("../a", "0", REST), chain, "none that" },
    { ENTRY ("a", "0", REST "more=1\n"), chain, "none that" },
    { ENTRY ("a", "0", "automatic=false\nrunning=true\n"), chain, "none that" },
    { ENTRY ("a", "0", "automatic=1\nrunning=true\nnote=a\n"), chain, "none that" },
    { ENTRY ("a", "0", "automatic=false\nrunning=true\nnote=a\\q\n"), chain, "none that" },
    { ENTRY ("a", "0", "automatic=false\nrunning=true\nnote= a\n"), chain, "none that" },
    { ENTRY ("a", "0", REST) "\n", chain, "none that" },
    { "# x\n" ENTRY ("a", "0", REST), chain, "none that" },
    { "[a]\nlayer=0\ncreated=-1\n" REST, chain, "a time that is none" },
    { "[a]\nlayer=0\ncreated=9223372036854775807\n" REST, chain, "a time that is none" },
    { "[a]\nlayer=0\ncreated=92233720368547758070\n" REST, chain, "none that" },
    { "x", chain, "none that" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (GPtrArray) entries = take (cases[i].list, cases[i].below, 2, &error);

      if (cases[i].message == NULL)
        {
          g_assert_no_error (error);
          g_assert_nonnull (entries);
          continue;
        }
      if (entries != NULL)
        g_error ("was taken: %s", cases[i].list);
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
      if (strstr (error->message, cases[i].message) == NULL)
        g_error ("\"%s\" instead of \"%s\"", error->message, cases[i].message);
    }
}

/* Whatever a note says: what is written is taken. */
static void
test_notes (void)
{
  static const char *const notes[] = {
    "",         " ",        "  both  ", "a\nb\r\tc", "[x]",
    "# x",      "\\",       "\\n",      "a;b=c",     "ünï → \xf0\x9f\x90\xa7",
    "\x1b[2Jx", "a\\s\\ b", "=",        "\"",        "\x01\x7f"
  };
  static const guint chain[] = { 0 };

  for (gsize i = 0; i < G_N_ELEMENTS (notes); i++)
    {
      g_autoptr (SandboxLayers) layers =
          make (OBJECT "<image " OBJECT ".1<" OBJECT, "a=0", OBJECT ".1");
      g_autoptr (GPtrArray) order = _sandbox_export_order (layers, TRUE), entries = NULL;
      SandboxSnapshotEntry *entry = layers->entries->pdata[0];
      g_autoptr (GError) error = NULL;
      g_autofree char *text = NULL;

      g_free (entry->note);
      entry->note = g_strdup (notes[i]);
      text = _sandbox_export_snapshots (layers, order);
      entries = take (text, chain, 1, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (entries->len, ==, 1);
      g_assert_cmpstr (((SandboxSnapshotEntry *)entries->pdata[0])->note, ==, notes[i]);
    }
}

static void
test_depth (void)
{
  guint below[SANDBOX_LAYERS_MAX];
  g_autoptr (GPtrArray) entries = NULL, none = NULL;
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (below); i++)
    below[i] = i;
  entries = take ("", below, SANDBOX_LAYERS_MAX - 1, &error);
  g_assert_no_error (error);
  none = take ("", below, SANDBOX_LAYERS_MAX, &error);
  g_assert_null (none);
  g_assert_nonnull (strstr (error->message, "more than 160 layers on one another"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/export/order", test_order);
  g_test_add_func ("/export/lists", test_lists);
  g_test_add_func ("/export/notes", test_notes);
  g_test_add_func ("/export/depth", test_depth);
  return g_test_run ();
}
