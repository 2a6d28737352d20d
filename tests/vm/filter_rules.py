#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tests/vm/36-filter-rules.sh does with a machine's network filter: takes rules out, and asks once for each.

filter_rules.py list FILE LAYER
    the rules of a layer (frames: priorities below 0, connections: the others): NUMBER REMARK RULE
    REMARK: "-", or why nothing can show that the rule is missing
filter_rules.py without FILE LAYER [NUMBER]
    the filter as XML, with that layer only, without that rule
filter_rules.py out|in MAC ADDRESS GATEWAY-MAC GATEWAY
    frames that the guest sends, or that the host sends to it on the bridge: one for each rule, lines ID HEX
filter_rules.py flood COUNT PORT MAC ADDRESS GATEWAY-MAC GATEWAY
    as many conversations of the guest with the internet, in frames
filter_rules.py heard SINCE TILL PLACE=FILE...
    what canaries and captures have seen in that time, each once: PLACE MARK
"""

import ipaddress
import struct
import sys
import xml.etree.ElementTree as tree

import isolation
from isolation import DOCKER, EPHEMERAL, HOST_LAN, HOST_PORT, HOST_PUBLIC, LAN, MARK, PUBLIC, SPOOF_MAC, ip4, ip6, tcp, udp

NETS = ("0.66.6.6", "10.66.6.6", "100.64.66.6", "127.0.0.1", "169.254.66.6", "172.16.66.6", "192.0.0.66", "192.168.77.3", "198.18.66.6",
        "240.66.6.6", "198.51.100.66", "198.51.100.5")
HOST = (HOST_LAN, "198.51.100.65", HOST_PUBLIC, "198.51.100.1", "172.17.66.1")


# --- the filter

def in_layer(rule, layer):
    return (int(rule.get("priority")) < 0) == (layer == "frames")


def rules_of(root, layer):
    return sorted((rule for rule in root.iter("rule") if in_layer(rule, layer)), key=lambda rule: int(rule.get("priority")))


def text_of(rule):
    child = next(iter(rule), None)
    words = [rule.get("action"), rule.get("direction"), child.tag if child is not None else "everything"]
    return " ".join(words + [f"{key}={value}" for key, value in (child.attrib.items() if child is not None else ())])


def net_of(rule):
    """Of a rule that drops all IPv4 to or from a network."""
    child = next(iter(rule), None)
    if rule.get("action") != "drop" or child is None or child.get("match") == "no" or child.get("protocol"):
        return None
    for key in "srcipaddr", "dstipaddr":
        if child.get(key):
            return ipaddress.ip_network(f"{child.get(key)}/{child.get(key[:5] + 'mask', '32')}")
    return None


def allows_part_of(rule, net):
    child = next(iter(rule), None)
    for key in "srcipaddr", "dstipaddr":
        if rule.get("action") == "accept" and child is not None and child.get(key) and child.get(key[:5] + "mask"):
            return net.subnet_of(ipaddress.ip_network(f"{child.get(key)}/{child.get(key[:5] + 'mask')}"))
    return False


def remark(rule, others):
    """The others: all rules of the layer, in their order."""
    net = net_of(rule)
    if net is None:
        return "limit" if next(iter(rule), None) is not None and next(iter(rule)).get("connlimit-above") else "-"
    for other in others[others.index(rule) + 1:]:
        if other.get("direction") != rule.get("direction"):
            continue
        if allows_part_of(other, net):
            break
        if net_of(other) and net.subnet_of(net_of(other)):
            return "covered"
    return "-" if any(ipaddress.ip_address(address) in net for address in NETS + HOST) else "unasked"


def list_rules(file, layer):
    rules = rules_of(tree.parse(file).getroot(), layer)
    for number, rule in enumerate(rules):
        print(number, remark(rule, rules), text_of(rule))


def without(file, layer, number=None):
    document = tree.parse(file)
    root = document.getroot()
    kept = rules_of(root, layer)
    for rule in list(root.iter("rule")):
        if rule not in kept or number is not None and rule is kept[int(number)]:
            root.remove(rule)
    document.write(sys.stdout, encoding="unicode")


# --- the frames

class Out(isolation.Frames):
    """From the guest: what it may send, then what it may not, with and without its filter."""

    def all(self):
        self.datagram("ok-udp", self.own, PUBLIC, dport=444)
        self.segment("ok-tcp", self.own, PUBLIC, dport=444)
        self.packet("ok-ping", ip4(self.own, PUBLIC, 1, isolation.icmp(8, 0, b"\0" * 4, self.mark("ok-ping"))))
        self.address("ok-arp", 1, self.own_mac, self.own, self.gateway)
        self.datagram("ok-dns-udp", self.own, self.gateway, dport=53)
        self.segment("ok-dns-tcp", self.own, self.gateway, dport=53)
        self.segment("ok-allow", self.own, LAN, dport=8080)
        self.segment("allow-next-port", self.own, LAN, dport=8081)
        self.datagram("allow-udp", self.own, LAN)
        self.datagram("mac", self.own, PUBLIC, from_mac=SPOOF_MAC)
        self.address("mac-arp", 1, self.own_mac, self.own, self.gateway, from_mac=SPOOF_MAC)
        self.datagram("address", self.third, PUBLIC)
        self.address("arp", 1, self.own_mac, self.third, self.gateway)
        self.address("arp-host", 1, self.own_mac, self.own, HOST_LAN)
        for net in NETS + HOST:
            self.datagram(f"net-{net}", self.own, net, dport=HOST_PORT)
        # in a network that is allowed
        self.segment(f"allow-{HOST_LAN}", self.own, HOST_LAN, dport=8080)
        self.datagram("docker", self.own, DOCKER)
        self.datagram("service", self.own, self.gateway, dport=HOST_PORT)
        self.segment("from22", self.own, self.gateway, sport=22, dport=EPHEMERAL)
        self.packet("gre", ip4(self.own, PUBLIC, 47, self.mark("gre")))
        self.packet("timestamp", ip4(self.own, PUBLIC, 1, isolation.icmp(13, 0, b"\0" * 4, self.mark("timestamp"))))
        self.packet("six", ip6(self.link6, "ff02::1", 17, udp(self.link6, "ff02::1", 1, 1, self.mark("six"))), kind=0x86DD)
        self.packet("vlan", struct.pack("!HH", 7, 0x0800) + ip4(self.own, PUBLIC, 17, udp(self.own, PUBLIC, 1, 1, self.mark("vlan"))), kind=0x8100)
        # the last: all others of this round are through
        self.packet("beat", self.mark("beat"), kind=0x88B5)


class In(isolation.Frames):
    """To the guest, from the host's side of the bridge."""

    def to_guest(self, name, packet, kind=0x0800):
        self.packet(name, packet, from_mac=self.gateway_mac, to_mac=self.own_mac, kind=kind)

    def all(self):
        for source in (*NETS, *HOST, LAN, PUBLIC, "224.0.0.66", self.gateway):
            name = f"in-{source}"
            self.to_guest(name, ip4(source, self.own, 17, udp(source, self.own, 8080, 5555, self.mark(name))))
        name = f"in-allow-{HOST_LAN}"
        self.to_guest(name, ip4(HOST_LAN, self.own, 6, tcp(HOST_LAN, self.own, 8080, 5555, 18, self.mark(name))))
        self.to_guest("in-allow", ip4(LAN, self.own, 6, tcp(LAN, self.own, 8080, 5555, 18, self.mark("in-allow"))))
        self.to_guest("in-other", ip4(PUBLIC, self.third, 17, udp(PUBLIC, self.third, 8080, 5555, self.mark("in-other"))))
        for name, sender in ("gateway", self.gateway), ("lan", LAN):
            self.address(f"in-arp-{name}", 1, self.gateway_mac, sender, self.own, from_mac=self.gateway_mac)
        self.to_guest("in-six", ip6(self.link6, "ff02::1", 17, udp(self.link6, "ff02::1", 1, 1, self.mark("in-six"))), kind=0x86DD)


class Flood(isolation.Frames):
    def all(self, count, service):
        for port in range(1024, 1024 + count):
            self.datagram("flood", self.own, PUBLIC, sport=port, dport=service)


# --- what came of it

def records(file, since, till):
    """The frames of a capture in that time, as it is written to."""
    with open(file, "rb") as stream:
        data = stream.read()
    place = 24
    while place + 16 <= len(data):
        seconds, fraction, length, _ = struct.unpack_from("<IIII", data, place)
        if since <= seconds + fraction / 1e6 <= till:
            yield data[place + 16:place + 16 + length]
        place += 16 + length


def lines(file, since, till):
    with open(file, "rb") as stream:
        for line in stream:
            time, _, rest = line.partition(b" ")
            if time[:1].isdigit() and since <= float(time) <= till:
                yield rest


def heard(since, till, *sources):
    found = set()
    for source in sources:
        place, file = source.split("=", 1)
        for text in (records if file.endswith(".pcap") else lines)(file, float(since), float(till)):
            found.update((place, mark.decode()) for mark in MARK.findall(text))
            if b" marks=" in text:
                found.update((place, mark) for mark in text.split(b"marks=")[1].decode().strip().split(",") if mark)
            elif text.startswith(b"tcp "):
                found.add((place, "tcp-" + text.split()[2].decode()))
    for place, mark in sorted(found):
        print(place, mark)


def main(action, *words):
    if action in ("out", "in"):
        mac, address, gateway_mac, gateway = words
        (Out if action == "out" else In)("rule", mac, address, gateway_mac, gateway, SPOOF_MAC, "10.66.6.6").all()
    elif action == "flood":
        Flood("rule", *words[2:], SPOOF_MAC, "10.66.6.6").all(int(words[0]), int(words[1]))
    else:
        {"list": list_rules, "without": without, "heard": heard}[action](*words)


if __name__ == "__main__":
    main(*sys.argv[1:])
