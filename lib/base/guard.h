// SPDX-License-Identifier: LGPL-2.1-or-later
// Whether vms-guard runs on this host, for whoever asks.
#pragma once

#include <sys/types.h>

/* root's; nobody else can write there */
#define SANDBOX_RUN_DIR      "/run/libsandbox"
#define SANDBOX_GUARD_SOCKET SANDBOX_RUN_DIR "/guard"

/* Its process number; 0: none runs, or it does not answer within a second. */
pid_t sandbox_guard_pid (void);
