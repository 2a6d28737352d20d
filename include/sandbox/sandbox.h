// SPDX-License-Identifier: LGPL-2.1-or-later
// The header that users of libsandbox include.
#pragma once

#include <sandbox/error.h>
#include <sandbox/host.h>
#include <sandbox/image.h>
#include <sandbox/machine.h>
#include <sandbox/plan.h>
#include <sandbox/profile.h>
#include <sandbox/progress.h>
#include <sandbox/version.h>
