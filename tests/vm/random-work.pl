#!/usr/bin/perl
# SPDX-License-Identifier: LGPL-2.1-or-later
# Random work on files: random-work.pl DIR SEED OPERATIONS SAME: with SAME 1 files get other names, too. What fails, because of what is
# there, says nothing. It needs no more than perl-base has.
use strict;
use warnings;
use Fcntl;

my ($dir, $seed, $operations, $same) = @ARGV;
my @names = ('a', 'b', 'c d', 'a-b', '.envrc', 'Makefile');
my @targets = ('a', 'b/a', '../a', 'c d');
# the same numbers on each host
my $state = $seed % 2147483647 || 1;
sub pick { $state = $state * 48271 % 2147483647; return int($state / 2147483647 * $_[0]) }

sub random_path { return join('/', $dir, map { $names[pick(scalar @names)] } 0 .. pick(3)) }

sub write_some {
	my ($path, $flags) = @_;
	sysopen(my $file, $path, O_WRONLY | O_NOFOLLOW | $flags, 0644) or return;
	syswrite($file, pick(1000000) . "\n") for 1 .. pick(4);
	chmod((0644, 0600, 0755, 0640, 0444)[pick(5)], $file) if pick(3) == 0;
	close($file);
}

sub remove {
	my ($path) = @_;
	return unlink($path) if -l $path || !-d $path;
	opendir(my $listing, $path) or return;
	my @in = grep { $_ ne '.' && $_ ne '..' } readdir($listing);
	closedir($listing);
	remove("$path/$_") for @in;
	rmdir($path);
}

umask(022);
my $made = '';
for my $part (split(m{/}, $dir)) {
	$made .= "$part/";
	mkdir($made);
}
for (1 .. $operations) {
	my ($path, $other, $what) = (random_path(), random_path(), pick(12));
	if ($what < 2) { write_some($path, O_CREAT) }
	elsif ($what == 2) { write_some($path, O_TRUNC) }
	elsif ($what == 3) { write_some($path, O_APPEND) }
	elsif ($what == 4) { rename($path, $other) if $same }
	elsif ($what == 5) { link($path, $other) if $same }
	elsif ($what == 6) { symlink($targets[pick(4)], $path) }
	elsif ($what == 7) { chmod((0700, 0755, 0750, 0711)[pick(4)], $path) if !-l $path }
	elsif ($what == 8) { remove($path) }
	elsif ($what == 9) { remove($path); pick(2) ? mkdir($path) : write_some($path, O_CREAT) }
	else { mkdir($path); write_some($path, O_CREAT) }
}
