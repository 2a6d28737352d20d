// SPDX-License-Identifier: LGPL-2.1-or-later
// The one error domain of libsandbox.
#pragma once

#include <glib-object.h>

G_BEGIN_DECLS

#define SANDBOX_ERROR (sandbox_error_quark ())

/**
 * SandboxError:
 * @SANDBOX_ERROR_FAILED: anything without a code of its own; read the message
 * @SANDBOX_ERROR_INVALID: an argument or a profile is not valid; correct it and call again
 * @SANDBOX_ERROR_NOT_FOUND: no machine, profile, image or file of that name
 * @SANDBOX_ERROR_EXISTS: the name is taken already
 * @SANDBOX_ERROR_WRONG_STATE: the operation needs the machine to be running, or stopped
 * @SANDBOX_ERROR_BUSY: another process holds the lock of the machine; try again later
 * @SANDBOX_ERROR_IN_USE: the object is needed by a machine; remove that first
 * @SANDBOX_ERROR_HOST: the host lacks something; the message has the command that fixes it
 * @SANDBOX_ERROR_DENIED: the host does not permit it; the message has the command that fixes it
 * @SANDBOX_ERROR_UNSUPPORTED: this version, or this host's libvirt, cannot do it
 * @SANDBOX_ERROR_TIMED_OUT: the time given for the operation passed
 * @SANDBOX_ERROR_GUEST: the guest did not do its part (no ssh, another host key, share not mounted)
 *
 * Error codes of %SANDBOX_ERROR. Cancellation is reported as %G_IO_ERROR_CANCELLED.
 */
typedef enum
{
  SANDBOX_ERROR_FAILED,
  SANDBOX_ERROR_INVALID,
  SANDBOX_ERROR_NOT_FOUND,
  SANDBOX_ERROR_EXISTS,
  SANDBOX_ERROR_WRONG_STATE,
  SANDBOX_ERROR_BUSY,
  SANDBOX_ERROR_IN_USE,
  SANDBOX_ERROR_HOST,
  SANDBOX_ERROR_DENIED,
  SANDBOX_ERROR_UNSUPPORTED,
  SANDBOX_ERROR_TIMED_OUT,
  SANDBOX_ERROR_GUEST,
} SandboxError;

GQuark sandbox_error_quark (void);

G_END_DECLS
