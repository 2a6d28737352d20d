// SPDX-License-Identifier: LGPL-2.1-or-later
// Memory as libvirt saves it, without the pages that hold nothing but zeros.
//
// QEMU saves a page of zeros as nine bytes, and when it reads them back it looks whether the page
// is zero. Memory that can be shared with another process, as shares need it, gets a page of the
// host's by that look: all of the machine's memory is in use after a restore, and it takes its
// time. The memory of a machine that is about to be restored is zero without being told so.
#pragma once

#include <glib.h>

typedef struct _SandboxTrim SandboxTrim;

/* What is left goes to @fd, of which the caller stays the owner. */
SandboxTrim *sandbox_trim_new (int fd);
void sandbox_trim_free (SandboxTrim *trim);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SandboxTrim, sandbox_trim_free)
/* The next bytes of the file. INVALID: it is not of the one form that is known here (libvirt's
 * form 2, not compressed; QEMU's stream, whose memory comes first, page by page); it can be
 * restored as it is. */
gboolean sandbox_trim_push (SandboxTrim *trim, const void *data, gsize length, GError **error);
/* That was all of it. @ret_pages: how many pages were left out. INVALID as above, and when the file
 * ends too early. */
gboolean sandbox_trim_end (SandboxTrim *trim, guint64 *ret_pages, GError **error);
