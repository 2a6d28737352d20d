// SPDX-License-Identifier: LGPL-2.1-or-later
// What the two files of the worker share.
#pragma once

#include "guard.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <unistd.h>

#define CONNECT_USEC      (500 * G_TIME_SPAN_MILLISECOND)
#define REFRESH_USEC      (10 * G_USEC_PER_SEC)
#define KEEPALIVE_SECONDS 2
#define KEEPALIVE_TRIES   3
#define BUSY_MSEC         50
#define IDLE_MSEC         5000

typedef struct
{
  GuardWorld *world;
  const char *uri;
  int dir_fd;
  virConnectPtr conn; /* NULL: libvirt does not answer */
  int subscribed[2];  /* numbers of events of @conn, -1: none */
  int timer;
  gboolean told_down;
  gint64 next_connect, next_refresh, next_restore, last_reload;
  gint64 seen_at_work; /* libvirt's daemon, with packet filter rules */
  gint64 pause_usec;   /* between two attempts to restore */
  GHashTable *held;    /* "UUID ID" of machines that we paused; as recorded */
} GuardWorker;

/* --- machines.c */
/* NULL: there is none. (transfer full) */
char *guard_filter_xml (virConnectPtr conn, const char *name);

/* --- hold.c */
/* Pauses, restores, resumes, as is due. TRUE: there is more to do soon. */
gboolean guard_worker_see_to_machines (GuardWorker *worker);
/* Drops the records of machines that ended. */
void guard_worker_forget_records (GuardWorker *worker);
