# SPDX-License-Identifier: LGPL-2.1-or-later
# Asks for names, in a guest (perl is in Debian's base): ask-names.pl SERVER SECONDS [udp|tcp] [SOURCE-PORT]
# Lines "NAME TYPE" on standard input; prints "NAME TYPE RESULT": an address, "status N" (3: no such name), "none", "silent".
use strict;
use warnings;
use IO::Socket::INET;

my ($server, $seconds, $protocol, $port) = @ARGV;
my %types = (A => 1, PTR => 12, TXT => 16, AAAA => 28);
$protocol ||= "udp";

sub wait_for {
	my ($socket, $wanted) = @_;
	my $bits = "";
	vec($bits, fileno($socket), 1) = 1;
	return undef unless select($bits, undef, undef, $seconds);
	return undef unless sysread($socket, my $data, 4096);
	return $data;
}

sub result {
	my ($message) = @_;
	my (undef, $flags, undef, $count) = unpack("n4", $message);
	return "status " . ($flags & 15) if $flags & 15;
	return "none" unless $count;
	my $at = 12;
	$at += 1 + ord(substr($message, $at, 1)) while ord(substr($message, $at, 1));
	my @found;
	for ($at += 5; $count; $count--) {
		my ($type, $length) = (unpack("n", substr($message, $at + 2, 2)), unpack("n", substr($message, $at + 10, 2)));
		my $data = substr($message, $at + 12, $length);
		push @found, $type == 1 ? join(".", unpack("C4", $data)) : unpack("H*", $data);
		$at += 12 + $length;
	}
	return join(",", sort @found);
}

while (my $line = <STDIN>) {
	chomp $line;
	my ($name, $type) = split / /, $line;
	my $query = pack("n6", 4711, 256, 1, 0, 0, 0) . join("", map { chr(length) . $_ } split(/\./, $name)) . "\0" . pack("n2", $types{$type}, 1);
	my $socket = IO::Socket::INET->new(PeerAddr => $server, PeerPort => 53, Proto => $protocol, Timeout => $seconds,
		$port ? (LocalPort => $port, ReuseAddr => 1) : ());
	my $data;
	if ($socket) {
		syswrite($socket, ($protocol eq "tcp" ? pack("n", length($query)) : "") . $query);
		$data = wait_for($socket);
		$data = substr($data, 2) if defined $data && $protocol eq "tcp";
	}
	print "$name $type ", (defined $data && length($data) > 12 ? result($data) : "silent"), "\n";
}
