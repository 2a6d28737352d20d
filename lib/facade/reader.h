// SPDX-License-Identifier: LGPL-2.1-or-later
// A reader: a throwaway machine of ours, without shares and network, that has the disk of a machine
// which does not run, so that this host never mounts a guest's file system.
//
// It trusts that disk as little as this host does: it starts from an image that was made here
// (never from one that came with an imported machine), runs nothing of what it reads, and has no
// secrets. A file system that takes over its kernel gains what the machine that wrote it had: a
// reader's word is a guest's word, and is read as such.
#pragma once

#include "facade/layers.h"

/* Where a reader has the disk @index. Static. */
const char *_sandbox_reader_root (guint index);

/* Its disk, and each that it reads, stand under a layer of its own: the journal of a machine that
 * was not shut down is gone through there. Steps of its start and of its end. */
gboolean _sandbox_reader_make_scratch (SandboxWork *work, GError **error);
/* Of machines that cannot be readers there is nothing to remove. */
gboolean _sandbox_reader_remove_scratch (SandboxMachine *machine, GError **error);

/* The image that a reader of @layer boots: one that was made here. NOT_FOUND when there is none.
 * (transfer full) */
char *_sandbox_reader_image (SandboxHost *host, const SandboxLayer *layer, GError **error);

typedef struct _SandboxReader SandboxReader;
/* One that has mounted @layers (SANDBOX_READS_MAX at most), of machines whose lock the caller has
 * as long as it lives. GUEST when one of them cannot be mounted. */
SandboxReader *
_sandbox_reader_new (SandboxHost *host, const SandboxLayer *const *layers, guint n_layers,
                     const SandboxReport *report, GCancellable *cancellable, GError **error);
/* Belongs to @reader. */
const SandboxSsh *_sandbox_reader_ssh (const SandboxReader *reader);
void _sandbox_reader_free (SandboxReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxReader, _sandbox_reader_free)
