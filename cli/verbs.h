// SPDX-License-Identifier: LGPL-2.1-or-later
// The command table: what every verb is called, takes and does. Help, usage errors, completion and
// the manual come from it.
#pragma once

#include <glib.h>

typedef struct _VmsContext VmsContext;
typedef struct _VmsArgs VmsArgs;

/* No upper limit for operands. */
#define VMS_MANY G_MAXUINT

typedef enum
{
  VMS_GROUP_MACHINES,
  VMS_GROUP_RUN,
  VMS_GROUP_USE,
  VMS_GROUP_PARTS,
  VMS_GROUP_HELP,
  VMS_N_GROUPS,
} VmsGroup;

/* What a word can be; decides what completion offers. */
typedef enum
{
  VMS_COMPLETE_NONE,
  VMS_COMPLETE_MACHINE,
  VMS_COMPLETE_PROFILE,
  VMS_COMPLETE_IMAGE,
  VMS_COMPLETE_FILE,
  VMS_COMPLETE_DIR,
  VMS_COMPLETE_COPY,
  VMS_COMPLETE_VERB,
  VMS_COMPLETE_SHELL,
} VmsCompleter;

typedef enum
{
  VMS_VERB_JSON = 1 << 0, /* takes --json */
  /* may end with a command, whose status is passed on; failures of ours are status 125 */
  VMS_VERB_COMMAND = 1 << 1,
  VMS_VERB_NEEDS_COMMAND = 1 << 2, /* must end with one */
  VMS_VERB_HIDDEN = 1 << 3,        /* not in help, manual and completion */
  VMS_VERB_DEFAULT = 1 << 4,       /* its second word may be left out */
} VmsVerbFlags;

/**
 * VmsOption: one option of a verb
 * @letter: 0 when there is no short form
 * @value: (nullable): name of its value, %NULL for a flag
 * @repeat: may be given more than once
 */
typedef struct
{
  char letter;
  const char *name;
  const char *value;
  gboolean repeat;
  VmsCompleter completer;
  const char *summary;
} VmsOption;

/**
 * VmsVerb: one row of the command table
 * @verb: first word
 * @sub: (nullable): second word of a family ("image build")
 * @alias: (nullable): another first word that means the same
 * @operands: what follows, as shown in the usage line
 * @min, @max: how many operands there may be
 * @completer: for the operands
 * @summary: one line, imperative, lower case, without a full stop
 * @details: (nullable): paragraphs for `vms help VERB` and the manual, separated by an empty line
 * @options: (nullable): ends with a row without name
 * @run: returns the exit status; with @error set the status is made from the error instead
 */
typedef struct
{
  const char *verb;
  const char *sub;
  const char *alias;
  VmsGroup group;
  const char *operands;
  guint min, max;
  VmsCompleter completer;
  VmsVerbFlags flags;
  const char *summary;
  const char *details;
  const VmsOption *options;
  int (*run) (VmsContext *context, const VmsArgs *args, GError **error);
} VmsVerb;

/* The table; ends with a row without verb. */
extern const VmsVerb vms_verbs[];
/* Options that every verb takes; ends with a row without name. */
extern const VmsOption vms_global_options[];
extern const char *const vms_group_titles[VMS_N_GROUPS];

/* The row of VERB SUB; @sub NULL for a verb without subverbs. NULL when there is none. Aliases
 * count. */
const VmsVerb *vms_verb_find (const char *verb, const char *sub);
/* First row of the family VERB; NULL when VERB is no family. */
const VmsVerb *vms_verb_family (const char *verb);
/* The row of the family VERB that is meant when its second word is none; NULL when there is none.
 */
const VmsVerb *vms_verb_default (const char *verb);
/* "image build" (transfer full) */
char *vms_verb_title (const VmsVerb *verb);
/* Option NAME of @verb (nullable: only the global ones); NULL when there is none. */
const VmsOption *vms_option_find (const VmsVerb *verb, const char *name);
const VmsOption *vms_option_find_letter (const VmsVerb *verb, char letter);

/* Handlers, in the files cmd-*.c */
#define VMS_HANDLER(name) int name (VmsContext *context, const VmsArgs *args, GError **error)
VMS_HANDLER (vms_cmd_create);
VMS_HANDLER (vms_cmd_edit);
VMS_HANDLER (vms_cmd_clone);
VMS_HANDLER (vms_cmd_export);
VMS_HANDLER (vms_cmd_import);
VMS_HANDLER (vms_cmd_list);
VMS_HANDLER (vms_cmd_status);
VMS_HANDLER (vms_cmd_start);
VMS_HANDLER (vms_cmd_stop);
VMS_HANDLER (vms_cmd_restart);
VMS_HANDLER (vms_cmd_suspend);
VMS_HANDLER (vms_cmd_resume);
VMS_HANDLER (vms_cmd_run);
VMS_HANDLER (vms_cmd_destroy);
VMS_HANDLER (vms_cmd_recreate);
VMS_HANDLER (vms_cmd_provision);
VMS_HANDLER (vms_cmd_ssh);
VMS_HANDLER (vms_cmd_exec);
VMS_HANDLER (vms_cmd_cp);
VMS_HANDLER (vms_cmd_console);
VMS_HANDLER (vms_cmd_logs);
VMS_HANDLER (vms_cmd_key);
VMS_HANDLER (vms_cmd_ssh_config);
VMS_HANDLER (vms_cmd_image_build);
VMS_HANDLER (vms_cmd_image_list);
VMS_HANDLER (vms_cmd_image_show);
VMS_HANDLER (vms_cmd_image_remove);
VMS_HANDLER (vms_cmd_image_prune);
VMS_HANDLER (vms_cmd_profile_list);
VMS_HANDLER (vms_cmd_profile_show);
VMS_HANDLER (vms_cmd_profile_new);
VMS_HANDLER (vms_cmd_profile_check);
VMS_HANDLER (vms_cmd_profile_keys);
VMS_HANDLER (vms_cmd_profile_diff);
VMS_HANDLER (vms_cmd_forward_list);
VMS_HANDLER (vms_cmd_forward_add);
VMS_HANDLER (vms_cmd_forward_remove);
VMS_HANDLER (vms_cmd_share_list);
VMS_HANDLER (vms_cmd_share_add);
VMS_HANDLER (vms_cmd_share_remove);
VMS_HANDLER (vms_cmd_pull);
VMS_HANDLER (vms_cmd_snapshot_create);
VMS_HANDLER (vms_cmd_snapshot_list);
VMS_HANDLER (vms_cmd_snapshot_diff);
VMS_HANDLER (vms_cmd_snapshot_delete);
VMS_HANDLER (vms_cmd_revert);
VMS_HANDLER (vms_cmd_diff);
VMS_HANDLER (vms_cmd_apply);
VMS_HANDLER (vms_cmd_discard);
VMS_HANDLER (vms_cmd_doctor);
VMS_HANDLER (vms_cmd_help);
VMS_HANDLER (vms_cmd_manual);
VMS_HANDLER (vms_cmd_verify);
VMS_HANDLER (vms_cmd_version);
VMS_HANDLER (vms_cmd_completion);
VMS_HANDLER (vms_cmd_complete);
