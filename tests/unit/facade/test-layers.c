// SPDX-License-Identifier: LGPL-2.1-or-later
// The tree of layers: what is top, snapshot, of no use, to be merged, needed by others; and the
// file of names.
#include "facade/layers.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>

#define OBJECT "vms-7-work"
#define POOL   "/pool/"

/* "NAME<BELOW": a volume of 100 bytes on another, or on "image". */
static SandboxLayers *
make_merging (const char *const *volumes, const char *names, const char *top,
              const SandboxMerge *merge, GError **error)
{
  g_autoptr (GPtrArray) list =
      g_ptr_array_new_with_free_func ((GDestroyNotify)_sandbox_virt_volume_free);
  GPtrArray *entries = _sandbox_snapshots_new ();
  g_auto (GStrv) each = g_strsplit (names, " ", -1);
  g_autofree char *path = top != NULL ? g_strconcat (POOL, top, ".qcow2", NULL) : NULL;

  for (; *volumes != NULL; volumes++)
    {
      g_auto (GStrv) parts = g_strsplit (*volumes, "<", 2);
      SandboxVirtVolume *volume = g_new0 (SandboxVirtVolume, 1);

      volume->name = g_strconcat (parts[0], ".qcow2", NULL);
      volume->path = g_strconcat (POOL, volume->name, NULL);
      volume->backing_path = g_strconcat (POOL, parts[1], ".qcow2", NULL);
      volume->capacity_bytes = 1000;
      volume->allocation_bytes = 100;
      g_ptr_array_add (list, volume);
    }
  for (char **name = each; *name != NULL && **name != '\0'; name++)
    {
      SandboxSnapshotEntry *entry = g_new0 (SandboxSnapshotEntry, 1);

      entry->name = g_strndup (*name, strcspn (*name, "="));
      entry->note = g_strdup ("");
      entry->layer = (guint)g_ascii_strtoull (strchr (*name, '=') + 1, NULL, 10);
      g_ptr_array_add (entries, entry);
    }
  return _sandbox_layers_new (OBJECT, list, entries, TRUE, path, merge, error);
}

static SandboxLayers *
make (const char *const *volumes, const char *names, const char *top, GError **error)
{
  return make_merging (volumes, names, top, NULL, error);
}

static const char *const line[] = { OBJECT "<image", OBJECT ".1<" OBJECT, OBJECT ".2<" OBJECT ".1",
                                    NULL };

static void
test_parse (void)
{
  static const struct
  {
    const char *volume;
    int number; /* -1: none */
    const char *object;
  } cases[] = {
    { OBJECT ".qcow2", 0, OBJECT },
    { OBJECT ".1.qcow2", 1, OBJECT },
    { OBJECT ".120.qcow2", 120, OBJECT },
    { OBJECT ".01.qcow2", -1, OBJECT },
    { OBJECT ".x.qcow2", -1, OBJECT ".x" },
    { OBJECT "2.qcow2", -1, OBJECT "2" },
    { OBJECT ".seed", -1, NULL },
    { OBJECT ".-1.qcow2", -1, OBJECT ".-1" },
    { OBJECT ".1.1.qcow2", -1, OBJECT ".1" },
    { OBJECT "..qcow2", -1, OBJECT "." },
    { OBJECT ".99999999999.qcow2", -1, OBJECT },
    { "vms-7-w.qcow2", -1, "vms-7-w" },
    { "vms-7-tool.work.3.qcow2", -1, "vms-7-tool.work" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      guint number = 77;
      gboolean is = _sandbox_layer_parse (OBJECT, cases[i].volume, &number);
      g_autofree char *object = _sandbox_layer_object (cases[i].volume);

      g_assert_cmpint (is ? (int)number : -1, ==, cases[i].number);
      g_assert_cmpstr (object, ==, cases[i].object);
    }
}

static void
test_line (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxLayers) layers = make (line, "one=0 two=1", OBJECT ".2", &error);
  g_autofree const char **below = NULL;
  g_autofree char *next = NULL;
  SandboxLayer *above;

  g_assert_no_error (error);
  g_assert_cmpuint (layers->top->number, ==, 2);
  g_assert_cmpuint (_sandbox_layer_depth (layers->top), ==, 3);
  below = _sandbox_layer_below (layers->top);
  g_assert_cmpstr (below[0], ==, POOL OBJECT ".1.qcow2");
  g_assert_cmpstr (below[1], ==, POOL OBJECT ".qcow2");
  g_assert_null (below[2]);
  g_assert_cmpstr (_sandbox_layer_base (layers->top), ==, POOL "image.qcow2");
  g_assert_cmpstr (_sandbox_layer_snapshot (layers->top)->snapshot->name, ==, "two");
  g_assert_null (_sandbox_layers_find_useless (layers));
  g_assert_null (_sandbox_layers_find_merge (layers, FALSE, &above));
  next = _sandbox_layers_next (layers, FALSE);
  g_assert_cmpstr (next, ==, OBJECT ".3.qcow2");
  g_assert_cmpuint (_sandbox_layer_bytes (layers->top), ==, 100);
}

/* Written before the layer was exchanged: the name counts from then on. */
static void
test_unfinished (void)
{
  static const char *const made[] = { OBJECT "<image", OBJECT ".1<" OBJECT, NULL };
  g_autoptr (SandboxLayers) before = make (made, "one=0", OBJECT, NULL);
  g_autoptr (SandboxLayers) after = make (made, "one=0", OBJECT ".1", NULL);

  g_assert_cmpuint (before->entries->len, ==, 0);
  g_assert_cmpuint (_sandbox_layers_find_useless (before)->number, ==, 1);
  g_assert_cmpuint (after->entries->len, ==, 1);
  g_assert_null (_sandbox_layers_find_useless (after));
}

static void
test_lost_layer (void)
{
  g_autoptr (SandboxLayers) layers = make (line, "one=0 gone=9 again=0", OBJECT ".2", NULL);

  g_assert_cmpuint (layers->entries->len, ==, 1);
  g_assert_nonnull (_sandbox_layers_find (layers, "one"));
  g_assert_null (_sandbox_layers_find (layers, "gone"));
}

/* Of no use is only what has no name, is not written to, and nothing stands on; and nothing at all
 * when the file of names is gone. */
static void
test_useless (void)
{
  static const char *const tree[] = { OBJECT "<image",          OBJECT ".1<" OBJECT,
                                      OBJECT ".2<" OBJECT ".1", OBJECT ".3<" OBJECT ".1",
                                      OBJECT ".4<" OBJECT ".3", NULL };
  g_autoptr (SandboxLayers) layers = make (tree, "one=0", OBJECT ".2", NULL);
  SandboxLayer *layer = _sandbox_layers_find_useless (layers);

  g_assert_cmpuint (layer->number, ==, 4);
  _sandbox_layers_remove (layers, layer);
  layer = _sandbox_layers_find_useless (layers);
  g_assert_cmpuint (layer->number, ==, 3);
  layers->known = FALSE;
  g_assert_null (_sandbox_layers_find_useless (layers));
  layers->known = TRUE;
  layers->top = NULL;
  g_assert_null (_sandbox_layers_find_useless (layers));
}

static void
test_merge (void)
{
  static const char *const tree[] = { OBJECT "<image",
                                      OBJECT ".1<" OBJECT,
                                      OBJECT ".2<" OBJECT ".1",
                                      OBJECT ".3<" OBJECT ".2",
                                      OBJECT ".4<" OBJECT,
                                      OBJECT ".5<" OBJECT ".4",
                                      NULL };
  g_autoptr (SandboxLayers) layers = make (tree, "two=2 five=5", OBJECT ".3", NULL);
  SandboxLayer *above = NULL;

  /* the lowest has two on it */
  g_assert_cmpuint (_sandbox_layers_find_merge (layers, FALSE, &above)->number, ==, 1);
  g_assert_cmpuint (above->number, ==, 2);
  /* QEMU has 2 on 1 open, but neither 5 nor 4 */
  g_assert_cmpuint (_sandbox_layers_find_merge (layers, TRUE, &above)->number, ==, 4);
  g_assert_cmpuint (above->number, ==, 5);
}

/* Below the top QEMU itself can do it. */
static void
test_merge_busy (void)
{
  g_autoptr (SandboxLayers) layers = make (line, "one=0", OBJECT ".2", NULL);
  g_autoptr (SandboxLayers) other = make (line, "two=1", OBJECT ".2", NULL);
  SandboxLayer *above = NULL;

  g_assert_cmpuint (_sandbox_layers_find_merge (layers, TRUE, &above)->number, ==, 1);
  g_assert_true (above == layers->top);
  g_assert_null (_sandbox_layers_find_merge (other, TRUE, &above));
  g_assert_cmpuint (_sandbox_layers_find_merge (other, FALSE, &above)->number, ==, 0);
}

/* Further down, where neither has a name and nobody else reads them: into the lower one. */
static void
test_merge_deep (void)
{
  static const char *const deep[] = { OBJECT "<image",          OBJECT ".1<" OBJECT,
                                      OBJECT ".2<" OBJECT ".1", OBJECT ".3<" OBJECT ".2",
                                      OBJECT ".4<" OBJECT ".3", NULL };
  static const char *const copied[] = { OBJECT "<image",
                                        OBJECT ".1<" OBJECT,
                                        OBJECT ".2<" OBJECT ".1",
                                        OBJECT ".3<" OBJECT ".2",
                                        OBJECT ".4<" OBJECT ".3",
                                        "vms-7-copy<" OBJECT ".2",
                                        NULL };
  static const char *const branched[] = { OBJECT "<image",
                                          OBJECT ".1<" OBJECT,
                                          OBJECT ".2<" OBJECT ".1",
                                          OBJECT ".3<" OBJECT ".2",
                                          OBJECT ".4<" OBJECT ".3",
                                          OBJECT ".5<" OBJECT,
                                          NULL };
  static const struct
  {
    const char *const *volumes;
    const char *names;
    int layer, above; /* -1: none */
  } cases[] = {
    { deep, "three=3", 1, 2 },
    { deep, "one=1 three=3", -1, -1 },
    { deep, "zero=0 three=3", 2, 3 },
    { deep, "two=2 three=3", 1, 2 },
    { deep, "one=1 two=2 three=3", -1, -1 },
    { copied, "three=3", -1, -1 },
    { branched, "three=3 five=5", 2, 3 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (SandboxLayers) layers = make (cases[i].volumes, cases[i].names, OBJECT ".4", NULL);
      SandboxLayer *above = NULL, *layer = _sandbox_layers_find_merge (layers, TRUE, &above);

      g_assert_cmpint (layer != NULL ? (int)layer->number : -1, ==, cases[i].layer);
      if (layer != NULL)
        g_assert_cmpint ((int)above->number, ==, cases[i].above);
    }
}

/* What the machine does not run on is left to those who wait for it. */
static void
test_idle (void)
{
  static const char *const branched[] = { OBJECT "<image",          OBJECT ".1<" OBJECT,
                                          OBJECT ".2<" OBJECT ".1", OBJECT ".3<" OBJECT ".2",
                                          OBJECT ".4<" OBJECT,      NULL };
  SandboxMerge merge = { (char *)OBJECT ".1.qcow2", (char *)OBJECT ".2.qcow2", FALSE };
  static const struct
  {
    const char *top, *names;
    int layer, above; /* -1: none */
  } cases[] = {
    { OBJECT ".4", "zero=0 three=3", -1, -1 },
    { OBJECT ".3", "zero=0 four=4", 2, 3 },
    { OBJECT ".3", "zero=0 two=2 four=4", -1, -1 },
  };
  SandboxLayer *above = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (SandboxLayers) layers = make (branched, cases[i].names, cases[i].top, NULL);
      SandboxLayer *layer = _sandbox_layers_find_idle (layers, &above);

      g_assert_cmpint (layer != NULL ? (int)layer->number : -1, ==, cases[i].layer);
      if (layer != NULL)
        g_assert_cmpint ((int)above->number, ==, cases[i].above);
    }
  {
    g_autoptr (SandboxLayers) layers =
        make_merging (branched, "zero=0 three=3", OBJECT ".4", &merge, NULL);

    g_assert_nonnull (_sandbox_layers_find_merge (layers, TRUE, &above));
    g_assert_null (_sandbox_layers_find_idle (layers, &above));
  }
}

/* Another one that could be merged, and is listed first, would have its note take the place of the
 * first one's, whose upper layer then has lost what it had. */
static void
test_merging_comes_first (void)
{
  static const char *const after[] = { OBJECT "<image",          OBJECT ".1<" OBJECT,
                                       OBJECT ".2<" OBJECT ".1", OBJECT ".3<" OBJECT ".2",
                                       OBJECT ".4<" OBJECT ".2", NULL };
  SandboxMerge merge = { (char *)OBJECT ".3.qcow2", (char *)OBJECT ".4.qcow2" };
  SandboxMerge deep = { (char *)OBJECT ".2.qcow2", (char *)OBJECT ".3.qcow2" };
  SandboxLayer *above = NULL;

  {
    g_autoptr (SandboxLayers) layers =
        make_merging (after, "one=1 two=2", OBJECT ".4", &merge, NULL);

    g_assert_cmpuint (_sandbox_layers_find_merge (layers, FALSE, &above)->number, ==, 3);
    g_assert_cmpuint (above->number, ==, 4);
  }
  {
    /* it runs, and 1 must not be written to: nothing now, the one below the top neither */
    static const char *const line_of_five[] = { OBJECT "<image",          OBJECT ".1<" OBJECT,
                                                OBJECT ".2<" OBJECT ".1", OBJECT ".3<" OBJECT ".1",
                                                OBJECT ".4<" OBJECT ".3", NULL };
    g_autoptr (SandboxLayers) layers =
        make_merging (line_of_five, "one=1", OBJECT ".4", &deep, NULL);

    g_assert_null (_sandbox_layers_find_merge (layers, TRUE, &above));
    g_assert_cmpuint (_sandbox_layers_find_merge (layers, FALSE, &above)->number, ==, 2);
    g_assert_cmpuint (above->number, ==, 3);
  }
}

/* Of a merge that may not have ended both layers count, whatever the upper one says. */
static void
test_merging (void)
{
  static const char *const before[] = { OBJECT "<image", OBJECT ".1<" OBJECT,
                                        OBJECT ".2<" OBJECT ".1", NULL };
  static const char *const after[] = { OBJECT "<image", OBJECT ".1<" OBJECT, OBJECT ".2<" OBJECT,
                                       NULL };
  static const char *const lowest[] = { OBJECT "<image", OBJECT ".1<image", NULL };
  SandboxMerge merge = { (char *)OBJECT ".1.qcow2", (char *)OBJECT ".2.qcow2" };
  SandboxMerge first = { (char *)OBJECT ".qcow2", (char *)OBJECT ".1.qcow2" };
  SandboxMerge gone = { (char *)OBJECT ".7.qcow2", (char *)OBJECT ".2.qcow2" };
  SandboxMerge other = { (char *)OBJECT ".2.qcow2", (char *)OBJECT ".1.qcow2" };
  const char *const *const trees[] = { before, after };
  SandboxLayer *above = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (trees); i++)
    {
      g_autoptr (SandboxLayers) layers =
          make_merging (trees[i], "one=0", OBJECT ".2", &merge, NULL);
      g_autofree const char **below = _sandbox_layer_below (layers->top);

      g_assert_null (_sandbox_layers_find_useless (layers));
      g_assert_cmpuint (_sandbox_layers_find_merge (layers, FALSE, &above)->number, ==, 1);
      g_assert_true (above == layers->top);
      g_assert_cmpuint (g_strv_length ((char **)below), ==, 2);
      g_assert_cmpstr (below[0], ==, POOL OBJECT ".1.qcow2");
      g_assert_cmpstr (_sandbox_layer_base (layers->top), ==, POOL "image.qcow2");
    }
  {
    /* on the image itself; without a definition, which is the disk is still told */
    g_autoptr (SandboxLayers) layers = make_merging (lowest, "", NULL, &first, NULL);

    g_assert_cmpuint (layers->top->number, ==, 1);
    g_assert_cmpuint (layers->top->below->number, ==, 0);
  }
  {
    g_autoptr (SandboxLayers) layers = make_merging (after, "one=0", OBJECT ".2", &gone, NULL);

    g_assert_cmpuint (_sandbox_layers_find_useless (layers)->number, ==, 1);
  }
  {
    g_autoptr (SandboxLayers) layers = make_merging (before, "one=0", OBJECT ".2", &other, NULL);

    g_assert_cmpuint (layers->top->below->number, ==, 1);
    g_assert_cmpuint (layers->top->below->below->number, ==, 0);
  }
}

static void
test_copies (void)
{
  static const char *const tree[] = { OBJECT "<image", OBJECT ".1<" OBJECT,
                                      OBJECT ".2<" OBJECT ".1", "vms-7-copy<" OBJECT ".1", NULL };
  g_autoptr (SandboxLayers) layers = make (tree, "", OBJECT ".2", NULL);
  g_autofree char *next = _sandbox_layers_next (layers, TRUE);
  SandboxLayer *above = NULL;

  /* 1 would be merged with 0, but a copy reads it; and 1 has two on it */
  g_assert_null (_sandbox_layers_find_merge (layers, FALSE, &above));
  g_assert_true (_sandbox_layer_is_needed (layers, layers->top->below));
  g_assert_false (_sandbox_layer_is_needed (layers, layers->top));
  g_assert_cmpstr (next, ==, OBJECT ".2.qcow2");
}

static void
test_fresh_name (void)
{
  g_autoptr (SandboxLayers) layers = make (line, "one=0", OBJECT ".2", NULL);
  g_autofree char *next = _sandbox_layers_next (layers, TRUE);

  g_assert_cmpstr (next, ==, OBJECT ".qcow2");
}

static void
test_without_domain (void)
{
  static const char *const two[] = { OBJECT "<image", OBJECT ".1<" OBJECT, OBJECT ".2<" OBJECT,
                                     NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxLayers) layers = make (two, "one=1", NULL, &error);
  g_autoptr (SandboxLayers) unclear = NULL;

  g_assert_no_error (error);
  g_assert_cmpuint (layers->top->number, ==, 2);
  unclear = make (two, "", NULL, &error);
  g_assert_null (unclear);
  g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_WRONG_STATE);
  g_assert_nonnull (strstr (error->message, OBJECT ".1.qcow2"));
}

/* A header that says so is damaged; nothing may run for ever. */
static void
test_circle (void)
{
  static const char *const circle[] = { OBJECT "<" OBJECT ".1", OBJECT ".1<" OBJECT,
                                        OBJECT ".2<" OBJECT ".1", NULL };
  g_autoptr (SandboxLayers) layers = make (circle, "", OBJECT ".2", NULL);
  g_autofree const char **below = _sandbox_layer_below (layers->top);

  g_assert_cmpuint (_sandbox_layer_depth (layers->top), >, SANDBOX_LAYERS_MAX);
  g_assert_nonnull (below);
  g_assert_null (_sandbox_layer_snapshot (layers->top));
}

static void
test_file (void)
{
  g_autofree char *dir = g_dir_make_tmp ("vms-test-XXXXXX", NULL);
  sandbox_autofd int fd = g_open (dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  g_autoptr (GPtrArray) entries = _sandbox_snapshots_new ();
  g_autoptr (GPtrArray) none = NULL, read = NULL;
  g_autoptr (GError) error = NULL;
  static const char *const notes[] = { "", "plain", "two\nlines\t[x]\\ = # ; \"", " blanks ",
                                       "ümläut" };
  gboolean known = TRUE;

  none = _sandbox_snapshots_read (fd, &known, &error);
  g_assert_no_error (error);
  g_assert_false (known);
  for (guint i = 0; i < G_N_ELEMENTS (notes); i++)
    {
      SandboxSnapshotEntry *entry = g_new0 (SandboxSnapshotEntry, 1);

      entry->name = g_strdup_printf ("s%u", i);
      entry->note = g_strdup (notes[i]);
      entry->layer = i * 7;
      entry->created_usec = G_GINT64_CONSTANT (1795269876195991) + i;
      entry->automatic = i % 2;
      entry->running = i % 3 == 0;
      g_ptr_array_add (entries, entry);
    }
  g_assert_true (_sandbox_snapshots_write (fd, entries, &error));
  read = _sandbox_snapshots_read (fd, &known, &error);
  g_assert_no_error (error);
  g_assert_true (known);
  g_assert_cmpuint (read->len, ==, entries->len);
  for (guint i = 0; i < read->len; i++)
    {
      const SandboxSnapshotEntry *a = entries->pdata[i], *b = read->pdata[i];

      g_assert_cmpstr (a->name, ==, b->name);
      g_assert_cmpstr (a->note, ==, b->note);
      g_assert_cmpuint (a->layer, ==, b->layer);
      g_assert_cmpint (a->created_usec, ==, b->created_usec);
      g_assert_cmpint (a->automatic, ==, b->automatic);
      g_assert_cmpint (a->running, ==, b->running);
    }
  g_assert_true (sandbox_remove_at (fd, "snapshots", NULL));
  g_rmdir (dir);
}

static void
test_damaged_file (void)
{
  static const char *const texts[] = {
    "no group",
    "[../x]\nlayer=1\ncreated=1\nautomatic=false\nrunning=false\nnote=\n",
    "[x]\nlayer=-1\ncreated=1\nautomatic=false\nrunning=false\nnote=\n",
    "[x]\nlayer=many\ncreated=1\nautomatic=false\nrunning=false\nnote=\n",
    "[x]\nlayer=1\nautomatic=false\nrunning=false\nnote=\n",
    "[x]\nlayer=1\ncreated=1\nautomatic=perhaps\nrunning=false\nnote=\n",
    "[x]\nlayer=1\ncreated=1\nautomatic=false\nrunning=false\n",
    "[x]\nlayer=1\ncreated=1\nautomatic=false\nrunning=false\nnote=\xff\n",
  };
  g_autofree char *dir = g_dir_make_tmp ("vms-test-XXXXXX", NULL);
  sandbox_autofd int fd = g_open (dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (GError) error = NULL;
      gboolean known;

      g_assert_true (
          sandbox_file_write_at (fd, "snapshots", texts[i], strlen (texts[i]), 0600, NULL));
      g_assert_null (_sandbox_snapshots_read (fd, &known, &error));
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
    }
  g_assert_true (sandbox_remove_at (fd, "snapshots", NULL));
  g_rmdir (dir);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/layers/parse", test_parse);
  g_test_add_func ("/layers/line", test_line);
  g_test_add_func ("/layers/unfinished", test_unfinished);
  g_test_add_func ("/layers/lost-layer", test_lost_layer);
  g_test_add_func ("/layers/useless", test_useless);
  g_test_add_func ("/layers/merge", test_merge);
  g_test_add_func ("/layers/merge-busy", test_merge_busy);
  g_test_add_func ("/layers/merge-deep", test_merge_deep);
  g_test_add_func ("/layers/idle", test_idle);
  g_test_add_func ("/layers/merging", test_merging);
  g_test_add_func ("/layers/merging-comes-first", test_merging_comes_first);
  g_test_add_func ("/layers/copies", test_copies);
  g_test_add_func ("/layers/fresh-name", test_fresh_name);
  g_test_add_func ("/layers/without-domain", test_without_domain);
  g_test_add_func ("/layers/circle", test_circle);
  g_test_add_func ("/layers/file", test_file);
  g_test_add_func ("/layers/damaged-file", test_damaged_file);
  return g_test_run ();
}
