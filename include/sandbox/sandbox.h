// SPDX-License-Identifier: LGPL-2.1-or-later
// The header that users of libsandbox include.
//
// Pointers may be NULL only where the comment of a function or a field says so; a NULL elsewhere is
// a mistake of the caller that is not looked for, as everywhere in GLib's world.
#pragma once

#include <sandbox/changes.h>
#include <sandbox/error.h>
#include <sandbox/export.h>
#include <sandbox/forward.h>
#include <sandbox/host.h>
#include <sandbox/image.h>
#include <sandbox/machine.h>
#include <sandbox/plan.h>
#include <sandbox/profile.h>
#include <sandbox/progress.h>
#include <sandbox/pull.h>
#include <sandbox/share.h>
#include <sandbox/snapshot.h>
#include <sandbox/space.h>
#include <sandbox/verify.h>
#include <sandbox/version.h>
