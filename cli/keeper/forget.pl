# SPDX-License-Identifier: LGPL-2.1-or-later
# What the keeper runs in the machine, as root: forget.pl TAG TARGET [TAG TARGET...]
# For each line that it reads, "N TRIES", the overlays of these shares forget what they have looked up; TRIES times more,
# since what is in use at one moment is mostly not at another. With any of these it prints "held PID NAME PATH" (NAME and
# PATH in hexadecimal) for what stayed old because a process holds it, be it from within. Then "end N".
use strict;
use Config;
use Errno qw(ESTALE);

my %calls  = ( 'x86_64' => 165, 'aarch64' => 40 );    # mount(2)
my %xattrs = ( 'x86_64' => 192, 'aarch64' => 9 );     # lgetxattr(2)
my %flags = (
    ro => 1, nosuid => 2, nodev => 4, noexec => 8, noatime => 1 << 10, nodiratime => 1 << 11, relatime => 1 << 21
);
my ($arch) = $Config{archname} =~ /^([^-]+)/;
my @shares;
push @shares, [ splice @ARGV, 0, 2 ] while @ARGV > 1;
$| = 1;

# A remount with the flags that it has changes nothing, and drops the dentries of this one file system.
sub remount {
    my ($dir) = @_;
    my ( $flags, $none, $options ) = ( 32, 'none' );
    open my $table, '<', '/proc/self/mounts' or return 0;
    while (<$table>) {
        my @words = split / /;
        $words[1] =~ s/\\([0-7]{3})/chr oct $1/ge;
        $options = $words[3] if $words[1] eq $dir;
    }
    return 0 unless defined $options and $calls{$arch};
    $flags |= $flags{$_} || 0 for split /,/, $options;
    return syscall( $calls{$arch}, $none, $dir, 0, $flags, 0 ) == 0;
}

# The overlay first: it holds what is below it.
sub forget {
    my $good = 1;
    for my $share (@shares) {
        $good = 0 unless remount( $$share[1] ) and remount("/run/vms/lower/$$share[0]");
    }
    return if $good;
    open my $file, '>', '/proc/sys/vm/drop_caches' or return;
    print $file "2\n";
}

sub names {
    opendir my $dir, $_[0] or return;
    return readdir $dir;
}

# A directory that the machine has made, and the host too: the kernel looks for what is in the host's from when it
# looked the directory up the next time, so not as long as somebody is in it.
sub lacks {
    my ( $share, $path ) = @_;
    my ( $tag,   $dir )  = @$share;
    my $name  = substr $path, length $dir;
    my $upper = "/var/lib/vms/shares/$tag/upper$name";
    my ( $mark, $value ) = ( 'trusted.overlay.opaque', ' ' x 8 );
    return 0 if $name eq '' or -l $upper or !-d _ or !$xattrs{$arch};
    # one that hides what the host has does so for good
    return 0 if syscall( $xattrs{$arch}, $upper, $mark, $value, 8 ) > 0;
    for my $inside ( names("/run/vms/lower/$tag$name") ) {
        next if $inside =~ /^\.\.?$/ or lstat "$upper/$inside";
        return !lstat "$path/$inside";
    }
    return 0;
}

# stale SHARE PATH: the part of it that is old, if any is
sub stale {
    my ( $share, $path ) = @_;
    return $path if !lstat $path and $! == ESTALE;
    for ( ; $path ne $$share[1]; $path =~ s{/[^/]*$}{} ) {
        return $path if lacks( $share, $path );
    }
    return;
}

sub hold {
    my ( %seen, $held );
    for my $process ( map {"/proc/$_"} grep {/^\d+$/} names('/proc') ) {
        for my $link ( "$process/cwd", "$process/root", "$process/exe", map {"$process/fd/$_"} names("$process/fd") ) {
            my $path = readlink $link;
            next unless defined $path and !$seen{"$process $path"}++;
            my ($share) = grep { $path eq $$_[1] or index( $path, "$$_[1]/" ) == 0 } @shares;
            $path = $share && stale( $share, $path );
            next unless defined $path and !$seen{"$process stale $path"}++;
            open my $file, '<', "$process/comm" or next;
            chomp( my $name = <$file> );
            print "held ", $process =~ /(\d+)$/, ' x', unpack( 'H*', $name ), ' x', unpack( 'H*', $path ), "\n";
            return if ++$held >= 64;
        }
    }
}

while ( my $line = <STDIN> ) {
    my ( $number, $tries ) = split ' ', $line;
    forget();
    for ( 1 .. $tries ) {
        select undef, undef, undef, 0.01 + rand 0.04;
        forget();
    }
    if ($tries) {
        hold();
        # what was let go of before that saw who had it
        forget();
    }
    print "end $number\n";
}
