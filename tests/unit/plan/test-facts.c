// SPDX-License-Identifier: LGPL-2.1-or-later
// Host facts: what is written is read again, whatever it is; anything else is refused.
#include "plan/facts.h"

#include <sandbox/error.h>

static void
assert_equal (const SandboxFacts *a, const SandboxFacts *b)
{
  g_assert_cmpstr (a->driver, ==, b->driver);
  g_assert_cmpuint (a->libvirt_version, ==, b->libvirt_version);
  g_assert_cmpuint (a->qemu_version, ==, b->qemu_version);
  g_assert_cmpstr (a->arch, ==, b->arch);
  g_assert_cmpstr (a->emulator, ==, b->emulator);
  g_assert_cmpstr (a->machine, ==, b->machine);
  g_assert_cmpint (a->virtiofs, ==, b->virtiofs);
  g_assert_cmpint (a->memfd, ==, b->memfd);
  g_assert_cmpint (a->kvm_listed, ==, b->kvm_listed);
  g_assert_cmpint (a->kvm_usable, ==, b->kvm_usable);
  g_assert_cmpstr (a->kvm_reason, ==, b->kvm_reason);
  g_assert_cmpuint (a->host_cpus, ==, b->host_cpus);
  g_assert_cmpuint (a->host_memory_bytes, ==, b->host_memory_bytes);
  g_assert_cmpstr (a->pool_path, ==, b->pool_path);
  g_assert_cmpuint (a->used_nets->len, ==, b->used_nets->len);
  for (guint i = 0; i < a->used_nets->len; i++)
    {
      const SandboxUsedNet *one = g_ptr_array_index (a->used_nets, i);
      const SandboxUsedNet *two = g_ptr_array_index (b->used_nets, i);

      g_assert_cmpuint (one->cidr.address, ==, two->cidr.address);
      g_assert_cmpuint (one->cidr.bits, ==, two->cidr.bits);
      g_assert_cmpstr (one->device, ==, two->device);
    }
}

static void
assert_round_trip (const SandboxFacts *facts)
{
  g_autofree char *text = sandbox_facts_format (facts);
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxFacts) again = sandbox_facts_parse (text, &error);
  g_autofree char *text_again = NULL;

  g_assert_no_error (error);
  assert_equal (facts, again);
  text_again = sandbox_facts_format (again);
  g_assert_cmpstr (text, ==, text_again);
}

static void
set_text (char **field)
{
  static const char *const texts[] = { "",
                                       "plain",
                                       " blanks around ",
                                       "semi;colon",
                                       "new\nline\ttab\rreturn",
                                       "back\\s\\n",
                                       "[group]",
                                       "a=b # not a comment",
                                       "\xc3\xa9\xe2\x82\xac",
                                       "\"quoted\"" };

  g_free (*field);
  *field = g_strdup (texts[g_test_rand_int_range (0, G_N_ELEMENTS (texts))]);
}

static void
test_round_trip (void)
{
  g_autoptr (SandboxFacts) empty = sandbox_facts_new ();

  assert_round_trip (empty);
  for (guint n = 0; n < 500; n++)
    {
      g_autoptr (SandboxFacts) facts = sandbox_facts_new ();
      char **texts[] = { &facts->driver,  &facts->arch,       &facts->emulator,
                         &facts->machine, &facts->kvm_reason, &facts->pool_path };
      gint nets = g_test_rand_int_range (0, 5);

      for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
        set_text (texts[i]);
      facts->libvirt_version = (guint64)g_test_rand_int_range (0, 999999999);
      facts->qemu_version = (guint64)g_test_rand_int_range (0, 999999999);
      facts->virtiofs = g_test_rand_bit ();
      facts->memfd = g_test_rand_bit ();
      facts->kvm_listed = g_test_rand_bit ();
      facts->kvm_usable = g_test_rand_bit ();
      facts->host_cpus = (guint)g_test_rand_int ();
      facts->host_memory_bytes = (guint64)(guint)g_test_rand_int () << 32 | 0xffffffff;
      for (gint i = 0; i < nets; i++)
        {
          SandboxCidr cidr = { (guint32)g_test_rand_int (), (guint8)g_test_rand_int_range (0, 33) };

          sandbox_facts_add_net (facts, &cidr, g_test_rand_bit () ? "eth0.12" : NULL);
        }
      assert_round_trip (facts);
    }
}

static void
test_values (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SandboxFacts) facts =
      sandbox_facts_parse ("[facts]\nlibvirt=11.3.0\nqemu=7.2.22\nmemfd=yes\ncpus=12\n"
                           "[used-nets]\na=10.0.0.0/8 tun0\nb=192.168.1.7\n",
                           &error);
  const SandboxUsedNet *net;

  g_assert_no_error (error);
  g_assert_cmpuint (facts->libvirt_version, ==, 11003000);
  g_assert_cmpuint (facts->qemu_version, ==, 7002022);
  g_assert_true (facts->memfd);
  g_assert_false (facts->virtiofs);
  g_assert_cmpuint (facts->host_cpus, ==, 12);
  g_assert_cmpstr (facts->pool_path, ==, "");
  g_assert_cmpuint (facts->used_nets->len, ==, 2);
  net = g_ptr_array_index (facts->used_nets, 0);
  g_assert_cmphex (net->cidr.address, ==, 0x0a000000);
  g_assert_cmpstr (net->device, ==, "tun0");
  net = g_ptr_array_index (facts->used_nets, 1);
  g_assert_cmpuint (net->cidr.bits, ==, 32);
  g_assert_cmpstr (net->device, ==, "");
}

static void
test_refused (void)
{
  static const char *const texts[] = {
    "",
    "no group",
    "[other]\na=b\n",
    "[facts]\nunknown=1\n",
    "[facts]\nlibvirt=9\n",
    "[facts]\nlibvirt=9.0.x\n",
    "[facts]\nlibvirt=9.0.1000\n",
    "[facts]\ncpus=-1\n",
    "[facts]\ncpus=4294967296\n",
    "[facts]\nmemory=18446744073709551616\n",
    "[facts]\nmemfd=true\n",
    "[facts]\nmemfd=yes\n[used-nets]\na=10.0.0.0/33\n",
    "[facts]\nmemfd=yes\n[used-nets]\na=\n",
    "[facts]\narch=\\x\n",
  };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (SandboxFacts) facts = sandbox_facts_parse (texts[i], &error);

      g_test_message ("%s", texts[i]);
      g_assert_null (facts);
      g_assert_error (error, SANDBOX_ERROR, SANDBOX_ERROR_INVALID);
      g_assert_true (g_str_has_prefix (error->message, "reading recorded host facts: "));
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/facts/round-trip", test_round_trip);
  g_test_add_func ("/facts/values", test_values);
  g_test_add_func ("/facts/refused", test_refused);
  return g_test_run ();
}
