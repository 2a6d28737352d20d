// SPDX-License-Identifier: LGPL-2.1-or-later
// Is KVM worth using here? A /dev/kvm may be there and emulate every instruction, much slower than
// QEMU itself would.
//
// So it is measured: a virtual machine of one page runs a loop of two instructions, and the time of
// KVM_RUN tells. Working KVM does several hundred million rounds a second, nested KVM too (the
// loop never leaves the guest); QEMU's own translation does tens to hundreds of millions; the
// useless kind does less than one million. FAST_ENOUGH lies far from both.
//
// It cannot hang: KVM_RUN comes back after a number of rounds that is small at first and grows
// only as long as the last one took next to no time.

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/file.h"
#include "virt/virt-private.h"

#define KVM_DEVICE       "/dev/kvm"
#define FAST_ENOUGH      20e6 /* rounds a second */
#define FIRST_ROUNDS     64
#define MOST_ROUNDS      (4 * 1024 * 1024)
#define ROUNDS_FACTOR    4
#define LONG_ENOUGH_USEC 2000 /* a run that took so long says enough */
#define RUN_TRIES        1000 /* signals of the application interrupt KVM_RUN */

/* Whether the processor has what KVM needs, as any user may read it. */
static gboolean
cpu_has_virtualization (void)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;

  if (!g_file_get_contents ("/proc/cpuinfo", &text, NULL, NULL))
    return FALSE;
  lines = g_strsplit (text, "\n", -1);
  for (gsize i = 0; lines[i]; i++)
    {
      g_auto (GStrv) words = NULL;

      if (!g_str_has_prefix (lines[i], "flags"))
        continue;
      words = g_strsplit (lines[i], " ", -1);
      return g_strv_contains ((const char *const *)words, "vmx")
             || g_strv_contains ((const char *const *)words, "svm");
    }
  return FALSE;
}

static gboolean
say (char **ret_reason, gboolean usable, const char *format, ...) G_GNUC_PRINTF (3, 4);

static gboolean
say (char **ret_reason, gboolean usable, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  if (ret_reason)
    *ret_reason = g_strdup_vprintf (format, args);
  va_end (args);
  return usable;
}

/* QEMU runs as a user of libvirt's own, so what this user may open decides nothing: only the
 * measurement is missing. Then the processor has the word. */
static gboolean
judge_unmeasured (int why, char **ret_reason)
{
  if (why == ENOENT)
    return say (ret_reason, FALSE,
                "there is no %s: virtualization is switched off in the firmware, or this machine "
                "is itself virtual and was not given it",
                KVM_DEVICE);
  if (why != EACCES && why != EPERM)
    return say (ret_reason, FALSE, "%s cannot be opened: %s", KVM_DEVICE, g_strerror (why));
  if (cpu_has_virtualization ())
    return say (ret_reason, TRUE,
                "KVM is taken to be fast, unmeasured: this user may not open %s, but the processor "
                "has virtualization, and QEMU opens it as libvirt's own user",
                KVM_DEVICE);
  return say (ret_reason, FALSE,
              "%s is there, but the processor shows no virtualization (vmx, svm), so it would be "
              "emulated; it could not be measured, as this user may not open it",
              KVM_DEVICE);
}

#if defined(__x86_64__)

/* mov ecx, ROUNDS; again: dec ecx; jnz again; hlt */
static const guint8 loop_code[] = { 0xb9, 0, 0, 0, 0, 0x49, 0x75, 0xfd, 0xf4 };

typedef struct
{
  int kvm, vm, vcpu;
  guint8 *memory;
  gsize memory_size;
  struct kvm_run *run;
  gsize run_size;
} Probe;

static void
probe_clear (Probe *probe)
{
  if (probe->run)
    munmap (probe->run, probe->run_size);
  if (probe->memory)
    munmap (probe->memory, probe->memory_size);
  sandbox_close_fd (&probe->vcpu);
  sandbox_close_fd (&probe->vm);
  sandbox_close_fd (&probe->kvm);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Probe, probe_clear)

static void *
map (gsize size, int flags, int fd)
{
  void *address = mmap (NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

  return address == MAP_FAILED ? NULL : address;
}

/* Protected mode with flat segments: real mode is emulated on old Intel processors, which would be
 * measured instead. */
static gboolean
set_registers (Probe *probe)
{
  struct kvm_sregs sregs;
  struct kvm_segment flat = {
    .base = 0,
    .limit = 0xffffffff,
    .selector = 8,
    .present = 1,
    .type = 11,
    .dpl = 0,
    .db = 1,
    .s = 1,
    .l = 0,
    .g = 1,
  };

  if (ioctl (probe->vcpu, KVM_GET_SREGS, &sregs) < 0)
    return FALSE;
  sregs.cs = flat;
  flat.type = 3;
  flat.selector = 16;
  sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat;
  sregs.cr0 |= 1;
  return ioctl (probe->vcpu, KVM_SET_SREGS, &sregs) == 0;
}

static gboolean
make_machine (Probe *probe)
{
  struct kvm_userspace_memory_region region = { 0 };
  int run_size;

  probe->vm = ioctl (probe->kvm, KVM_CREATE_VM, 0);
  if (probe->vm < 0)
    return FALSE;
  // needed by Intel processors that cannot run unpaged guests by themselves; others ignore it
  ioctl (probe->vm, KVM_SET_TSS_ADDR, 0xfffbd000);
  probe->memory_size = sysconf (_SC_PAGESIZE);
  probe->memory = map (probe->memory_size, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  if (!probe->memory)
    return FALSE;
  region.memory_size = probe->memory_size;
  region.userspace_addr = (guint64)(gsize)probe->memory;
  if (ioctl (probe->vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
    return FALSE;
  probe->vcpu = ioctl (probe->vm, KVM_CREATE_VCPU, 0);
  run_size = ioctl (probe->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
  if (probe->vcpu < 0 || run_size < (int)sizeof *probe->run)
    return FALSE;
  probe->run_size = run_size;
  probe->run = map (probe->run_size, MAP_SHARED, probe->vcpu);
  return probe->run && set_registers (probe);
}

/* Microseconds that @rounds took; negative if the guest did not reach its end. */
static double
time_rounds (Probe *probe, guint32 rounds)
{
  struct kvm_regs regs = { .rip = 0, .rflags = 2, .rsp = 0 };
  gint64 start;
  int result = -1;

  memcpy (probe->memory, loop_code, sizeof loop_code);
  memcpy (probe->memory + 1, &rounds, sizeof rounds);
  if (ioctl (probe->vcpu, KVM_SET_REGS, &regs) < 0)
    return -1;
  start = g_get_monotonic_time ();
  for (int i = 0; i < RUN_TRIES && result < 0; i++)
    {
      result = ioctl (probe->vcpu, KVM_RUN, 0);
      if (result < 0 && errno != EINTR && errno != EAGAIN)
        return -1;
    }
  if (result < 0 || probe->run->exit_reason != KVM_EXIT_HLT)
    return -1;
  return g_get_monotonic_time () - start;
}

static double
measure (Probe *probe)
{
  guint32 rounds = FIRST_ROUNDS;
  double usec = time_rounds (probe, rounds);

  while (usec >= 0 && usec < LONG_ENOUGH_USEC && rounds < MOST_ROUNDS)
    {
      rounds *= ROUNDS_FACTOR;
      usec = time_rounds (probe, rounds);
    }
  if (usec < 0)
    return -1;
  return rounds / (MAX (usec, 1) / 1e6);
}

static gboolean
judge (int kvm_fd, char **ret_reason, double *ret_rounds_per_second)
{
  g_auto (Probe) probe = { .kvm = kvm_fd, .vm = -1, .vcpu = -1 };
  double speed;

  if (!make_machine (&probe))
    return say (ret_reason, FALSE, "%s does not make a machine: %s", KVM_DEVICE,
                g_strerror (errno));
  speed = measure (&probe);
  if (speed < 0)
    return say (ret_reason, FALSE, "%s does not run a simple loop to its end", KVM_DEVICE);
  if (ret_rounds_per_second)
    *ret_rounds_per_second = speed;
  if (speed >= FAST_ENOUGH)
    return say (ret_reason, TRUE, "KVM works: %.0f million loop rounds a second", speed / 1e6);
  return say (ret_reason, FALSE,
              "%s is there but far too slow: %.1f million loop rounds a second where %.0f are the "
              "least that makes sense; this machine emulates it",
              KVM_DEVICE, speed / 1e6, FAST_ENOUGH / 1e6);
}

#else

static gboolean
judge (int kvm_fd, char **ret_reason, double *ret_rounds_per_second)
{
  sandbox_close_fd (&kvm_fd);
  return say (ret_reason, TRUE, "%s is there; its speed is not measured on this processor",
              KVM_DEVICE);
}

#endif

gboolean
_sandbox_kvm_probe (char **ret_reason, double *ret_rounds_per_second)
{
  int kvm_fd = open (KVM_DEVICE, O_RDWR | O_CLOEXEC);

  if (ret_rounds_per_second)
    *ret_rounds_per_second = 0;
  if (kvm_fd < 0)
    return judge_unmeasured (errno, ret_reason);
  return judge (kvm_fd, ret_reason, ret_rounds_per_second);
}
