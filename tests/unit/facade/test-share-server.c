// SPDX-License-Identifier: LGPL-2.1-or-later
// Whether a share is served, by the kernel's table of sockets.
#include "facade/facade-private.h"

#define QEMU                                                                                       \
  "0000000000000000: 00000003 00000000 00000000 0001 03 31 "                                       \
  "/var/lib/libvirt/qemu/domain-7-vms-1000-a-long-name/monitor.sock\n"
#define FIRST                                                                                      \
  "0000000000000000: 00000003 00000000 00000000 0001 03 32 "                                       \
  "/var/lib/libvirt/qemu/domain-7-vms-1000-a-long-name/fs0-fs.sock\n"
#define SECOND                                                                                     \
  "0000000000000000: 00000003 00000000 00000000 0001 03 33 "                                       \
  "/var/lib/libvirt/qemu/domain-7-vms-1000-a-long-name/fs1-fs.sock\n"
#define ELEVENTH                                                                                   \
  "0000000000000000: 00000003 00000000 00000000 0001 03 33 "                                       \
  "/var/lib/libvirt/qemu/domain-7-vms-1000-a-long-name/fs11-fs.sock\n"
/* of another number, of another name, of no machine */
#define OTHERS                                                                                     \
  "Num       RefCount Protocol Flags    Type St Inode Path\n"                                      \
  "0000000000000000: 00000003 00000000 00000000 0001 03 34 "                                       \
  "/var/lib/libvirt/qemu/domain-77-vms-1000-a-long-name/fs1-fs.sock\n"                             \
  "0000000000000000: 00000003 00000000 00000000 0001 03 35 "                                       \
  "/elsewhere/libvirt/qemu/lib/domain-7-other/fs1-fs.sock\n"                                       \
  "0000000000000000: 00000003 00000000 00000000 0001 03 36\n"                                      \
  "0000000000000000: 00000003 00000000 00000000 0001 03 37 "                                       \
  "/var/lib/libvirt/qemu/domain-7-vms-1000-a-long-name/deep/fs1-fs.sock\n"                         \
  "0000000000000000: 00000003 00000000 00000000 0001 03 38 /domain-7-\n"

static const char machine[] =
    "<domain type='qemu' id='7'><name>vms-1000-a-long-name-of-a-machine</name><devices>"
    "<filesystem type='mount'><source dir='/a'/><target dir='a'/><alias name='fs0'/></filesystem>"
    "<filesystem type='mount'><source dir='/b'/><target dir='b'/><alias name='fs1'/></filesystem>"
    "</devices></domain>";

static void
test_server (void)
{
  static const struct
  {
    const char *table, *tag;
    gboolean gone;
  } cases[] = {
    { OTHERS QEMU FIRST SECOND, "a", FALSE },
    { OTHERS QEMU FIRST SECOND, "b", FALSE },
    { SECOND OTHERS QEMU, "a", TRUE },
    { OTHERS QEMU FIRST, "b", TRUE },
    { OTHERS QEMU ELEVENTH, "b", TRUE },
    { OTHERS QEMU, "b", TRUE },
    /* nothing of the machine is seen from here */
    { OTHERS, "b", FALSE },
    { "", "b", FALSE },
    /* a share that it does not have */
    { OTHERS QEMU, "c", FALSE },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_test_message ("case %zu", i);
      g_assert_cmpint (_sandbox_share_server_is_gone (cases[i].table, machine, cases[i].tag), ==,
                       cases[i].gone);
    }
  g_assert_false (_sandbox_share_server_is_gone (OTHERS QEMU, "<domain/>", "a"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/facade/share-server", test_server);
  return g_test_run ();
}
