#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tests/vm/35-isolation.sh runs on the host: canaries, and the frames that a hostile guest sends.

isolation.py canary SECONDS tcp:ADDRESS:PORT udp:ADDRESS:PORT raw:PROTOCOL raw6:PROTOCOL ...
    answers, and prints a line for each connection and packet: TIME KIND SOURCE DESTINATION DETAILS
    raw sockets see what the host's own packet filter has let in, on any port; only what comes from machines' networks, or is marked
isolation.py frames PREFIX MAC ADDRESS GATEWAY-MAC GATEWAY OTHER-MAC OTHER-ADDRESS TAP-LINK-LOCAL...
    prints a line for each frame: ID HEX
isolation.py ids FILE...
    prints the marks that stand in captures
"""

import ipaddress
import os
import random
import re
import selectors
import socket
import struct
import sys
import time

IP_PKTINFO = 8  # of <linux/in.h>
MARK = re.compile(rb"vmsiso:([a-z0-9.-]+);")
MACHINES = [ipaddress.ip_network("10.213.0.0/16"), ipaddress.ip_network("172.29.0.0/16")]
PUBLIC, HOST_PUBLIC, LAN, HOST_LAN, DOCKER = "198.51.100.2", "198.51.100.129", "192.168.77.2", "192.168.77.1", "172.17.66.2"
PUBLIC6 = "2001:db8:66::2"
HOST_PORT, EPHEMERAL = 18080, 40022
# What listens on hosts, and on developers' machines.
SERVICES = [1, 21, 22, 25, 52, 54, 67, 68, 69, 80, 88, 111, 123, 135, 137, 139, 161, 389, 443, 445, 514, 515, 546, 631, 853, 873, 1025,
            1080, 1194, 1433, 1900, 2049, 2375, 2376, 2379, 3000, 3128, 3260, 3306, 3389, 4444, 5000, 5353, 5355, 5432, 5672, 5900, 5985,
            6379, 6443, 8000, 8080, 8443, 8888, 9000, 9050, 9090, 9100, 9200, 10250, 11211, 16509, 16514, 27017, 32768, 49152, 60999, 65535]


# --- canaries

def say(*words):
    print(f"{time.time():.6f}", *words, flush=True)


def marks(data):
    return "marks=" + ",".join(sorted({found.decode() for found in MARK.findall(data)}))


def of_machines(address):
    return any(ipaddress.ip_address(address) in net for net in MACHINES)


def on_tcp(sock):
    try:
        peer, source = sock.accept()
        with peer:
            say("tcp", source[0], "%s:%d" % peer.getsockname()[:2])
            peer.send(b"canary\n")
    except OSError:
        pass


def on_udp(sock):
    """Answers from the address that was asked, which the kernel would not always choose."""
    try:
        data, ancillary, _, source = sock.recvmsg(4096, 256)
        if sock.family == socket.AF_INET6:
            say("udp", source[0], f"[::]:{sock.getsockname()[1]}", marks(data))
            return
        asked = next(value[8:12] for level, kind, value in ancillary if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO))
        say("udp", source[0], "%s:%d" % (socket.inet_ntoa(asked), sock.getsockname()[1]), marks(data))
        sock.sendmsg([b"canary\n"], [(socket.IPPROTO_IP, IP_PKTINFO, struct.pack("=i4s4s", 0, asked, b"\0" * 4))], 0, source)
    except OSError:
        pass


def on_raw(sock):
    data, source = sock.recvfrom(65535)
    if sock.family == socket.AF_INET6:
        if MARK.search(data):
            say(f"raw6-{sock.proto}", source[0], "-", marks(data))
        return
    if not MARK.search(data) and not of_machines(source[0]):
        return
    header = (data[0] & 15) * 4
    detail = ""
    if sock.proto in (6, 17) and len(data) >= header + 14:
        detail = " ".join(f"{name}={number}" for name, number in zip(("sport", "dport"), struct.unpack_from("!HH", data, header)))
        if sock.proto == 6:
            detail += f" flags={data[header + 13] & 63:02x}"
    say(f"raw-{sock.proto}", source[0], socket.inet_ntoa(data[16:20]), detail, marks(data))


def listen(kind, rest):
    if kind in ("raw", "raw6"):
        sock = socket.socket(socket.AF_INET if kind == "raw" else socket.AF_INET6, socket.SOCK_RAW, int(rest))
        return sock, on_raw
    address, port = rest.rsplit(":", 1)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    elif kind == "udp":
        sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    sock.bind((address, int(port)))
    if kind == "tcp":
        sock.listen(128)
    return sock, on_tcp if kind == "tcp" else on_udp


def canary(seconds, *places):
    selector = selectors.DefaultSelector()
    for place in places:
        sock, action = listen(*place.split(":", 1))
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ, action)
    print("ready", flush=True)
    end = time.time() + int(seconds)
    while time.time() < end:
        for key, _ in selector.select(1):
            try:
                key.data(key.fileobj)
            except BlockingIOError:
                pass


# --- frames

def checksum(data):
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def ether(destination, source, kind, payload):
    return mac(destination) + mac(source) + struct.pack("!H", kind) + payload


def ip4(source, destination, protocol, payload, fragment=0):
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0x4242, fragment, 64, protocol, 0,
                         socket.inet_aton(source), socket.inet_aton(destination))
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def pseudo4(source, destination, protocol, length):
    return socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack("!BBH", 0, protocol, length)


def udp(source, destination, sport, dport, data, protocol=17):
    """Also UDP-Lite (136) that covers all of it, and UDP over IPv6."""
    length = 8 + len(data)
    if ":" in source:
        pseudo = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, destination) + struct.pack("!IxxxB", length, 17)
    else:
        pseudo = pseudo4(source, destination, protocol, length)
    text = struct.pack("!HHHH", sport, dport, length, 0) + data
    return text[:6] + struct.pack("!H", checksum(pseudo + text) or 0xFFFF) + data


def tcp(source, destination, sport, dport, flags, data):
    text = struct.pack("!HHIIBBHHH", sport, dport, random.getrandbits(32), 0, 0x50, flags, 65000, 0, 0) + data
    total = checksum(pseudo4(source, destination, 6, len(text)) + text)
    return text[:16] + struct.pack("!H", total) + text[18:]


def icmp(kind, code, rest, data):
    text = struct.pack("!BBH4s", kind, code, 0, rest) + data
    return text[:2] + struct.pack("!H", checksum(text)) + text[4:]


def arp(operation, sender_mac, sender, target_mac, target):
    return struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, operation, mac(sender_mac), socket.inet_aton(sender),
                       mac(target_mac), socket.inet_aton(target))


def ip6(source, destination, following, payload, limit=255):
    return struct.pack("!IHBB", 6 << 28, len(payload), following, limit) + socket.inet_pton(socket.AF_INET6, source) + \
        socket.inet_pton(socket.AF_INET6, destination) + payload


def icmp6(source, destination, kind, body):
    text = struct.pack("!BBH", kind, 0, 0) + body
    pseudo = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, destination) + \
        struct.pack("!IxxxB", len(text), 58)
    return ip6(source, destination, 58, text[:2] + struct.pack("!H", checksum(pseudo + text)) + text[4:])


def option6(mark):
    """An option that nobody knows, which carries the mark."""
    data = mark + b"\0" * (-(len(mark) + 2) % 8)
    return struct.pack("!BB", 200, (len(data) + 2) // 8) + data


ANYONE, SPOOF_MAC, NOBODY = "ff:ff:ff:ff:ff:ff", "52:54:00:00:00:99", "00:00:00:00:00:00"


class Frames:
    """The frames of one guest. Each ID begins with the row of the list of threats to which it belongs."""

    def __init__(self, prefix, own_mac, own, gateway_mac, gateway, other_mac, other, *links):
        self.prefix, self.links = prefix, links
        self.own_mac, self.own, self.gateway_mac, self.gateway = own_mac, own, gateway_mac, gateway
        self.other_mac, self.other = other_mac, other
        self.third = str(ipaddress.ip_address(own) + 1)
        self.broadcast = str(ipaddress.ip_address(gateway) + 6)
        self.link6 = "fe80::66:66"

    def mark(self, name):
        return f"vmsiso:{self.prefix}-{name};".encode()

    def put(self, name, frame):
        print(f"{self.prefix}-{name}", frame.hex())

    def packet(self, name, packet, from_mac=None, to_mac=None, kind=0x0800):
        self.put(name, ether(to_mac or self.gateway_mac, from_mac or self.own_mac, kind, packet))

    def datagram(self, name, source, destination, sport=5555, dport=8080, **frame):
        self.packet(name, ip4(source, destination, 17, udp(source, destination, sport, dport, self.mark(name))), **frame)

    def segment(self, name, source, destination, sport=5555, dport=8080, flags=2, **frame):
        self.packet(name, ip4(source, destination, 6, tcp(source, destination, sport, dport, flags, self.mark(name))), **frame)

    def address(self, name, operation, sender_mac, sender, target, from_mac=None, to_mac=None, target_mac=NOBODY):
        self.put(name, ether(to_mac or ANYONE, from_mac or self.own_mac, 0x0806,
                             arp(operation, sender_mac, sender, target_mac, target) + self.mark(name)))

    def control(self):
        self.datagram("ok-udp", self.own, PUBLIC)
        self.segment("ok-tcp", self.own, PUBLIC)
        self.address("ok-arp", 1, self.own_mac, self.own, self.gateway)

    def host_ports(self):
        chosen = random.Random(os.environ.get("VMS_TESTS_SEED", "1")).sample(range(1, 65536), 40)
        for port in sorted({*SERVICES, *chosen} - {53}):
            self.segment(f"4-tcp-{port}", self.own, self.gateway, dport=port)
            self.datagram(f"4-udp-{port}", self.own, self.gateway, dport=port)
        for name, address in ("lan", HOST_LAN), ("public", HOST_PUBLIC), ("bridge", "172.17.66.1"):
            for port in 22, 53, 443, HOST_PORT:
                self.segment(f"5-{name}-tcp-{port}", self.own, address, dport=port)
                self.datagram(f"5-{name}-udp-{port}", self.own, address, dport=port)

    def martians(self):
        for name, address in ("loopback", "127.0.0.1"), ("loopback2", "127.9.9.9"), ("zero", "0.0.0.0"):
            self.datagram(f"7-{name}-udp", self.own, address, dport=HOST_PORT)
            self.segment(f"7-{name}-tcp", self.own, address, dport=HOST_PORT)

    def neighbours(self):
        self.datagram("9-udp", self.own, self.other, to_mac=self.other_mac)
        self.datagram("9-broadcast-udp", self.own, self.other, to_mac=ANYONE)
        self.segment("9-tcp", self.own, self.other, to_mac=self.other_mac)
        self.address("9-arp", 1, self.own_mac, self.own, self.other)
        for port in 22, 443, 8080:
            self.segment(f"10-tcp-{port}", self.own, self.other, dport=port)
        self.segment("10-tcp-from-22", self.own, self.other, sport=22)
        self.segment("10-tcp-answer", self.own, self.other, sport=22, dport=EPHEMERAL, flags=0x12)
        self.datagram("10-udp", self.own, self.other)
        self.packet("10-ping", ip4(self.own, self.other, 1, icmp(8, 0, b"\0" * 4, self.mark("10-ping"))))
        self.packet("10-gre", ip4(self.own, self.other, 47, self.mark("10-gre")))

    def spoofs(self):
        self.datagram("11-udp", self.own, PUBLIC, from_mac=SPOOF_MAC)
        self.datagram("11-dns", self.own, self.gateway, dport=53, from_mac=SPOOF_MAC)
        self.datagram("11-gateway-mac", self.own, PUBLIC, from_mac=self.gateway_mac)
        self.segment("11-ssh-answer", self.own, self.gateway, sport=22, dport=EPHEMERAL, flags=0x12, from_mac=SPOOF_MAC)
        self.address("11-arp", 1, self.own_mac, self.own, self.gateway, from_mac=SPOOF_MAC)
        for name, source in (("subnet", self.third), ("other", self.other), ("lan", LAN), ("public", "198.51.100.3"), ("gateway", self.gateway),
                             ("loopback", "127.0.0.1"), ("zero", "0.0.0.0"), ("host", HOST_LAN)):
            self.datagram(f"12-{name}-to-public", source, PUBLIC)
            self.datagram(f"12-{name}-to-dns", source, self.gateway, dport=53)
            self.segment(f"12-{name}-to-host", source, self.gateway, sport=22, dport=EPHEMERAL, flags=0x12)

    def addresses(self):
        for name, claimed in (("subnet", self.third), ("gateway", self.gateway), ("other", self.other), ("lan", LAN), ("public", PUBLIC)):
            self.address(f"13-announce-{name}", 1, self.own_mac, claimed, claimed)
            self.address(f"13-reply-{name}", 2, self.own_mac, claimed, self.gateway, to_mac=self.gateway_mac, target_mac=self.gateway_mac)
            self.address(f"13-ask-as-{name}", 1, self.own_mac, claimed, self.gateway)
        self.address("13-other-mac", 2, SPOOF_MAC, self.own, self.gateway, to_mac=self.gateway_mac, target_mac=self.gateway_mac)
        self.address("13-probe", 1, self.own_mac, "0.0.0.0", self.third)
        self.address("13-reverse", 3, self.own_mac, self.own, self.own)
        for name, asked in ("lan", HOST_LAN), ("public", HOST_PUBLIC), ("bridge", "172.17.66.1"):
            self.address(f"13-who-is-host-{name}", 1, self.own_mac, self.own, asked)

    def dhcp(self):
        offer = bytes((2, 1, 6, 0)) + b"\0" * 232 + bytes((99, 130, 83, 99, 53, 1, 2, 255))
        ask = bytes((1, 1, 6, 0)) + b"\0" * 24 + mac(self.own_mac) + b"\0" * 202 + bytes((99, 130, 83, 99, 53, 1, 1, 255))
        for name, data, sport, dport, source in (("offer", offer, 67, 68, self.own), ("discover", ask, 68, 67, "0.0.0.0"),
                                                 ("inform", ask, 68, 67, self.own)):
            for to_name, to, to_mac in ("broadcast", "255.255.255.255", ANYONE), ("gateway", self.gateway, self.gateway_mac):
                text = udp(source, to, sport, dport, data + self.mark(f"14-{name}-{to_name}"))
                self.packet(f"14-{name}-{to_name}", ip4(source, to, 17, text), to_mac=to_mac)

    def advertisement(self, name, destination_mac):
        """Of a network, not of a router: it must not change where the host sends what."""
        prefix = struct.pack("!BBBBIII16s", 3, 4, 64, 0xC0, 120, 60, 0, socket.inet_pton(socket.AF_INET6, "2001:db8:6666::"))
        body = struct.pack("!BBHII", 64, 0, 0, 0, 0) + prefix + option6(self.mark(name))
        self.packet(name, icmp6(self.link6, "ff02::1", 134, body), to_mac=destination_mac, kind=0x86DD)

    def six(self):
        self.advertisement("15-advertisement", "33:33:00:00:00:01")
        self.advertisement("15-advertisement-unicast", self.gateway_mac)
        target = socket.inet_pton(socket.AF_INET6, self.link6)
        self.packet("15-neighbour", icmp6(self.link6, "ff02::1", 136, struct.pack("!I", 0x20000000) + target + option6(self.mark("15-neighbour"))),
                    to_mac="33:33:00:00:00:01", kind=0x86DD)
        self.packet("15-ping-all", icmp6(self.link6, "ff02::1", 128, b"\0" * 4 + self.mark("15-ping-all")),
                    to_mac="33:33:00:00:00:01", kind=0x86DD)
        for name, source, to in (("16-global", "2001:db8:6666::2", PUBLIC6), ("16-global-link", self.link6, PUBLIC6),
                                 ("16-mapped", "::ffff:198.51.100.9", PUBLIC6), ("16-mdns", self.link6, "ff02::fb")):
            group = "33:33:00:00:00:fb" if name == "16-mdns" else self.gateway_mac
            self.packet(name, ip6(source, to, 17, udp(source, to, 5353, 5353, self.mark(name))), to_mac=group, kind=0x86DD)
        inner = ip6("2001:db8:6666::2", PUBLIC6, 17, udp("2001:db8:6666::2", PUBLIC6, 5353, 5353, self.mark("16-in-ip4")))
        self.packet("16-in-ip4", ip4(self.own, PUBLIC, 41, inner))

    def tagged(self):
        def inner(name):
            return ip4(self.own, PUBLIC, 17, udp(self.own, PUBLIC, 5555, 8080, self.mark(name)))

        for name, kind in ("8021q", 0x8100), ("8021ad", 0x88A8), ("9100", 0x9100):
            for tag in 0, 1, 77:
                self.packet(f"17-{name}-{tag}", struct.pack("!HH", tag, 0x0800) + inner(f"17-{name}-{tag}"), kind=kind)
        self.packet("17-qinq", struct.pack("!HHHH", 7, 0x8100, 7, 0x0800) + inner("17-qinq"), kind=0x88A8)
        self.packet("17-tagged-arp", struct.pack("!HH", 7, 0x0806) + arp(1, self.own_mac, self.third, NOBODY, self.gateway) +
                    self.mark("17-tagged-arp"), to_mac=ANYONE, kind=0x8100)
        data = inner("17-pppoe")
        self.packet("17-pppoe", struct.pack("!BBHHH", 0x11, 0, 1, len(data) + 2, 0x21) + data, kind=0x8864)
        for name, kind in (("pppoe-discovery", 0x8863), ("lldp", 0x88CC), ("mpls", 0x8847), ("eapol", 0x888E), ("macsec", 0x88E5), ("ptp", 0x88F7),
                           ("profinet", 0x8892), ("aoe", 0x88A2), ("experimental", 0x88B5), ("wake", 0x0842), ("rarp", 0x8035),
                           ("ipx", 0x8137), ("llc", 120)):
            for to_name, to in ("unicast", self.gateway_mac), ("broadcast", ANYONE):
                self.packet(f"17-{name}-{to_name}", b"\x02\x07\x04" + self.mark(f"17-{name}-{to_name}") + b"\0" * 60, to_mac=to, kind=kind)
        self.packet("17-stp", b"\x42\x42\x03\0\0\0\0\0" + b"\0" * 30 + self.mark("17-stp"), to_mac="01:80:c2:00:00:00", kind=100)

    def groups(self):
        for name, to, to_mac, dport in (("mdns", "224.0.0.251", "01:00:5e:00:00:fb", 5353), ("ssdp", "239.255.255.250", "01:00:5e:7f:ff:fa", 1900),
                                        ("all", "224.0.0.1", "01:00:5e:00:00:01", 8080), ("broadcast", "255.255.255.255", ANYONE, HOST_PORT),
                                        ("subnet", self.broadcast, ANYONE, HOST_PORT), ("lan", "192.168.77.255", ANYONE, HOST_PORT),
                                        ("gateway", self.gateway, ANYONE, HOST_PORT), ("public", PUBLIC, ANYONE, 8080)):
            self.datagram(f"22-{name}", self.own, to, dport=dport, to_mac=to_mac)
            # "public" and "gateway": a packet to the host's card may go there, one to everybody may not
            if name not in ("public", "gateway"):
                self.datagram(f"22-{name}-unicast", self.own, to, dport=dport)
        self.packet("22-igmp", ip4(self.own, "224.0.0.251", 2, struct.pack("!BBH4s", 0x16, 0, 0, socket.inet_aton("224.0.0.251")) +
                                   self.mark("22-igmp")), to_mac="01:00:5e:00:00:fb")

    def protocols(self):
        for to_name, to in ("public", PUBLIC), ("gateway", self.gateway), ("lan", LAN), ("host", HOST_PUBLIC):
            for protocol in 0, 2, 4, 33, 41, 47, 50, 51, 89, 94, 103, 108, 112, 132, 136, 253, 255:
                name = f"24-ip{protocol}-{to_name}"
                data = self.mark(name) + b"\0" * 16
                if protocol == 4:
                    data = ip4(self.own, LAN, 17, udp(self.own, LAN, 5555, 8080, self.mark(name)))
                elif protocol == 47:
                    data = struct.pack("!HH", 0, 0x0800) + ip4(self.own, LAN, 17, udp(self.own, LAN, 5555, 8080, self.mark(name)))
                elif protocol == 136:
                    data = udp(self.own, to, 5555, 8080, self.mark(name), 136)
                self.packet(name, ip4(self.own, to, protocol, data))
            for kind, code in (0, 0), (3, 3), (3, 4), (4, 0), (5, 1), (9, 0), (10, 0), (11, 0), (13, 0), (15, 0), (17, 0), (42, 0):
                name = f"24-icmp{kind}-{code}-{to_name}"
                data = ip4(self.gateway, self.own, 17, udp(self.gateway, self.own, 8080, 5555, self.mark(name)))
                self.packet(name, ip4(self.own, to, 1, icmp(kind, code, socket.inet_aton(self.own), data)))

    def fragments(self):
        for to_name, to, dport in (("gateway", self.gateway, HOST_PORT), ("host", HOST_PUBLIC, HOST_PORT), ("lan", LAN, 8080),
                                   ("other", self.other, 8080)):
            name = f"24-fragment-{to_name}"
            whole = udp(self.own, to, 5555, dport, self.mark(name) * 8)
            cut = 48
            self.packet(name, ip4(self.own, to, 17, whole[:cut], 0x2000))
            self.packet(name, ip4(self.own, to, 17, whole[cut:], cut // 8))
            # the ports stand in the second one, or are told twice
            name = f"24-tiny-{to_name}"
            whole = tcp(self.own, to, 22, dport, 2, self.mark(name) * 2)
            self.packet(name, ip4(self.own, to, 6, whole[:8], 0x2000))
            self.packet(name, ip4(self.own, to, 6, whole[8:], 1))
            name = f"24-overlap-{to_name}"
            good, bad = (udp(self.own, to, 5555, port, self.mark(name) * 2) for port in (53, dport))
            self.packet(name, ip4(self.own, to, 17, good[:16], 0x2000))
            self.packet(name, ip4(self.own, to, 17, bad, 0))
            self.packet(name, ip4(self.own, to, 17, good[16:], 2))
        options = bytes((0x83, 7, 4)) + socket.inet_aton(LAN) + b"\0"
        data = udp(self.own, PUBLIC, 5555, 8080, self.mark("24-source-route"))
        header = struct.pack("!BBHHHBBH4s4s", 0x47, 0, 28 + len(data), 1, 0, 64, 17, 0, socket.inet_aton(self.own), socket.inet_aton(self.gateway))
        total = checksum(header + options)
        self.packet("24-source-route", header[:10] + struct.pack("!H", total) + header[12:] + options + data)

    def from_port_22(self):
        for to_name, to in ("gateway", self.gateway), ("lan", HOST_LAN), ("public", HOST_PUBLIC):
            for port in EPHEMERAL, 32768, 60999, HOST_PORT, 22, 8080:
                for name, flags in ("syn", 2), ("syn-psh", 10), ("syn-urg", 34), ("syn-ecn", 0xC2), ("syn-fin", 3):
                    self.segment(f"24-from22-{name}-{to_name}-{port}", self.own, to, sport=22, dport=port, flags=flags)
                self.datagram(f"24-from22-udp-{to_name}-{port}", self.own, to, sport=22, dport=port)
                self.segment(f"24-from53-tcp-{to_name}-{port}", self.own, to, sport=53, dport=port)
                self.datagram(f"24-from53-udp-{to_name}-{port}", self.own, to, sport=53, dport=port)
        # answers to what nobody asked
        for name, flags in ("ack", 16), ("syn-ack", 18), ("rst", 4), ("none", 0), ("fin", 1):
            self.segment(f"24-from22-{name}", self.own, self.gateway, sport=22, dport=HOST_PORT, flags=flags)
            self.segment(f"24-from22-{name}-ephemeral", self.own, self.gateway, sport=22, dport=EPHEMERAL, flags=flags)
            self.segment(f"24-from22-{name}-lan", self.own, HOST_LAN, sport=22, dport=EPHEMERAL, flags=flags)

    def behind_the_bridge(self):
        """Frames to the group addresses that a bridge keeps to itself: it hands them up from its port, past its own filter."""
        for last in range(1, 16):
            group = f"01:80:c2:00:00:{last:02x}"
            for to_name, to in ("gateway", self.gateway), ("lan", HOST_LAN), ("public", HOST_PUBLIC):
                self.datagram(f"link-{last:02x}-udp-{to_name}", self.own, to, dport=HOST_PORT, to_mac=group)
            self.datagram(f"link-{last:02x}-forward", self.own, LAN, to_mac=group)
            self.segment(f"link-{last:02x}-tcp", self.own, self.gateway, dport=HOST_PORT, to_mac=group)
            self.address(f"link-{last:02x}-arp", 1, self.own_mac, self.third, HOST_LAN, to_mac=group)
            self.advertisement(f"link-{last:02x}-advertisement", group)
            for number, link in enumerate(self.links):
                name = f"link-{last:02x}-udp6-{number}"
                self.packet(name, ip6(self.link6, link, 17, udp(self.link6, link, 5555, HOST_PORT, self.mark(name))), to_mac=group, kind=0x86DD)

    def all(self):
        for part in (self.control, self.host_ports, self.martians, self.neighbours, self.spoofs, self.addresses, self.dhcp, self.six, self.tagged,
                     self.groups, self.protocols, self.fragments, self.from_port_22, self.behind_the_bridge):
            part()


def ids(*files):
    found = set()
    for file in files:
        with open(file, "rb") as stream:
            found.update(mark.decode() for mark in MARK.findall(stream.read()))
    for mark in sorted(found):
        print(mark)


if __name__ == "__main__":
    if sys.argv[1] == "frames":
        Frames(*sys.argv[2:]).all()
    else:
        {"canary": canary, "ids": ids}[sys.argv[1]](*sys.argv[2:])
