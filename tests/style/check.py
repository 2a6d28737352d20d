#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holds the tree to its own rules: include arrows, sizes, licence lines, format, exported symbols, documentation.

check.py ROOT [--library FILE]   one TAP test per rule over the tree at ROOT
check.py --fixtures DIR          each directory of DIR is a small tree with the violations that its file `expected` names
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys

import ctext
import exceptions

FILE_LINES = 600
FUNCTION_LINES = 60
NESTING = 4
CLANG_FORMAT_MAJOR = 14  # of Debian 12; others format differently
LAYERS = ("base", "profile", "plan", "xml", "virt", "guest", "share", "facade")
# Installed headers that the lowest layers may use; from `plan` on, all of them.
PUBLIC_OF_LAYER = {"base": {"error", "progress", "version"}, "profile": {"error", "progress", "version", "profile"}}
# Taking and dropping references and type functions explain themselves.
NO_DOC_NEEDED = re.compile(r"_(ref|unref|free|get_type|quark|init|clear)$")


class Skip(Exception):
    """A rule that cannot be checked here, with the reason."""


class Tree:
    """The files of one source tree, as relative paths with / and their text."""

    def __init__(self, root):
        self.root = pathlib.Path(root).resolve()
        self.files = {}
        for path in sorted(self.list_paths()):
            try:
                self.files[path] = (self.root / path).read_text(encoding="utf-8")
            except (UnicodeDecodeError, OSError):
                continue

    def list_paths(self):
        for folder, folders, names in os.walk(self.root):
            here = os.path.relpath(folder, self.root)
            folders[:] = [name for name in folders if not self.ignored(here, name)]
            for name in names:
                path = os.path.normpath(os.path.join(here, name))
                if not os.path.islink(self.root / path):
                    yield path

    @staticmethod
    def ignored(here, name):
        if name in (".git", "__pycache__", ".cache") or (here == "." and name.startswith("build")):
            return True
        return here == "tests/style" and name == "fixtures"

    def matching(self, pattern):
        return [(path, text) for path, text in self.files.items() if re.search(pattern, path)]

    def c_files(self):
        return self.matching(r"\.[ch]$")

    def scripts(self):
        """Shell scripts, by suffix or by their first line."""
        shell = re.compile(r"#!\s*(/usr)?/bin/(env )?(ba|da)?sh\b")
        return [(p, t) for p, t in self.files.items() if p.endswith(".sh") or shell.match(t)]


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def layer_of(path):
    found = re.match(r"lib/([a-z]+)/", path)
    if found and found.group(1) in LAYERS:
        return found.group(1)
    return "facade" if re.match(r"lib/sandbox[^/]*\.[ch]$", path) else None


def includes(text):
    for found in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', text, re.M):
        yield line_of(text, found.start()), found.group(1), found.group(2)


def rule_libvirt(tree):
    """only lib/virt includes libvirt (and the guard, which lives on its events)"""
    for path, text in tree.c_files():
        if layer_of(path) == "virt" or path.startswith("cli/guard/") or path.startswith(("tests/", "docs/")) and "virt" in path:
            continue
        for line, _, name in includes(text):
            if name.startswith("libvirt/"):
                yield path, line, f"includes <{name}>"


def rule_arrows(tree):
    """no include points down the list of layers"""
    for path, text in tree.matching(r"^lib/.*\.[ch]$"):
        layer = layer_of(path)
        if layer is None:
            continue
        for line, kind, name in includes(text):
            first = name.split("/")[0]
            if kind == '"' and first in LAYERS and LAYERS.index(first) > LAYERS.index(layer):
                yield path, line, f"layer {layer} includes {name}"
            if first == "sandbox" and layer in PUBLIC_OF_LAYER:
                stem = name.split("/")[-1].removesuffix(".h")
                if stem not in PUBLIC_OF_LAYER[layer]:
                    yield path, line, f"layer {layer} includes <{name}>"


def rule_public_headers_only(tree):
    """the command and the examples include installed headers only (the keeper, the guard and the filter may use internals)"""
    for path, text in tree.matching(r"^(cli|docs/examples)/.*\.[ch]$"):
        if path.startswith(("cli/keeper/", "cli/guard/", "cli/filter/")):
            continue
        for line, kind, name in includes(text):
            if kind == '"' and name.split("/")[0] in LAYERS or name.startswith("lib/"):
                yield path, line, f"includes {name}"


def rule_file_size(tree):
    """no file is longer than 600 lines"""
    for path, text in tree.matching(r"\.([ch]|py|sh)$"):
        lines = text.count("\n")
        if lines > FILE_LINES:
            yield path, lines, f"{lines} lines"


def rule_functions(tree):
    """no function is longer than 60 lines or nested deeper than 4"""
    for path, text in tree.matching(r"\.c$"):
        for function in ctext.functions(text):
            if function.lines > FUNCTION_LINES:
                yield path, function.first_line, f"{function.name} has {function.lines} lines"
            if function.nesting > NESTING:
                yield path, function.first_line, f"{function.name} is nested {function.nesting} deep"


def rule_goto(tree):
    """no goto"""
    for path, text in tree.c_files():
        for found in re.finditer(r"\bgoto\b", ctext.blank(text)):
            yield path, line_of(text, found.start()), "goto"


def rule_licence(tree):
    """each source file begins with its SPDX line"""
    wanted = "SPDX-License-Identifier: LGPL-2.1-or-later"
    sources = dict(tree.matching(r"(\.([ch]|py|sh)|\.h\.in|(^|/)meson\.build)$"))
    sources.update((path, text) for path, text in tree.files.items() if text.startswith("#!"))
    for path, text in sources.items():
        lines = text.split("\n")[:2]
        first = lines[1:] if lines[0].startswith("#!") else lines[:1]
        if not first or wanted not in first[0]:
            yield path, 1, "has no SPDX line"


def rule_purpose(tree):
    """each C file says in one sentence what it is for"""
    for path, text in tree.c_files():
        lines = text.split("\n")
        if len(lines) < 2 or not re.match(r"(//|/\*)\s*\S", lines[1]):
            yield path, 2, "has no comment about its purpose after the SPDX line"


def rule_format(tree):
    """clang-format finds nothing to change"""
    program = shutil.which("clang-format-14") or shutil.which("clang-format")
    if not program:
        raise Skip("clang-format is not installed")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    if not re.search(rf"version {CLANG_FORMAT_MAJOR}\.", version):
        raise Skip(f"clang-format {CLANG_FORMAT_MAJOR} is needed: {version.strip()}")
    for path, _ in tree.c_files():
        done = subprocess.run([program, "--dry-run", "-Werror", "--style=file", str(tree.root / path)],
                              capture_output=True, text=True, check=False)
        if done.returncode:
            spot = re.search(r":(\d+):\d+: error", done.stderr)
            yield path, int(spot.group(1)) if spot else 1, "is not as clang-format would have it"


def rule_shell(tree):
    """shellcheck finds nothing in the shell scripts"""
    program = shutil.which("shellcheck")
    if not program:
        raise Skip("shellcheck is not installed")
    for path, _ in tree.scripts():
        done = subprocess.run([program, "-x", "-f", "gcc", "-S", "warning", "-e", "SC3043",
                               "-P", "SCRIPTDIR", str(tree.root / path)],
                              capture_output=True, text=True, check=False, cwd=tree.root)
        for found in re.finditer(r"^[^:\n]+:(\d+):\d+: (.*)$", done.stdout, re.M):
            yield path, int(found.group(1)), found.group(2)


def rule_places(tree):
    """no path of the machine on which it was written"""
    usual = {"/", "/tmp", "/home", "/root", "/srv", "/opt", "/usr/src", "/var/tmp", "/build", "/src", "/mnt"}
    patterns = [r"/home/(?!(user|dev|you|me|USER|alice|bob)\b)[a-z]\w*/", r"(?<![\w.}$\"'])/root/\w"]
    parent = str(tree.root.parent)
    if parent not in usual:
        patterns.append(r"(?<![\w.])" + re.escape(parent) + r"/\w")
    for path, text in tree.files.items():
        for found in re.finditer("|".join(patterns), text):
            yield path, line_of(text, found.start()), f"names {found.group()}"


def rule_mounts(tree):
    """nothing but the share helper mounts, and no file system of a machine's is read on the host"""
    call = re.compile(r"\b(mount|fsopen|fsmount|open_tree|move_mount|mount_setattr)\s*\(")
    program = re.compile(r'"(?:/\w+)*/?(mount|losetup|kpartx|qemu-nbd|fuse2fs|debugfs|guestmount|guestfish|virt-(?:cat|copy-\w+|ls|tar-\w+|edit|customize))"')
    for path, text in tree.matching(r"^(lib|cli)/.*\.c$"):
        if path.startswith("cli/share/"):
            continue
        for found in call.finditer(ctext.blank(text)):
            yield path, line_of(text, found.start()), f"calls {found.group(1)}()"
        for found in program.finditer(text):
            # a value of libvirt's XML
            if not text[: found.start()].endswith('"type", '):
                yield path, line_of(text, found.start()), f"runs {found.group(1)}"


def rule_identity(tree):
    """what a copy of a disk forgets of its source, layers of provisioning and kept memory forget, too"""
    others = ("domains/provision/clean", "lib/guest/warm.c")
    path = "domains/images/initrd-init"
    body = re.search(r"^forget_source\(\) \{\n(.*?)^\}", tree.files.get(path, ""), re.M | re.S)
    if path in tree.files and not body:
        yield path, 1, "has no forget_source()"
    for found in re.finditer(r'\$new"?(/[^\s"]+)', body.group(1) if body else ""):
        for other in others:
            if found.group(1) not in tree.files.get(other, ""):
                yield other, 1, f"leaves {found.group(1)}"


def public_functions(tree):
    """name -> (path, line) of every function that the installed headers declare."""
    found = {}
    for path, text in tree.matching(r"^include/sandbox/.*\.h(\.in)?$"):
        clean = ctext.without_directives(ctext.blank(text))
        # declarations only: callback types and macro uses have another form
        for match in re.finditer(r"^(?!typedef|G_)[A-Za-z][\w \t*]*?\n?\b(sandbox_\w+)\s*\(", clean, re.M):
            found[match.group(1)] = (path, line_of(clean, match.start()))
    return found


def rule_documented(tree):
    """each public function has a comment directly above it, or a documentation block of its name"""
    blocks = set()
    for _, text in tree.matching(r"^(include|lib)/.*\.([ch]|h\.in)$"):
        blocks.update(re.findall(r"^ \* (sandbox_\w+):", text, re.M))
    for name, (path, line) in public_functions(tree).items():
        if NO_DOC_NEEDED.search(name) or name in blocks:
            continue
        above = tree.files[path].split("\n")[line - 2].rstrip()
        if not above.endswith("*/") and not above.lstrip().startswith("//"):
            yield path, line, f"{name} is not documented"


def exported(library):
    done = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True)
    names = (line.split()[-1] for line in done.stdout.splitlines() if line.split()[1:2] != ["A"])
    return {name.split("@")[0] for name in names}


def rule_exports(tree, library=None):
    """the library exports what the installed headers declare, and nothing else"""
    if not library:
        raise Skip("no library was given")
    have = exported(library)
    want = set(public_functions(tree))
    for name in sorted(want - have):
        yield "include", 0, f"{name} is declared but not exported"
    for name in sorted(have - want):
        yield "include", 0, f"{name} is exported but not declared"


RULES = {
    "libvirt": rule_libvirt,
    "arrows": rule_arrows,
    "public-headers-only": rule_public_headers_only,
    "file-size": rule_file_size,
    "functions": rule_functions,
    "goto": rule_goto,
    "licence": rule_licence,
    "purpose": rule_purpose,
    "format": rule_format,
    "shell": rule_shell,
    "places": rule_places,
    "mounts": rule_mounts,
    "identity": rule_identity,
    "documented": rule_documented,
    "exports": rule_exports,
}


def violations(tree, rule, library):
    if rule == "exports":
        return list(rule_exports(tree, library))
    return list(RULES[rule](tree))


def excepted(rule, path, message, used):
    """Whether exceptions.TABLE has a line for this violation; remembers that it was needed."""
    for key in exceptions.TABLE:
        if key[0] == rule and key[1] == path and message.startswith(key[2]):
            used.add(key)
            return True
    return False


def check_tree(tree, library):
    """TAP over the rules; returns the number of failed ones."""
    failed = 0
    used = set()
    skipped = set()
    print(f"1..{len(RULES) + 1}")
    for number, (rule, function) in enumerate(RULES.items(), 1):
        try:
            found = [v for v in violations(tree, rule, library) if not excepted(rule, v[0], v[2], used)]
        except Skip as reason:
            skipped.add(rule)
            print(f"ok {number} - {rule} # SKIP {reason}")
            continue
        for path, line, message in found:
            print(f"# {path}:{line}: {message}")
        failed += bool(found)
        print(f"{'not ok' if found else 'ok'} {number} - {rule}: {function.__doc__}")
    stale = [key for key in exceptions.TABLE if key not in used and key[0] not in skipped]
    for key in stale:
        print(f"# exceptions.py: {key} is no longer needed")
    print(f"{'not ok' if stale else 'ok'} {len(RULES) + 1} - each exception is needed")
    return failed + bool(stale)


def check_fixtures(folder):
    """Each fixture must show exactly the violations it was made for; returns the number of wrong ones."""
    failed = 0
    fixtures = sorted(path for path in pathlib.Path(folder).iterdir() if path.is_dir())
    print(f"1..{len(fixtures) + 1}")
    covered = set()
    for number, fixture in enumerate(fixtures, 1):
        tree = Tree(fixture)
        want = sorted(tree.files.pop("expected", "").split("\n")[:-1])
        # the rules that can speak about a fixture: the one it is named after, or all of the cheap ones
        rules = [rule for rule in RULES if rule == fixture.name or fixture.name == "clean"]
        covered.update(rules if fixture.name != "clean" else [])
        try:
            have = sorted(f"{p}:{line}: {m}" for rule in rules for p, line, m in check_fixture_rule(tree, rule))
        except Skip as reason:
            print(f"ok {number} - {fixture.name} # SKIP {reason}")
            continue
        good = have == want and bool(rules)
        for line in sorted(set(have) ^ set(want)):
            print(f"# {'unexpected' if line in have else 'missing'}: {line}")
        failed += not good
        print(f"{'ok' if good else 'not ok'} {number} - {fixture.name}")
    missing = set(RULES) - covered
    for rule in sorted(missing):
        print(f"# rule {rule} has no fixture that makes it fail")
    print(f"{'not ok' if missing else 'ok'} {len(fixtures) + 1} - each rule has a fixture")
    return failed + bool(missing)


def check_fixture_rule(tree, rule):
    """As violations(), with a library built from the fixture for the rule about exports."""
    if rule != "exports":
        return violations(tree, rule, None)
    source = tree.root / "lib" / "library.c"
    compiler = shutil.which("cc")
    if not compiler:
        raise Skip("no C compiler")
    if not source.exists():
        return []
    library = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"style-fixture-{os.getpid()}.so")
    try:
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, str(source)], check=True)
        return list(rule_exports(tree, library))
    finally:
        if os.path.exists(library):
            os.unlink(library)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("root", nargs="?")
    parser.add_argument("--library")
    parser.add_argument("--fixtures")
    options = parser.parse_args()
    if options.fixtures:
        return 1 if check_fixtures(options.fixtures) else 0
    if not options.root:
        parser.error("ROOT is needed")
    return 1 if check_tree(Tree(options.root), options.library) else 0


if __name__ == "__main__":
    sys.exit(main())
