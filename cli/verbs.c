// SPDX-License-Identifier: LGPL-2.1-or-later
// The command table itself. Adding a verb is adding a row here, its options in verbs-options.c, and
// a handler in a cmd-*.c file.
#include "verbs-options.h"

// clang-format off
const char *const vms_group_titles[VMS_N_GROUPS] = {
  [VMS_GROUP_MACHINES] = "Machines",
  [VMS_GROUP_RUN] = "Start and stop",
  [VMS_GROUP_USE] = "Use a machine",
  [VMS_GROUP_PARTS] = "Images and profiles",
  [VMS_GROUP_HELP] = "Help",
};

#define SAVES \
  "What the machine changed in shares with mode=review and was not applied is named when it asks. " \
  "When it does not ask, that is saved first, in a directory that it says, for `vms apply --from`; " \
  "a machine that does not run is read by a throwaway one for that, which takes as long as a boot, " \
  "unless `vms stop` found nothing. When it cannot be saved nothing is done, unless " \
  "--discard-changes is given.\n\n"

const VmsVerb vms_verbs[] = {
  { "create", NULL, NULL, VMS_GROUP_MACHINES, "NAME", 1, 1, VMS_COMPLETE_NONE, 0,
    "make a machine's profile",
    "Writes NAME.profile, which inherits PROFILE and lists the shares. Nothing is made in "
    "libvirt before start.\n\n"
    "A machine that is called like a shipped profile (`vms profile list`) needs no create.",
    vms_create_options, vms_cmd_create },
  { "edit", NULL, NULL, VMS_GROUP_MACHINES, "NAME", 1, 1, VMS_COMPLETE_PROFILE, 0,
    "edit a machine's profile, which is checked before it is saved",
    "Runs $VISUAL, else $EDITOR, on a private copy. A copy with mistakes is not saved: on a "
    "terminal it can be edited again, "
    "otherwise it is kept and its place is said.",
    NULL, vms_cmd_edit },
  { "clone", NULL, NULL, VMS_GROUP_MACHINES, "NAME NEW", 2, 2, VMS_COMPLETE_MACHINE, 0,
    "copy a machine under a new name",
    "The copy has the same disk content and profile, but an identity (keys, address) of its own. "
    "Nothing is copied: both go on from the disk as it is now, which is frozen, however much is on "
    "it. The machine may run; the copy then starts as after a power cut.\n\n"
    "The two are independent all the same: either can be changed, reverted and destroyed.",
    NULL, vms_cmd_clone },
  { "export", NULL, NULL, VMS_GROUP_MACHINES, "NAME FILE", 2, 2, VMS_COMPLETE_MACHINE, 0,
    "write a machine to a file",
    "Its disk as it is now, made one, with kernel, initrd and the profile as it is in effect: all "
    "that another host needs. Its snapshots stay behind, unless --layers is given. The machine may "
    "run; the copy is then what a power cut would leave. FILE is a tar archive with a list of "
    "checksums, and not below a shared directory.\n\n"
    "Everything on its disk is in it, also what is secret: tokens, histories, the keys that its "
    "guest was given. The file is readable for you alone; keep it so.",
    vms_export_options, vms_cmd_export },
  { "import", NULL, NULL, VMS_GROUP_MACHINES, "FILE", 1, 1, VMS_COMPLETE_FILE, 0,
    "make a machine of a file of `vms export`",
    "The file is distrusted: its form, its checksums and the whole structure of its disk, and of "
    "the layers that its snapshots have, are checked before anything is made of it. Of its profile "
    "are taken the image's name, CPUs, memory, disk and user, as far as they fit here, and a network "
    "policy that is narrower than yours; never shares, ports, exceptions, variables and "
    "provisioning. It says what was taken and what left out.\n\n"
    "The machine gets an identity (keys, address) of its own, and is not started. What runs in it "
    "is whatever its disk has: it is as trustworthy as where it comes from. `vms recreate` makes its "
    "disk anew from an image of yours.",
    vms_import_options, vms_cmd_import },
  { "list", NULL, "ls", VMS_GROUP_MACHINES, "", 0, 0, VMS_COMPLETE_NONE, VMS_VERB_JSON,
    "list your machines",
    "With --disk also what takes how much of this host's disk: machines and their snapshots, "
    "layers of destroyed machines that copies need, images, layers of provisioning, saved changes. "
    "SHARED is what other machines stand on, too; RECLAIMABLE what `vms image prune`, `vms doctor "
    "--repair` or the machine's next snapshot command would free.",
    vms_list_options, vms_cmd_list },
  { "status", NULL, NULL, VMS_GROUP_MACHINES, "[NAME...]", 0, VMS_MANY,
    VMS_COMPLETE_MACHINE, VMS_VERB_JSON,
    "show all about a machine",
    "Without NAME: about each of them.",
    NULL, vms_cmd_status },
  { "destroy", NULL, NULL, VMS_GROUP_MACHINES, "NAME...", 1, VMS_MANY, VMS_COMPLETE_MACHINE, 0,
    "remove machines with their disks and keys",
    "Removes the machine, its disk, its network, its keys and its profile file. The directories "
    "that it shared stay as they are.\n\n" SAVES
    "Asks before it does so; without a terminal --yes is needed.",
    vms_destroy_options, vms_cmd_destroy },
  { "recreate", NULL, NULL, VMS_GROUP_MACHINES, "NAME...", 1, VMS_MANY, VMS_COMPLETE_MACHINE, 0,
    "give machines a fresh disk, with the same identity",
    "The disk is made anew from the newest image; keys, address and profile stay. A machine that "
    "ran is started again.\n\n" SAVES
    "Asks before it does so; without a terminal --yes is needed.",
    vms_recreate_options, vms_cmd_recreate },

  { "start", NULL, NULL, VMS_GROUP_RUN, "NAME...", 1, VMS_MANY,
    VMS_COMPLETE_MACHINE, VMS_VERB_JSON,
    "start machines, made when needed, and wait until ssh works",
    "Builds the image when there is none yet. For a running machine it repairs what is missing "
    "and succeeds. "
    "Says how a changed profile differs from the machine, and applies it when the machine is "
    "off.\n\n"
    "--json goes with --dry-run only.",
    vms_start_options, vms_cmd_start },
  { "stop", NULL, NULL, VMS_GROUP_RUN, "NAME...", 1, VMS_MANY, VMS_COMPLETE_MACHINE, 0,
    "power machines off",
    NULL, vms_stop_options, vms_cmd_stop },
  { "restart", NULL, NULL, VMS_GROUP_RUN, "NAME...", 1, VMS_MANY, VMS_COMPLETE_MACHINE, 0,
    "stop machines and start them again",
    "A changed profile takes effect.",
    vms_stop_options, vms_cmd_restart },

  { "suspend", NULL, NULL, VMS_GROUP_RUN, "NAME...", 1, VMS_MANY, VMS_COMPLETE_MACHINE, 0, "put machines to sleep: memory to disk, and off",
    "What runs in it goes on with resume; connections end. Shares are taken from it and given back after: if a process of the machine works in one, nothing is done but to name it.\n\nIts memory, with all secrets, is a file that root alone reads; deleted, not wiped, when it goes on. Until then what would boot it or change its disk is refused.",
    vms_suspend_options, vms_cmd_suspend },
  { "resume", NULL, NULL, VMS_GROUP_RUN, "NAME...", 1, VMS_MANY, VMS_COMPLETE_MACHINE, 0, "let suspended machines go on where they were",
    "So does start. Its clock is set; a changed profile applies with the next start from off. With another QEMU, processor or kernel of this host it may fail: the memory is kept, and `vms stop --force` throws it away.",
    vms_resume_options, vms_cmd_resume },
  { "run", NULL, NULL, VMS_GROUP_RUN, "[-- COMMAND...]", 0, 0,
    VMS_COMPLETE_NONE, VMS_VERB_COMMAND,
    "run a command in a machine that exists for this command only",
    "Makes a fresh machine of PROFILE, runs COMMAND in it as exec does (without one: a shell), "
    "passes on its exit status, and removes the machine with all that was in it. With --share of "
    "the current directory the command runs there; what it changes in a share is saved in a directory "
    "that is said at the end (for `vms apply --from`), unless that has mode=rw or "
    "--discard-changes is given.\n\n"
    "What is named with --out is copied out before, whatever the exit status, as cp does it: "
    "distrusted, not over what is there, and a path that is not absolute begins at the guest's "
    "home. Without HOST it comes into the current directory, under its own name; a place that is "
    "taken, or not there, is refused before anything is started. If a copy fails all the same, the "
    "machine is kept and named, so that nothing is lost (not when a command that failed did not make "
    "it); the status is then the command's own, or 125 when that was 0. "
    "After --timeout or an interrupt nothing is copied: it would be half-done, and a machine that "
    "hangs would have to be waited for.\n\n"
    "Drop boxes and forwarded ports of the profile are left out. What a killed run leaves is removed by the next vms "
    "command.",
    vms_run_options, vms_cmd_run },

  { "ssh", NULL, NULL, VMS_GROUP_USE, "NAME [-- COMMAND...]", 1, 1,
    VMS_COMPLETE_MACHINE, VMS_VERB_COMMAND,
    "log in, or run a command line of the guest's shell",
    "The words of COMMAND are joined with spaces and read by the guest's shell, as ssh does. For "
    "a command whose words stay as "
    "they are use exec. Starts the machine if its profile allows that (start-on-exec).",
    vms_ssh_options, vms_cmd_ssh },
  { "exec", NULL, NULL, VMS_GROUP_USE, "NAME -- COMMAND...", 1, 1,
    VMS_COMPLETE_MACHINE, VMS_VERB_COMMAND | VMS_VERB_NEEDS_COMMAND,
    "run a command in a machine",
    "No shell reads COMMAND: its words reach the guest as they are. When the current directory "
    "lies in a share, the command runs in "
    "the same directory as seen from the guest, else in the home. Starts the machine if its "
    "profile allows that (start-on-exec). With --checkpoint `vms revert NAME` takes back what the "
    "command did to the machine's disk; without a snapshot, it is not run. A machine that is off is "
    "frozen as it is before it starts; one that has no disk yet, or is suspended, is started first.",
    vms_exec_options, vms_cmd_exec },
  { "cp", NULL, NULL, VMS_GROUP_USE, "SOURCE TARGET", 2, 2, VMS_COMPLETE_COPY, 0,
    "copy files into or out of a machine",
    "One of the two is NAME:PATH, a path in the machine; a PATH that is not absolute begins at "
    "the guest's home. A file of the host "
    "whose name has a colon is written ./a:b. Nothing is overwritten without --force; on a "
    "terminal it asks.\n\n"
    "What comes out of a machine is distrusted: devices and names with control characters are "
    "refused. Of its symbolic links those are made that are relative and lead to something in the same "
    "copy; the others are left out and named.",
    vms_cp_options, vms_cmd_cp },
  { "console", NULL, NULL, VMS_GROUP_USE, "NAME", 1, 1, VMS_COMPLETE_MACHINE, 0,
    "use the machine's console, for when ssh does not work",
    "Leave it with Ctrl-].",
    NULL, vms_cmd_console },
  { "logs", NULL, NULL, VMS_GROUP_USE, "NAME", 1, 1, VMS_COMPLETE_MACHINE, 0,
    "show what the machine said while booting",
    NULL, vms_logs_options, vms_cmd_logs },
  { "key", NULL, NULL, VMS_GROUP_USE, "NAME", 1, 1, VMS_COMPLETE_MACHINE, 0,
    "print the machine's own public ssh key, to be given to a git server",
    NULL, NULL, vms_cmd_key },
  { "ssh-config", NULL, NULL, VMS_GROUP_USE, "[NAME]", 0, 1, VMS_COMPLETE_MACHINE, 0,
    "print the ssh configuration for a machine, or for all",
    "With --install plain ssh, scp, rsync, sshfs and editors find the machines by name. Your "
    "file gets one Include line and is "
    "otherwise left alone.",
    vms_ssh_config_options, vms_cmd_ssh_config },

  { "pull", NULL, NULL, VMS_GROUP_USE, "NAME [SHARE]", 1, 2, VMS_COMPLETE_MACHINE, VMS_VERB_JSON,
    "bring commits that were made in a machine into this host's repository",
    "Takes what all branches of the machine's repository have and this host's has not, at the "
    "share's place on both sides, and makes it refs/vms/NAME/BRANCH here. Nothing else is touched: "
    "no branch of yours, no working tree, index, configuration or hook, and nothing runs. SHARE "
    "may be left out when one share is a repository; a repository within a share is "
    "SHARE/DIRECTORY.\n\n"
    "What the machine sends is distrusted: limited in size, checked object by object, and refused "
    "as a whole when anything is wrong with it. The changed files that would run something on this "
    "host once they are merged are listed. What was pulled earlier stays, also when the machine "
    "has removed the branch.",
    vms_pull_options, vms_cmd_pull },

  { "diff", NULL, NULL, VMS_GROUP_USE, "NAME [SHARE] [PATH...]", 1, VMS_MANY,
    VMS_COMPLETE_MACHINE, VMS_VERB_JSON,
    "show what a machine changed in the directories that it shares for review",
    "Of shares in mode review: what the machine made of them lies on its own disk until it is "
    "applied. PATH begins at the shared directory and is a file, a directory or a glob.\n\n"
    "The change set comes from the machine and is distrusted. What this host would run without "
    "being asked (settings of editors and agents, .envrc, hooks...) stands in front. Every change "
    "has a state: ready; merged, when this host's file changed, too, and both changes fit together; "
    "conflict, when they do not, or when it is not known what the machine began with; refused, for what is never applied (devices, setuid files, links "
    "that leave the directory, names with control characters). What is in directories of git's "
    "is left out, and so is what git on this host ignores, which is counted; --ignored takes that in. What only moved, and is still what this host has, is shown as a rename, without content. On a terminal contents are escaped; into a pipe or a file they go as they are, as a patch: `| less` shows that safely, `| head` does not.\n\n"
    "Of a machine that does not run the disk is read, by a throwaway machine without shares and "
    "network: that takes as long as a boot.",
    vms_diff_options, vms_cmd_diff },
  { "apply", NULL, NULL, VMS_GROUP_USE, "NAME [SHARE] [PATH...]", 1, VMS_MANY,
    VMS_COMPLETE_MACHINE, 0,
    "bring what a machine changed into the shared directory",
    "Everything that is ready or merged, or what PATH names, but for what git on this host ignores. Each file is written whole or not at all, below "
    "the shared directory, through no link. When it is killed, the next apply goes on.\n\n"
    "What this host runs without being asked is held back without --include-executable, and what "
    "is a conflict without --force. When `vms diff` (or --interactive) has shown anything of the changes, then what it has not shown, or what is "
    "another change by now, is held back without --unseen. The exit status is 1 when something stayed behind.\n\n"
    "With --undo the files that the last apply replaced come back, but for those that changed "
    "since; with --from, too, those of the last apply of what was saved there.\n\n"
    "The machine need not run, as with diff.",
    vms_apply_options, vms_cmd_apply },
  { "discard", NULL, NULL, VMS_GROUP_USE, "NAME [SHARE] [PATH...]", 1, VMS_MANY,
    VMS_COMPLETE_MACHINE, 0,
    "throw away what a machine changed, so that it sees this host's files again",
    "The machine gets copies of this host's files, through its own file system, so that no process "
    "in it loses what it writes. Later edits of these files on this host are not seen by the "
    "machine until it is started again. Of one that is off they are dropped at its next start, and are no changes "
    "from now on. What git on this host ignores stays, unless --ignored is given, and what is in directories of git's stays always, "
    "with the directories that they are in.\n\n"
    "Asks before it does so; without a terminal --yes is needed.",
    vms_discard_options, vms_cmd_discard },
  { "forward", "list", NULL, VMS_GROUP_USE, "NAME", 1, 1, VMS_COMPLETE_MACHINE, VMS_VERB_JSON,
    "list forwarded ports, and whether they work",
    NULL, NULL, vms_cmd_forward_list },
  { "forward", "add", NULL, VMS_GROUP_USE, "NAME PORTS...", 2, VMS_MANY, VMS_COMPLETE_MACHINE, 0,
    "reach ports of a machine on 127.0.0.1 of this host",
    "PORTS is PORT, FIRST-LAST, or HOST:GUEST where the two sides differ. A running machine has "
    "them at once; they are also written to its profile (forward= in [network]). They listen on "
    "127.0.0.1 and on no other address: every user of this host can connect, nobody else.\n\n"
    "With --host the other way round: services that listen on 127.0.0.1 of this host are offered "
    "on every address of the machine, so that its containers reach them, too (host= in "
    "[network]).",
    vms_forward_add_options, vms_cmd_forward_add },
  { "forward", "remove", NULL, VMS_GROUP_USE, "NAME PORTS...", 2, VMS_MANY,
    VMS_COMPLETE_MACHINE, 0,
    "forward ports no longer",
    "PORTS as the list shows them. Connections through them end. So may those through other ports "
    "of the machine, which listen again at once.",
    vms_forward_remove_options, vms_cmd_forward_remove },
  { "share", "list", NULL, VMS_GROUP_USE, "NAME", 1, 1, VMS_COMPLETE_MACHINE, VMS_VERB_JSON,
    "list shared directories, and whether they are mounted",
    "Asks a machine that runs; \"off\" is what it has with its next start.", NULL,
    vms_cmd_share_list },
  { "share", "add", NULL, VMS_GROUP_USE, "NAME SPEC", 2, 2, VMS_COMPLETE_MACHINE, 0,
    "share a directory with a machine, also while it runs",
    "SPEC is DIR[:TARGET][,mode=M][,shadow=DIR;DIR], and [,guard=NAME;NAME][,flag=NAME;NAME], as for "
    "`vms create --share`, with the same rules. A running machine has it mounted at once; it is also written to its profile ([share:NAME]).\n\n"
    "With --for it is taken away again when the time is over, also from processes that work in it; "
    "of mode=review, what was not applied then stays in the machine, and is there again when the "
    "same directory is added once more. A machine has room for eight more while it runs.",
    vms_share_add_options, vms_cmd_share_add },
  { "share", "remove", NULL, VMS_GROUP_USE, "NAME SHARE", 2, 2, VMS_COMPLETE_MACHINE, 0,
    "share a directory no longer",
    "SHARE is its name, as the list shows it, or the directory. It is unmounted in a machine that "
    "runs, and unplugged: when the command has ended, the machine cannot reach the directory any "
    "more. When processes of the machine work in it they are named and nothing is done, unless "
    "--force is given; nor when there are changes that were not applied (mode=review), unless "
    "--discard-changes is.",
    vms_share_remove_options, vms_cmd_share_remove },

  { "snapshot", "create", NULL, VMS_GROUP_USE, "NAME [SNAPSHOT]", 1, 2, VMS_COMPLETE_MACHINE,
    VMS_VERB_DEFAULT,
    "keep the state of a machine's disk",
    "Takes no time and, at first, no room, whatever is on the disk; a machine that runs goes on "
    "meanwhile. Without SNAPSHOT the name is made from the time. \"create\" may be left out.\n\n"
    "It has the disk only: not memory, and not what is in shared directories. Of a machine that "
    "runs it is what a power cut would leave, after the guest was asked to write out all it has.",
    vms_snapshot_create_options, vms_cmd_snapshot_create },
  { "snapshot", "list", NULL, VMS_GROUP_USE, "NAME", 1, 1, VMS_COMPLETE_MACHINE, VMS_VERB_JSON,
    "show a machine's snapshots as a tree",
    "SIZE is what a snapshot takes beyond the one that it goes on from. \"(now)\" is the present "
    "state, shown below the snapshot that it goes on from.",
    NULL, vms_cmd_snapshot_list },
  { "snapshot", "diff", NULL, VMS_GROUP_USE, "NAME [SNAPSHOT [SNAPSHOT]]", 1, 3,
    VMS_COMPLETE_MACHINE, VMS_VERB_JSON,
    "show which files two states of a machine's disk differ in",
    "Between two snapshots, or from one to the present state of a machine that is off; without "
    "SNAPSHOT, from the one that the present state goes on from. Both are read by a throwaway "
    "machine without shares and network, which takes as long as a boot.\n\n"
    "Names, sizes, times, modes and owners are compared, not contents. \"touched\" is a file of which "
    "only the time of its last change differs: its content may, too, if somebody has put the other "
    "time back.",
    NULL, vms_cmd_snapshot_diff },
  { "snapshot", "delete", NULL, VMS_GROUP_USE, "NAME SNAPSHOT...", 2, VMS_MANY,
    VMS_COMPLETE_MACHINE, 0,
    "remove snapshots",
    "All others stay as they are: what they need of it is merged into them. While the machine runs "
    "that is not always possible; then the room is freed by a later delete or revert.",
    NULL, vms_cmd_snapshot_delete },
  { "revert", NULL, NULL, VMS_GROUP_USE, "NAME [SNAPSHOT]", 1, 2, VMS_COMPLETE_MACHINE, 0,
    "make a machine's disk what it was",
    "Without SNAPSHOT: what it was at the one that the present state goes on from. The present "
    "state is kept as a snapshot of its own (auto-TIME; the newest five are), unless --discard is "
    "given. A machine that runs is switched off, after asking, and started again. With --discard, "
    "changes in shares that were not applied are saved as destroy does it.\n\n"
    "Keys, address and profile stay as they are now. What is in shared directories does, too: they "
    "are this host's, and no part of the disk. Changes that the machine made in a share with "
    "mode=review are on its disk, and go back with it.",
    vms_revert_options, vms_cmd_revert },

  { "provision", NULL, NULL, VMS_GROUP_USE, "NAME...", 1, VMS_MANY, VMS_COMPLETE_MACHINE, 0,
    "bring a running machine up to its profile's [provision]",
    "Runs in the machine itself, on its own disk and with its own network, the steps that were not "
    "done on it, or that have changed since: packages; npm packages; then files, variables and "
    "scripts. Fresh machines get all of it from a layer; this is for one that is to keep its disk. "
    "What the profile no longer lists is not removed: `vms recreate` does that.\n\n"
    "Interrupted, it ends the step in the machine. What the step did until then stays, and the "
    "next `vms provision` begins with it.",
    NULL, vms_cmd_provision },
  { "image", "build", NULL, VMS_GROUP_PARTS, "[IMAGE|PROFILE]", 0, 1, VMS_COMPLETE_IMAGE, 0,
    "build an image from its recipe, or the layers of a profile",
    "The default is debian-13. Packages come from the mirror that the host itself uses.\n\n"
    "With a PROFILE: what its [provision] lists is installed in throwaway machines, without "
    "shares, keys and LAN, and kept as layers, from which its machines are made. The first start "
    "does the same. With --update the current versions are installed anew.",
    vms_build_options, vms_cmd_image_build },
  { "image", "list", NULL, VMS_GROUP_PARTS, "", 0, 0, VMS_COMPLETE_NONE, VMS_VERB_JSON,
    "list images, layers, kept memory and who uses them",
    NULL, NULL, vms_cmd_image_list },
  { "image", "show", NULL, VMS_GROUP_PARTS, "IMAGE", 1, 1, VMS_COMPLETE_IMAGE, VMS_VERB_JSON,
    "show an image's release, kernel and packages",
    "IMAGE is an id, or a name for the newest of that name.",
    NULL, vms_cmd_image_show },
  { "image", "remove", NULL, VMS_GROUP_PARTS, "IMAGE...", 1, VMS_MANY, VMS_COMPLETE_IMAGE, 0,
    "remove images that no machine uses",
    "IMAGE is an id (also of a layer or of kept memory), or a name for all unused ones of that name.",
    NULL, vms_cmd_image_remove },
  { "image", "prune", NULL, VMS_GROUP_PARTS, "", 0, 0, VMS_COMPLETE_NONE, VMS_VERB_JSON,
    "show, or remove, images and layers that nothing needs any more",
    "Kept memory of throwaway machines, layers that no machine stands on and that no profile would "
    "use now, and images that nothing "
    "stands on, but for the newest of each name that is built here. Shows them; with --yes they "
    "are removed.",
    vms_prune_options, vms_cmd_image_prune },
  { "profile", "list", NULL, VMS_GROUP_PARTS, "", 0, 0, VMS_COMPLETE_NONE, VMS_VERB_JSON,
    "list profiles, shipped ones and yours",
    NULL, NULL, vms_cmd_profile_list },
  { "profile", "show", NULL, VMS_GROUP_PARTS, "PROFILE", 1, 1,
    VMS_COMPLETE_PROFILE, VMS_VERB_JSON,
    "show a profile with everything it inherits",
    "With --verbose each value is followed by where it comes from.",
    NULL, vms_cmd_profile_show },
  { "profile", "new", NULL, VMS_GROUP_PARTS, "PROFILE", 1, 1, VMS_COMPLETE_NONE, 0,
    "write a new profile with every key explained",
    NULL, vms_new_options, vms_cmd_profile_new },
  { "profile", "check", NULL, VMS_GROUP_PARTS, "[PROFILE|FILE...]", 0, VMS_MANY,
    VMS_COMPLETE_PROFILE, VMS_VERB_JSON,
    "check profiles, all of them by default",
    "A word with a slash or a dot is the path of a file. The pieces, scripts and files of [provision] "
    "are looked for, too. What depends on this host (free ports, its addresses, memory, what other "
    "machines share) is checked by `vms start --dry-run`.",
    NULL, vms_cmd_profile_check },
  { "profile", "keys", NULL, VMS_GROUP_PARTS, "", 0, 0, VMS_COMPLETE_NONE, VMS_VERB_JSON,
    "list the keys a profile may have",
    NULL, NULL, vms_cmd_profile_keys },
  { "profile", "diff", NULL, VMS_GROUP_PARTS, "[OLD] NEW", 1, 2,
    VMS_COMPLETE_PROFILE, VMS_VERB_JSON,
    "show how two profiles differ",
    "Without OLD: how NEW differs from what it inherits.",
    NULL, vms_cmd_profile_diff },

  { "verify", NULL, NULL, VMS_GROUP_HELP, "NAME", 1, 1, VMS_COMPLETE_MACHINE, VMS_VERB_JSON,
    "try from inside what a machine must not reach, and show what was found",
    "Starts a throwaway machine of the same profile, without its shares, tries as root there what "
    "the profile forbids and what it allows, and listens on this host for what gets through. NAME "
    "itself need not run.\n\n"
    "Nothing is sent to any address but those of this host, its default gateway (with --lan: the "
    "ones given instead), your other running machines and what the options name.\n\n"
    "The exit status is 1 when a property does not hold. What could not be judged is \"unknown\", "
    "with the reason, and does not count.",
    vms_verify_options, vms_cmd_verify },
  { "doctor", NULL, NULL, VMS_GROUP_HELP, "", 0, 0, VMS_COMPLETE_NONE, VMS_VERB_JSON,
    "check this host, and say how to fix what is missing",
    "Looks at all that would break a machine, or make it a weaker sandbox than it should be. What "
    "this user cannot see is \"unknown\": run it with sudo to see that, too. No check waits long, "
    "and without libvirt all others are made all the same.\n\n"
    "With --fix it runs the commands of those fixes that are safe, last and may be repeated: it "
    "shows each, asks, and looks again afterwards. What needs root is run with sudo or pkexec. It "
    "never loosens a setting, changes no firewall manager's configuration, and adds nobody to a "
    "group.",
    vms_doctor_options, vms_cmd_doctor },
  { "help", NULL, NULL, VMS_GROUP_HELP, "[VERB [SUBVERB]]", 0, 2, VMS_COMPLETE_VERB, 0,
    "show all verbs, or how one is used",
    NULL, vms_help_options, vms_cmd_help },
  { "version", NULL, NULL, VMS_GROUP_HELP, "", 0, 0, VMS_COMPLETE_NONE, VMS_VERB_JSON,
    "show the version",
    NULL, NULL, vms_cmd_version },
  { "completion", NULL, NULL, VMS_GROUP_HELP, "bash", 1, 1, VMS_COMPLETE_SHELL, 0,
    "print the completion script for a shell",
    NULL, NULL, vms_cmd_completion },

  /* for the build, and for the completion script */
  { "manual", NULL, NULL, VMS_GROUP_HELP, "TEMPLATE", 1, 1, VMS_COMPLETE_FILE, VMS_VERB_HIDDEN,
    "write a manual page: a template with the tables filled in",
    NULL, NULL, vms_cmd_manual },
  { "complete", NULL, NULL, VMS_GROUP_HELP, "[WORD...]", 0, VMS_MANY,
    VMS_COMPLETE_NONE, VMS_VERB_HIDDEN,
    "print what the last WORD can be completed to",
    NULL, NULL, vms_cmd_complete },
  { NULL }
};
// clang-format on
