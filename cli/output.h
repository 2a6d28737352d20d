// SPDX-License-Identifier: LGPL-2.1-or-later
// What goes to stdout and stderr: tables, JSON, colours, messages; all text escaped for a terminal.
#pragma once

#include <gio/gio.h>
#include <json-glib/json-glib.h>
#include <sandbox/sandbox.h>

/* Version of the JSON documents; grows when a member changes its meaning or goes away. */
#define VMS_JSON_FORMAT 1

/* Sets @error; always FALSE. */
gboolean vms_fail (GError **error, SandboxError code, const char *format, ...) G_GNUC_PRINTF (3, 4);
/* Exit status for an error, as documented in vms(1). */
int vms_exit_status (const GError *error);

/* Text from anywhere made fit for one line of a terminal: control characters, bidi controls and
 * broken UTF-8 as \xNN and \u{N}. */
char *vms_escape (const char *text);
/* The same, but newlines and tabs stay. */
char *vms_escape_lines (const char *text);
/* Columns that escaped text takes on a terminal. */
guint vms_width (const char *text);
/* @text cut to @columns, with "..." at its end when something went. (transfer full) */
char *vms_cut (const char *text, guint columns);
/* "1.4 GiB" (transfer full) */
char *vms_size (guint64 bytes);
/* "3.2 s", "4 min 10 s" (transfer full) */
char *vms_elapsed (gint64 usec);
/* How long until then, real time; "" for 0, which never comes. (transfer full) */
char *vms_time_left (gint64 until_usec);

/* One line on stderr that begins with "vms: ". */
void vms_error (const GError *error);
void vms_say (const char *format, ...) G_GNUC_PRINTF (1, 2);
/* @text on stdout, with a newline at its end. */
void vms_print (const char *text);

typedef enum
{
  VMS_PLAIN,
  VMS_BOLD,
  VMS_DIM,
  VMS_GREEN,
  VMS_YELLOW,
  VMS_RED,
} VmsColour;
/* Escape sequence that begins @colour on @fd, "" when that is no terminal or colours are not
 * wanted. */
const char *vms_colour (int fd, VmsColour colour);

typedef struct _VmsTable VmsTable;
/* Headings, NULL-terminated. A heading that begins with ">" makes its column right-aligned. */
VmsTable *vms_table_new (const char *first, ...) G_GNUC_NULL_TERMINATED;
void vms_table_free (VmsTable *table);
/* Cells, as many as there are headings; NULL shows as "-". Copied and escaped. */
void vms_table_add (VmsTable *table, VmsColour colour, const char *first, ...);
void vms_table_print (VmsTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VmsTable, vms_table_free)

/* An object with "format" in it is begun; vms_json_end() ends and prints it. */
JsonBuilder *vms_json_begin (void);
void vms_json_end (JsonBuilder *builder);
void vms_json_string (JsonBuilder *builder, const char *name, const char *value);
void vms_json_int (JsonBuilder *builder, const char *name, gint64 value);
/* Real time, as 2026-01-31T12:00:00Z; "" for 0. */
void vms_json_time (JsonBuilder *builder, const char *name, gint64 usec);
void vms_json_bool (JsonBuilder *builder, const char *name, gboolean value);
void vms_json_strings (JsonBuilder *builder, const char *name, char **values);
