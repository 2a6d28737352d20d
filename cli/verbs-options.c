// SPDX-License-Identifier: LGPL-2.1-or-later
// The options of all verbs: part of the command table.
#include "verbs-options.h"

// clang-format off
#define END { 0, NULL, NULL, FALSE, VMS_COMPLETE_NONE, NULL }
#define FLAG(letter, name, summary) { letter, name, NULL, FALSE, VMS_COMPLETE_NONE, summary }
#define VALUE(letter, name, value, completer, summary) \
  { letter, name, value, FALSE, completer, summary }
#define VALUES(letter, name, value, completer, summary) \
  { letter, name, value, TRUE, completer, summary }

const VmsOption vms_global_options[] = {
  VALUE ('c', "connect", "URI", VMS_COMPLETE_NONE,
         "libvirt to talk to; else $VMS_URI, else qemu:///system"),
  VALUE (0, "passphrase-fd", "N", VMS_COMPLETE_NONE,
         "read the passphrase of one machine's encrypted disk from this descriptor"),
  FLAG ('q', "quiet", "say nothing but errors and what was asked for"),
  FLAG ('v', "verbose", "say more about what is done"),
  FLAG (0, "json", "print JSON (verbs that list or show)"),
  FLAG ('h', "help", "show how the verb is used"),
  FLAG (0, "version", "show the version"),
  END
};

#define SHARE_SUMMARY "share a directory of yours: DIR[:TARGET][,mode=M][,shadow=DIR;DIR]; may be repeated"
#define YES_SUMMARY "do not ask"
#define FORGO_SUMMARY "do not save changes in shares that were not applied"
#define BOOT_SUMMARY "boot a fresh machine, whatever its profile says (start=)"
#define IGNORED_SUMMARY "also what git on this host ignores"
#define FROM_SUMMARY "what destroy, recreate, revert or run saved, instead of the machine"
#define ENV_SUMMARY "set an environment variable, or pass on yours; may be repeated"

const VmsOption vms_create_options[] = {
  VALUE ('p', "profile", "PROFILE", VMS_COMPLETE_PROFILE, "what it inherits (default: base)"),
  VALUES ('s', "share", "SPEC", VMS_COMPLETE_DIR, SHARE_SUMMARY),
  END
};
const VmsOption vms_list_options[] = {
  FLAG (0, "disk", "show what the disks take on the host"),
  END
};
const VmsOption vms_export_options[] = {
  FLAG ('f', "force", "replace the file when there is one"),
  FLAG (0, "layers", "with its snapshots"),
  END
};
const VmsOption vms_import_options[] = {
  VALUE (0, "name", "NAME", VMS_COMPLETE_NONE, "what the machine is called here (default: as it was)"),
  VALUE (0, "max-disk", "GIB", VMS_COMPLETE_NONE,
         "let its disk grow to this many GiB (default: what disk= of your profiles' base says)"),
  END
};
const VmsOption vms_start_options[] = {
  VALUES ('s', "share", "SPEC", VMS_COMPLETE_DIR, SHARE_SUMMARY),
  FLAG ('n', "dry-run",
         "show what would be defined and how it differs from what is; change nothing"),
  FLAG (0, "boot", BOOT_SUMMARY),
  VALUE (0, "wait-for", "ssh|PORT", VMS_COMPLETE_NONE,
         "wait, too, until something in the machine listens on this port (default: ssh)"),
  VALUE (0, "timeout", "TIME", VMS_COMPLETE_NONE,
         "how long to wait for ssh, and then for a port, such as 90s or 5m (default: 5m)"),
  END
};
const VmsOption vms_stop_options[] = {
  FLAG ('f', "force", "pull the plug when it does not power off by itself"),
  VALUE (0, "timeout", "TIME", VMS_COMPLETE_NONE,
         "how long to wait for it to power off (default: 2m)"),
  END
};
const VmsOption vms_suspend_options[] = { FLAG (0, "memory", "pause it only: it stays in this host's memory, with its shares"), END };
const VmsOption vms_resume_options[] = {
  VALUE (0, "timeout", "TIME", VMS_COMPLETE_NONE, "how long to wait for ssh (default: 5m)"), END };
const VmsOption vms_destroy_options[] = {
  FLAG (0, "if-exists", "it is no error when there is no such machine"),
  FLAG ('y', "yes", YES_SUMMARY),
  FLAG (0, "keep-profile", "keep the profile file, so that start makes the machine again"),
  FLAG (0, "discard-changes", FORGO_SUMMARY),
  END
};
const VmsOption vms_recreate_options[] = {
  FLAG ('y', "yes", YES_SUMMARY), FLAG (0, "discard-changes", FORGO_SUMMARY),
  FLAG (0, "boot", BOOT_SUMMARY), END
};
const VmsOption vms_ssh_options[] = {
  FLAG ('t', "tty", "give the command a terminal (default: when stdin and stdout are terminals)"),
  FLAG ('T', "no-tty", "give it none"),
  END
};
const VmsOption vms_exec_options[] = {
  FLAG ('t', "tty", "give the command a terminal (default: when stdin and stdout are terminals)"),
  FLAG ('T', "no-tty", "give it none"),
  VALUE ('C', "directory", "DIR", VMS_COMPLETE_NONE, "directory in the guest to run it in"),
  VALUES ('e', "env", "NAME[=VALUE]", VMS_COMPLETE_NONE, ENV_SUMMARY),
  VALUE (0, "timeout", "TIME", VMS_COMPLETE_NONE, "end the command after this time"),
  FLAG (0, "checkpoint", "make a snapshot first; the newest ten of these are kept"),
  END
};
const VmsOption vms_run_options[] = {
  VALUE ('p', "profile", "PROFILE", VMS_COMPLETE_PROFILE,
         "what the machine is made from (default: ci)"),
  VALUES ('s', "share", "SPEC", VMS_COMPLETE_DIR, SHARE_SUMMARY),
  VALUE (0, "network", "MODE", VMS_COMPLETE_NONE, "nat or none, whatever the profile says"),
  FLAG (0, "boot", BOOT_SUMMARY),
  VALUES ('o', "out", "GUEST[:HOST]", VMS_COMPLETE_NONE,
          "copy this out when the command has ended; may be repeated"),
  FLAG (0, "keep", "let the machine stay, as one like others"),
  FLAG (0, "discard-changes", FORGO_SUMMARY),
  FLAG ('t', "tty", "give the command a terminal (default: when stdin and stdout are terminals)"),
  FLAG ('T', "no-tty", "give it none"),
  VALUE ('C', "directory", "DIR", VMS_COMPLETE_NONE, "directory in the guest to run it in"),
  VALUES ('e', "env", "NAME[=VALUE]", VMS_COMPLETE_NONE, ENV_SUMMARY),
  VALUE (0, "timeout", "TIME", VMS_COMPLETE_NONE, "end the command after this time"),
  END
};
const VmsOption vms_cp_options[] = {
  FLAG ('f', "force", "overwrite what is there"),
  FLAG ('r', "recursive", "accepted for habit's sake: directories are always copied whole"),
  END
};
const VmsOption vms_logs_options[] = {
  VALUE ('n', "lines", "N", VMS_COMPLETE_NONE, "only the last N lines"), END
};
const VmsOption vms_pull_options[] = {
  FLAG ('n', "dry-run", "list the commits and refs that would come; change nothing"),
  VALUE (0, "max-size", "MIB", VMS_COMPLETE_NONE,
         "take this many MiB from the machine at most (default: 512)"),
  END
};
#define FORWARD_HOST_SUMMARY "services of this host that are offered in the machine, instead"
const VmsOption vms_forward_add_options[] = {
  FLAG (0, "host", FORWARD_HOST_SUMMARY),
  VALUE (0, "for", "TIME", VMS_COMPLETE_NONE,
         "only that long, such as 30m or 1h, or until the machine stops; not in the profile"),
  END
};
const VmsOption vms_forward_remove_options[] = {
  FLAG (0, "host", FORWARD_HOST_SUMMARY), END
};
const VmsOption vms_share_add_options[] = {
  VALUE (0, "for", "TIME", VMS_COMPLETE_NONE,
         "only that long, such as 30m or 1h, or until the machine stops; not in the profile"),
  END
};
const VmsOption vms_share_remove_options[] = {
  FLAG ('f', "force", "also while processes of the machine work in it: what they do there fails"),
  FLAG (0, "discard-changes", "also with changes there that were not applied: they go (of one that is off: stay on its disk)"),
  END
};
const VmsOption vms_snapshot_create_options[] = {
  VALUE ('m', "note", "TEXT", VMS_COMPLETE_NONE, "say what it is for"), END
};
const VmsOption vms_revert_options[] = {
  FLAG (0, "discard", "throw the present state away, instead of keeping it as a snapshot"),
  FLAG (0, "discard-changes", "with --discard: " FORGO_SUMMARY),
  FLAG ('f', "force", "pull the plug of a running machine instead of asking it to power off"),
  FLAG ('y', "yes", YES_SUMMARY),
  END
};
const VmsOption vms_diff_options[] = {
  FLAG (0, "stat", "one line for each change, with what stands against it"),
  FLAG (0, "executable", "only what this host would run, or builds with"),
  FLAG (0, "ignored", IGNORED_SUMMARY),
  VALUE (0, "from", "DIR", VMS_COMPLETE_DIR, FROM_SUMMARY),
  END
};
const VmsOption vms_apply_options[] = {
  FLAG (0, "include-executable", "also what this host runs without being asked"),
  FLAG (0, "ignored", IGNORED_SUMMARY),
  FLAG (0, "force", "replace files that changed on this host, too: the paths must be named"),
  FLAG (0, "unseen", "also what `vms diff` has not shown as it is now"),
  FLAG ('n', "dry-run", "list what would be applied; change nothing"),
  FLAG ('i', "interactive", "show each change, or each part of one, and ask"),
  FLAG (0, "undo", "put back what the last apply replaced"),
  VALUE (0, "from", "DIR", VMS_COMPLETE_DIR, FROM_SUMMARY),
  END
};
const VmsOption vms_discard_options[] = { FLAG (0, "ignored", IGNORED_SUMMARY),
                                          FLAG ('y', "yes", YES_SUMMARY), END };
const VmsOption vms_ssh_config_options[] = {
  FLAG (0, "install",
         "add one Include line to ~/.ssh/config, so that plain `ssh NAME` works"),
  END
};
const VmsOption vms_build_options[] = {
  FLAG (0, "update", "build a new one even if there is one already"),
  FLAG (0, "debug", "keep the machine in which a step of a profile's provisioning fails"),
  END
};
const VmsOption vms_prune_options[] = {
  VALUE (0, "saved-days", "N", VMS_COMPLETE_NONE,
         "also changes of shares that were saved (destroy, recreate, revert, run) N days ago or earlier"),
  FLAG ('y', "yes", "remove them"),
  END
};
const VmsOption vms_new_options[] = {
  VALUE ('p', "profile", "PROFILE", VMS_COMPLETE_PROFILE, "what it inherits (default: base)"), END
};
const VmsOption vms_verify_options[] = {
  FLAG (0, "inside", "probe from the running machine itself: faster, but a hostile one can lie"),
  VALUES (0, "lan", "ADDRESS[:PORT]", VMS_COMPLETE_NONE,
          "a host of the LAN to try (default: the default gateway); may be repeated"),
  VALUES (0, "public", "ADDRESS[:PORT]", VMS_COMPLETE_NONE,
          "a host of the internet to try (port 443); may be repeated"),
  VALUES (0, "metadata", "ADDRESS[:PORT]", VMS_COMPLETE_NONE,
          "where the cloud that this host is in has its metadata (port 80); may be repeated"),
  VALUE (0, "timeout", "TIME", VMS_COMPLETE_NONE,
         "how long each probe waits for an answer (default: 3s)"),
  END
};
const VmsOption vms_doctor_options[] = {
  FLAG (0, "fix", "mend what is wrong with this host, command by command, after showing and asking"),
  FLAG (0, "dry-run", "with --fix: only show the commands"),
  FLAG (0, "repair", "remove what killed commands left behind, after showing it"),
  FLAG ('y', "yes", "with --fix or --repair: do not ask"),
  END
};

const VmsOption vms_help_options[] = {
  FLAG (0, "steps", "list the steps that start and others are made of"),
  END
};
// clang-format on
