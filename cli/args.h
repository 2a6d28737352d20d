// SPDX-License-Identifier: LGPL-2.1-or-later
// Reading a command line by the command table, and the values in it.
#pragma once

#include "verbs.h"

/**
 * VmsArgs: one command line, read
 * @verb: (nullable): its row; %NULL when there is no verb, or only that of a family
 * @family: (nullable): the verb of a family that was given without subverb
 * @operands, @n_operands: what is neither verb nor option; %NULL-terminated
 * @command: (nullable): the command for the guest; %NULL when there is none
 */
struct _VmsArgs
{
  const VmsVerb *verb;
  const char *family;
  char **operands;
  guint n_operands;
  char **command;
  GHashTable *options; /* name -> GPtrArray of values ("" for a flag) */
};

/* @argv without the program's name. On failure @ret_verb (out, nullable row) is the verb that was
 * recognised, for the usage line. */
VmsArgs *vms_args_parse (char **argv, const VmsVerb **ret_verb, GError **error);
void vms_args_free (VmsArgs *args);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VmsArgs, vms_args_free)

/* INVALID, with the nearest verb, or subverb of @family (nullable); always FALSE. */
gboolean vms_fail_verb (const char *family, const char *word, GError **error);

gboolean vms_args_has (const VmsArgs *args, const char *option);
/* Its last value, NULL when it was not given. */
const char *vms_args_get (const VmsArgs *args, const char *option);
/* All its values; (array zero-terminated=1) (transfer container), NULL when it was not given. */
char **vms_args_get_all (const VmsArgs *args, const char *option);
/* "500ms", "30", "30s", "5m", "2h" as microseconds; 0 when it was not given. At most seven days. */
gboolean
vms_args_get_time (const VmsArgs *args, const char *option, gint64 *ret_usec, GError **error);
/* A whole number from 1 to @max; 0 when it was not given. */
gboolean vms_args_get_number (const VmsArgs *args, const char *option, guint64 max,
                              guint64 *ret_number, GError **error);
