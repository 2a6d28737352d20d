# SPDX-License-Identifier: LGPL-2.1-or-later
# What the keeper runs in the machine, as root: forget.pl TAG TARGET [TAG TARGET...]
# For each line that it reads, N or "N look", the overlays of these shares forget what they have looked up. With "look" they
# do so twice, since what is in use at one moment is mostly not at the next, and it prints "held PID NAME PATH" (NAME and
# PATH in hexadecimal) for what stayed old because a process holds it. Then "end N".
use strict;
use Config;
use Errno qw(ESTALE);

my %calls = ( 'x86_64' => 165, 'aarch64' => 40 );    # mount(2)
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

sub hold {
    my ( %seen, $held );
    for my $process ( map {"/proc/$_"} grep {/^\d+$/} names('/proc') ) {
        for my $link ( "$process/cwd", "$process/root", "$process/exe", map {"$process/fd/$_"} names("$process/fd") ) {
            my $path = readlink $link;
            next unless defined $path and grep { $path eq $$_[1] or index( $path, "$$_[1]/" ) == 0 } @shares;
            next if $seen{"$process $path"}++ or lstat $path or $! != ESTALE;
            open my $file, '<', "$process/comm" or next;
            chomp( my $name = <$file> );
            print "held ", $process =~ /(\d+)$/, ' x', unpack( 'H*', $name ), ' x', unpack( 'H*', $path ), "\n";
            return if ++$held >= 64;
        }
    }
}

while ( my $line = <STDIN> ) {
    my ( $number, $look ) = split ' ', $line;
    forget();
    if ($look) {
        select undef, undef, undef, 0.03;
        forget();
        hold();
    }
    print "end $number\n";
}
