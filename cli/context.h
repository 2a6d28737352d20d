// SPDX-License-Identifier: LGPL-2.1-or-later
// What every handler is given, and the small things that most of them need.
#pragma once

#include "args.h"
#include "output.h"

/**
 * VmsContext:
 * @uri: (nullable): libvirt URI from --connect or $VMS_URI
 * @passphrase_fd: from which the passphrase of an encrypted disk is read; -1: from the terminal
 * @cancellable: triggered by Ctrl-C, SIGTERM and SIGHUP
 */
struct _VmsContext
{
  const char *uri;
  int passphrase_fd;
  gboolean quiet, verbose, json;
  GCancellable *cancellable;
};

/* The host that the command line names. */
SandboxHost *vms_open_host (VmsContext *context, GError **error);
/* The same and the machine in one. */
SandboxMachine *vms_open_machine (VmsContext *context, const char *name, GError **error);
/* DIR[:TARGET][,mode=M] as the library takes it: a relative DIR is one of the current directory.
 * (transfer full) */
char *vms_share_spec (const char *word);
/* The values of --share, their directories made absolute. (transfer full) */
char **vms_share_specs (const VmsArgs *args);
/* Where profiles are, without a host. */
extern const SandboxProfileDirs vms_profile_dirs;

/* Whether what was not applied may go with @machine: when --discard-changes says so, or when
 * somebody was asked, as the question names it. */
void vms_decide_changes (const VmsArgs *args, SandboxMachine *machine);
/* Where changes were saved that would be lost, if some were. */
void vms_say_saved (SandboxMachine *machine);

/* passphrase.c: a SandboxPassphraseFunc; its user_data is the context. */
gssize vms_passphrase (const char *machine, gboolean fresh, char *buffer, gsize size,
                       gpointer user_data, GCancellable *cancellable, GError **error);
/* FALSE with @error when a passphrase would be needed and nobody could be asked. */
gboolean
vms_passphrase_can_ask (const VmsContext *context, SandboxMachine *machine, GError **error);
/* The value of --passphrase-fd, an open descriptor; -1 without. */
gboolean vms_passphrase_read_option (const VmsArgs *args, int *ret_fd, GError **error);

/* A line from the terminal, with its newline if it has one, and a NUL. */
gboolean vms_read_line (GCancellable *cancellable, char *line, gsize size, GError **error);
/* TRUE when somebody can be asked: stdin and stderr are terminals. */
gboolean vms_can_ask (void);
/* Asks on the terminal, "no" by default. FALSE with @error when interrupted; else the answer is in
 * @ret_yes. */
gboolean vms_ask (VmsContext *context, const char *question, gboolean *ret_yes, GError **error);
/* One of @letters; *@ret_letter is NUL when the answer was something else. */
gboolean vms_ask_letter (VmsContext *context, const char *question, const char *letters,
                         char *ret_letter, GError **error);
/* For verbs that remove things: TRUE with --yes or after "yes". Else FALSE with @error set (INVALID
 * without a terminal). */
gboolean
vms_confirm (VmsContext *context, const VmsArgs *args, const char *question, GError **error);

/* Signals: the first of INT, TERM, HUP cancels @cancellable, the second ends the process at once.
 */
void vms_signals_init (GCancellable *cancellable);
/* The signal that came, 0 for none. */
int vms_signals_caught (void);
/* Terminal settings to restore when the process is ended by a second signal; NULL: none. */
struct termios;
void vms_signals_set_terminal (int fd, const struct termios *saved);
