// SPDX-License-Identifier: LGPL-2.1-or-later
// Lists as tables for people and as JSON for programs.
#include "output.h"

#include <stdio.h>
#include <unistd.h>

#define COLUMNS_MAX 12

typedef struct
{
  char *cells[COLUMNS_MAX];
  VmsColour colour;
} Row;

struct _VmsTable
{
  guint n_columns;
  gboolean right[COLUMNS_MAX];
  guint width[COLUMNS_MAX];
  GPtrArray *rows;
};

static void
row_free (gpointer data)
{
  Row *row = data;

  for (guint i = 0; i < COLUMNS_MAX; i++)
    g_free (row->cells[i]);
  g_free (row);
}

static void
set_cell (VmsTable *table, Row *row, guint column, const char *text)
{
  row->cells[column] = vms_escape (text != NULL && *text != '\0' ? text : "-");
  table->width[column] = MAX (table->width[column], vms_width (row->cells[column]));
}

VmsTable *
vms_table_new (const char *first, ...)
{
  VmsTable *table = g_new0 (VmsTable, 1);
  Row *row = g_new0 (Row, 1);
  va_list list;

  table->rows = g_ptr_array_new_with_free_func (row_free);
  row->colour = VMS_BOLD;
  va_start (list, first);
  for (const char *heading = first; heading != NULL; heading = va_arg (list, const char *))
    {
      g_assert (table->n_columns < COLUMNS_MAX);
      table->right[table->n_columns] = *heading == '>';
      set_cell (table, row, table->n_columns++, *heading == '>' ? heading + 1 : heading);
    }
  va_end (list);
  g_ptr_array_add (table->rows, row);
  return table;
}

void
vms_table_free (VmsTable *table)
{
  g_ptr_array_unref (table->rows);
  g_free (table);
}

void
vms_table_add (VmsTable *table, VmsColour colour, const char *first, ...)
{
  Row *row = g_new0 (Row, 1);
  va_list list;

  row->colour = colour;
  va_start (list, first);
  for (guint i = 0; i < table->n_columns; i++)
    set_cell (table, row, i, i == 0 ? first : va_arg (list, const char *));
  va_end (list);
  g_ptr_array_add (table->rows, row);
}

static void
print_row (const VmsTable *table, const Row *row)
{
  g_autoptr (GString) line = g_string_new (NULL);

  for (guint i = 0; i < table->n_columns; i++)
    {
      guint pad = table->width[i] - vms_width (row->cells[i]);
      if (table->right[i])
        g_string_append_printf (line, "%*s", (int)pad, "");
      g_string_append (line, row->cells[i]);
      if (!table->right[i] && i + 1 < table->n_columns)
        g_string_append_printf (line, "%*s", (int)pad, "");
      if (i + 1 < table->n_columns)
        g_string_append (line, "  ");
    }
  if (row->colour == VMS_PLAIN)
    printf ("%s\n", line->str);
  else
    printf ("%s%s%s\n", vms_colour (STDOUT_FILENO, row->colour), line->str,
            vms_colour (STDOUT_FILENO, VMS_PLAIN));
}

void
vms_table_print (VmsTable *table)
{
  for (guint i = 0; i < table->rows->len; i++)
    print_row (table, g_ptr_array_index (table->rows, i));
}

JsonBuilder *
vms_json_begin (void)
{
  JsonBuilder *builder = json_builder_new ();

  json_builder_begin_object (builder);
  vms_json_int (builder, "format", VMS_JSON_FORMAT);
  return builder;
}

void
vms_json_end (JsonBuilder *builder)
{
  g_autoptr (JsonGenerator) generator = json_generator_new ();
  g_autoptr (JsonNode) root = NULL;
  g_autofree char *text = NULL;

  json_builder_end_object (builder);
  root = json_builder_get_root (builder);
  json_generator_set_root (generator, root);
  json_generator_set_pretty (generator, TRUE);
  text = json_generator_to_data (generator, NULL);
  vms_print (text);
}

void
vms_json_string (JsonBuilder *builder, const char *name, const char *value)
{
  g_autofree char *valid = g_utf8_make_valid (value != NULL ? value : "", -1);

  json_builder_set_member_name (builder, name);
  json_builder_add_string_value (builder, valid);
}

void
vms_json_int (JsonBuilder *builder, const char *name, gint64 value)
{
  json_builder_set_member_name (builder, name);
  json_builder_add_int_value (builder, value);
}

void
vms_json_bool (JsonBuilder *builder, const char *name, gboolean value)
{
  json_builder_set_member_name (builder, name);
  json_builder_add_boolean_value (builder, value);
}

void
vms_json_time (JsonBuilder *builder, const char *name, gint64 usec)
{
  g_autoptr (GDateTime) time =
      usec > 0 ? g_date_time_new_from_unix_utc (usec / G_USEC_PER_SEC) : NULL;
  g_autofree char *text =
      time != NULL ? g_date_time_format (time, "%Y-%m-%dT%H:%M:%SZ") : g_strdup ("");

  vms_json_string (builder, name, text);
}

void
vms_json_strings (JsonBuilder *builder, const char *name, char **values)
{
  json_builder_set_member_name (builder, name);
  json_builder_begin_array (builder);
  for (; values != NULL && *values != NULL; values++)
    {
      g_autofree char *valid = g_utf8_make_valid (*values, -1);
      json_builder_add_string_value (builder, valid);
    }
  json_builder_end_array (builder);
}
