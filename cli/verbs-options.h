// SPDX-License-Identifier: LGPL-2.1-or-later
// The options of each verb, for the command table.
#pragma once

#include "verbs.h"

extern const VmsOption vms_create_options[];
extern const VmsOption vms_list_options[];
extern const VmsOption vms_export_options[];
extern const VmsOption vms_import_options[];
extern const VmsOption vms_start_options[];
extern const VmsOption vms_stop_options[];
extern const VmsOption vms_suspend_options[];
extern const VmsOption vms_resume_options[];
extern const VmsOption vms_destroy_options[];
extern const VmsOption vms_recreate_options[];
extern const VmsOption vms_ssh_options[];
extern const VmsOption vms_exec_options[];
extern const VmsOption vms_run_options[];
extern const VmsOption vms_cp_options[];
extern const VmsOption vms_logs_options[];
extern const VmsOption vms_pull_options[];
extern const VmsOption vms_forward_add_options[];
extern const VmsOption vms_forward_remove_options[];
extern const VmsOption vms_share_add_options[];
extern const VmsOption vms_share_remove_options[];
extern const VmsOption vms_snapshot_create_options[];
extern const VmsOption vms_revert_options[];
extern const VmsOption vms_diff_options[];
extern const VmsOption vms_apply_options[];
extern const VmsOption vms_discard_options[];
extern const VmsOption vms_ssh_config_options[];
extern const VmsOption vms_build_options[];
extern const VmsOption vms_prune_options[];
extern const VmsOption vms_new_options[];
extern const VmsOption vms_verify_options[];
extern const VmsOption vms_doctor_options[];
extern const VmsOption vms_help_options[];
