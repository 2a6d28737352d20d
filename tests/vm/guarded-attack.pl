# SPDX-License-Identifier: LGPL-2.1-or-later
# Run in a share of mode=guarded: tries to bring to the host what it runs by itself, in every way that a file system has.
# What it prints is how the tries ended; whether they did anything, the host looks at itself.
use strict;
use warnings;
use Fcntl;
use Socket;

my %ended;
my ($tries, $done) = (0, 0);

# try NAME, RESULT: counted by the error
sub try {
    my ($name, $good) = @_;
    my $why = $good ? "done" : "$!";
    $tries++;
    $ended{$why}++;
    print "done: $name\n" if $good && $name !~ /^prepare/;
}

sub put {
    my ($path, $text) = @_;
    open my $file, '>', $path or return 0;
    print $file $text;
    return close $file;
}

# a directory that has all that would be dangerous under another name
sub prepare {
    my ($dir) = @_;
    mkdir $dir;
    mkdir "$dir/$_" for qw(x y bin);
    put("$dir/$_", "#!/bin/sh\ntouch /tmp/pwned\n") for qw(tasks.json pre-commit x/y settings.json);
    return $dir;
}

# system calls take variables only
sub setxattr {
    my ($path) = @_;
    my ($name, $value) = ('user.x', 'y');
    return syscall(188, $path, $name, $value, 1, 0);
}

# renameat2 with FLAGS
sub move {
    my ($from, $to, $flags) = @_;
    return syscall(316, -100, $from, -100, $to, $flags) == 0;
}

sub attack_file {
    my ($path) = @_;
    my $file;
    put('spare', "spare\n");
    try "create $path", put($path, "evil\n");
    try "append $path", (open($file, '>>', $path) && print({$file} "evil\n") && close($file));
    try "update $path", sysopen($file, $path, O_RDWR);
    try "exclusive $path", sysopen($file, $path, O_RDWR | O_CREAT | O_EXCL, 0755);
    try "truncate at open $path", sysopen($file, $path, O_RDONLY | O_TRUNC);
    try "truncate $path", truncate($path, 1);
    try "chmod $path", chmod(0755, $path);
    try "chown $path", chown(0, 0, $path);
    try "utime $path", utime(1, 1, $path);
    try "setxattr $path", setxattr($path) == 0;
    try "mknod $path", syscall(133, $path, 0100755, 0) == 0;
    try "fifo $path", syscall(133, $path, 0010755, 0) == 0;
    try "mkdir $path", mkdir($path);
    try "symlink $path", symlink('spare', $path);
    try "link $path", link('spare', $path);
    try "rename to $path", rename('spare', $path);
    put('spare', "spare\n");
    try "exchange $path", move('spare', $path, 2);
    try "exchange back $path", move($path, 'spare', 2);
    try "rename without replacing $path", move('spare', $path, 1);
    try "directory as $path", rename(prepare('spare-dir'), $path);
    try "nameless file as $path", nameless($path);
    try "alias of $path", link($path, 'alias');
    try "through alias of $path", -e 'alias' && put('alias', "evil\n");
    # one that was made stays, for the host to see
    rename 'alias', 'alias.' . $tries;
    # a link to it leads to where the rules are the same
    symlink $path, 'via' and try "through link to $path", put('via', "evil\n");
    unlink 'via';
    try "rename away $path", rename($path, 'away');
    try "unlink $path", unlink($path);
    try "rmdir $path", rmdir($path);
    system 'rm', '-rf', 'away', 'spare-dir';
}

sub nameless {
    my ($path) = @_;
    sysopen(my $file, '.', 020200000 | O_RDWR, 0755) or return 0;
    my $from = '/proc/self/fd/' . fileno($file);
    return syscall(265, -100, $from, -100, $path, 0x400) == 0;
}

# what makes a file long without writing, and copies in the kernel
sub attack_calls {
    my ($path) = @_;
    put('spare', "evil\n");
    sysopen(my $from, 'spare', O_RDONLY) or return;
    if (sysopen(my $to, $path, O_RDWR)) {
        try "fallocate $path", syscall(285, fileno($to), 0, 0, 4096) == 0;
        try "copy_file_range $path", syscall(326, fileno($from), 0, fileno($to), 0, 5, 0) > 0;
    }
}

# a directory under way: everything but its name is there before the name is
sub attack_directory {
    my ($dir) = @_;
    for my $name ($dir, lc $dir, uc $dir) {
        try "mkdir $name", mkdir($name);
        try "rename directory to $name", rename(prepare('ready'), $name);
        try "exchange directory with $name", move(prepare('ready'), $name, 2);
        try "link for $name", symlink('ready', $name);
        try "file in $name", put("$name/tasks.json", "evil\n");
        try "hook in $name", put("$name/pre-commit", "evil\n");
    }
}

sub attack_parents {
    for my $pair ([qw(.github hooks)], [qw(node_modules .bin)], [qw(tools hooks)], [qw(.clinerules hooks)], [qw(env/bin activate)]) {
        my ($outer, $inner) = @$pair;
        mkdir 'outer';
        mkdir "outer/$inner";
        put("outer/$inner/pre-commit", "evil\n");
        try "parent $outer with $inner", rename('outer', $outer);
        mkdir 'deep';
        mkdir "deep/$outer";
        try "parent deep/$outer/$inner", rename("outer/$inner", "deep/$outer/$inner");
        try "link in place of $outer", symlink('outer', $outer);
        try "link exchanged for $outer", symlink('outer', 'l') && move('l', $outer, 2);
        unlink 'l';
        system 'rm', '-rf', 'outer', 'deep';
    }
    # a link that is there before what it would lead to: on the way to a guarded name, and to what settings of the host name
    prepare('ready');
    put('ready/attributes', "* filter=evil\n");
    for my $head (qw(.github node_modules .vscode)) {
        mkdir 'place';
        try "link for place/$head", symlink('../ready', "place/$head");
        system 'rm', '-rf', 'place';
        mkdir 'place';
        symlink '../ready', 'place/plain';
        try "link renamed to place/$head", rename('place/plain', "place/$head");
        unlink 'place/plain';
    }
    try 'link for later', symlink('ready', 'later');
    try 'directory renamed to later', rename('ready', 'later');
    mkdir 'later';
    try 'file in later', put('later/attributes', "* filter=evil\n");
    # what holds guarded things is not taken away, and no other put there
    for my $dir (qw(repo vendor/sub vendor editor bare.git env renv)) {
        try "rename parent $dir", rename($dir, 'moved');
        try "exchange parent $dir", move(prepare('ready'), $dir, 2);
    }
}

# a directory that git takes for a repository
sub attack_repository {
    mkdir 'fresh';
    mkdir "fresh/$_" for qw(objects refs);
    try 'HEAD', put('fresh/HEAD', "ref: refs/heads/main\n");
    try 'link HEAD', symlink('config', 'fresh/HEAD');
    try 'rename to HEAD', put('fresh/h', "ref: refs/heads/main\n") && rename('fresh/h', 'fresh/HEAD');
    put('fresh/config', "[core]\n\tfsmonitor = /tmp/pwned\n");
    put('gitfile', "gitdir: fresh\n");
    try 'a .git that points elsewhere', rename('gitfile', 'fresh/.git');
    mkdir 'ready-git';
    mkdir "ready-git/$_" for qw(objects refs hooks);
    put('ready-git/config', "[core]\n\tfsmonitor = /tmp/pwned\n");
    try 'a .git that was made elsewhere', rename('ready-git', 'fresh/.git');
    for my $link ('repo/.git/objects/evil', 'repo/.git/logs/evil', 'repo/.git/refs/evil') {
        try "link $link", symlink('../../../fresh', $link);
        try "rename link $link", symlink('fresh', 'l') && rename('l', $link);
        unlink 'l';
    }
    system 'git init -q nested; git clone -q repo cloned; cd repo && git config core.fsmonitor /tmp/pwned; git worktree add ../tree;'
        . ' git config --file .git/config core.hooksPath /tmp; git submodule add ../repo mod';
}

# what the host has made for itself, and names otherwise
sub attack_hosts {
    try 'other name of a guarded file', put('innocent', "evil\n");
    # this one is known by no other name
    try 'unknown other name', put('aliased', "evil\n");
    try 'append to other name', sysopen(my $file, 'innocent', O_WRONLY | O_APPEND);
    try 'truncate other name', truncate('innocent', 0);
    try 'chmod other name', chmod(0777, 'innocent');
    for my $path (qw(tools/hooks/pre-commit tools/hooks/new tools/husky/pre-commit tools/husky/new config/envrc tools/monitor)) {
        attack_file($path);
        attack_calls($path);
    }
}

sub attack_kinds {
    put('plain', "x\n");
    try "setuid", chmod(04755, 'plain');
    try "setgid", chmod(02755, 'plain');
    my ($device, $fifo) = qw(device fifo);
    try "device", syscall(133, $device, 0020666, 259) == 0;
    try "fifo", syscall(133, $fifo, 0010666, 0) == 0;
    socket(my $socket, PF_UNIX, SOCK_STREAM, 0);
    try "socket", bind($socket, sockaddr_un('socket'));
    for my $target ('/etc/passwd', '../outside', '../../../etc/passwd', 'a/../../..', "x\ny") {
        try "link to $target", symlink($target, 'out');
        try "link $target moved", symlink('here', 'out2') && rename('out2', 'out3');
        unlink 'out3';
    }
    mkdir 'd1';
    mkdir 'd1/d2';
    # inside as it lies, outside where it is moved to
    symlink '../../x', 'd1/d2/climbs';
    try 'link that climbs, moved', rename('d1/d2/climbs', 'climbs');
    try 'directory with a link that climbs, moved', rename('d1/d2', 'd2');
    system 'rm', '-rf', 'd1';
    try "control character", put("a\nb", 'x');
    try "no UTF-8", put("a\xff", 'x');
}

my @files = (
    map({ ("repo/.git/$_", "vendor/sub/.git/$_") }
        qw(config config.lock config.worktree hooks/pre-commit hooks/post-checkout info/attributes commondir objects/info/alternates modules/m/config
           rebase-merge/git-rebase-todo new)),
    'repo/.git', 'repo/.git/modules/mod/hooks/pre-commit', 'bare.git/config', 'bare.git/hooks/post-update', 'new/.git',
    qw(.gitmodules .gitattributes .envrc .ENVRC editor/.vscode/tasks.json editor/.vscode/new.json .mcp.json x.code-workspace .npmrc .yarnrc.yml
       .pnpmfile.cjs lefthook.yml .pre-commit-config.yaml sitecustomize.py x.pth .exrc .vimrc .nvim.lua .dir-locals.el .gdbinit .lldbinit run.desktop
       prek.toml hk.pkl hie.yaml rust-analyzer.toml .pnp.cjs crush.json .crushrc kilo.jsonc renv/activate.R env/bin/activate env/pyvenv.cfg),
    "\x{ef}\x{bc}\x{8e}envrc", ".en\x{e2}\x{80}\x{8b}vrc", '.envrc.', '.envrc ');
my @directories
    = qw(.vscode .husky .devcontainer .cursor .claude .codex .agents .gemini .direnv .idea .cargo .mvn .yarn .git .config .local sub/.vscode .github/hooks
       .factory .qwen .cline .bsp .settings .git-hooks .clinerules/hooks);

# attack.pl [N SEED]: one of N of the names only
my ($n, $seed) = @ARGV;
if ($n) {
    srand $seed;
    @files = grep { int rand $n == 0 } @files;
    @directories = grep { int rand $n == 0 } @directories;
}
attack_file($_) for @files;
attack_calls($_) for @files;
attack_directory($_) for @directories;
attack_parents();
attack_repository();
attack_hosts();
attack_kinds();
print "$tries tries\n";
print "$_: $ended{$_}\n" for sort keys %ended;
