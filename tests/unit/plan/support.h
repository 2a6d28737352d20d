// SPDX-License-Identifier: LGPL-2.1-or-later
// A profile, host facts and an identity to begin with, for tests that change one thing at a time.
#pragma once

#include "plan/plan-private.h"

/* @text: what stands in the profile of the machine "work". */
static inline SandboxProfile *
support_profile (const char *text)
{
  SandboxProfileDirs dirs = SANDBOX_PROFILE_DIRS_INIT;
  g_autofree char *none = g_build_filename (g_get_tmp_dir (), "no-such-directory", NULL);
  g_autoptr (GError) error = NULL;
  SandboxProfile *profile;

  dirs.user_dir = none;
  profile = sandbox_profile_parse (&dirs, "work", "work.profile", text, -1, &error);
  g_assert_no_error (error);
  return profile;
}

static inline SandboxFacts *
support_facts (void)
{
  g_autoptr (GError) error = NULL;
  SandboxFacts *facts = sandbox_facts_parse (
      "[facts]\ndriver=QEMU\nlibvirt=9.0.0\nqemu=7.2.22\narch=x86_64\n"
      "emulator=/usr/bin/qemu-system-x86_64\nmachine=pc-q35-7.2\nvirtiofs=yes\nmemfd=yes\n"
      "share-helper=/usr/sbin/vms-virtiofsd\n"
      "kvm-listed=yes\nkvm-usable=yes\nkvm-reason=KVM works\ncpus=4\nmemory=17179869184\n"
      "pool=/var/lib/libvirt/images/vms\n",
      &error);

  g_assert_no_error (error);
  return facts;
}

static inline SandboxIdentity
support_identity (void)
{
  SandboxIdentity identity = {
    .name = "work",
    .owner = "vms",
    .uid = 1000,
    .gid = 1000,
    .home = "/home/alice",
    .state = "/home/alice/.local/share/vms/work",
    .image_id = "debian-13-1",
    .image_bytes = G_GUINT64_CONSTANT (2) << 30,
    .image_disk = "/images/1.qcow2",
    .image_kernel = "/images/1.vmlinuz",
    .image_initrd = "/images/1.initrd",
    .image_cmdline = "root=/dev/vda rw vms.contract=2\n",
  };

  return identity;
}

static inline SandboxPlan *
support_plan (const char *text)
{
  g_autoptr (SandboxProfile) profile = support_profile (text);
  g_autoptr (SandboxFacts) facts = support_facts ();
  SandboxIdentity identity = support_identity ();
  g_autoptr (GError) error = NULL;
  SandboxPlan *plan = _sandbox_plan_resolve (profile, facts, &identity, &error);

  g_assert_no_error (error);
  return plan;
}
