# SPDX-License-Identifier: LGPL-2.1-or-later
"""C text for the style check: comments and strings blanked out, functions found, nesting measured."""

import re

CONTROL = ("if", "for", "while", "switch", "else", "do")


def blank(text):
    """TEXT with the contents of comments, strings and character constants as spaces; lines stay where they are."""
    out = []
    position = 0
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    for found in pattern.finditer(text):
        out.append(text[position:found.start()])
        token = found.group()
        filler = re.sub(r"[^\n]", " ", token)
        if token[0] in "\"'":
            filler = token[0] + filler[1:-1] + token[0]
        out.append(filler)
        position = found.end()
    out.append(text[position:])
    return "".join(out)


def without_directives(text):
    """Blanked TEXT without preprocessor lines (continued ones too): macros are not functions."""
    lines = []
    inside = False
    for line in text.split("\n"):
        directive = inside or line.lstrip().startswith("#")
        inside = directive and line.rstrip().endswith("\\")
        lines.append("" if directive else line)
    return "\n".join(lines)


def opens_control_block(before):
    """Whether a `{` after the text BEFORE begins the block of a control statement."""
    before = before.rstrip()
    if re.search(r"\b(else|do)$", before):
        return True
    if not before.endswith(")"):
        return False
    depth = 0
    for index in range(len(before) - 1, -1, -1):
        if before[index] == ")":
            depth += 1
        elif before[index] == "(":
            depth -= 1
            if depth == 0:
                word = re.search(r"(\w+)\s*$", before[:index])
                return bool(word) and word.group(1) in CONTROL
    return False


class Function:
    """One function definition: NAME, first and last line of its body, its deepest nesting."""

    def __init__(self, name, line):
        self.name = name
        self.first_line = line
        self.last_line = line
        self.nesting = 0

    @property
    def lines(self):
        return self.last_line - self.first_line + 1


def function_name(before):
    """Name of the function whose body follows the text BEFORE, None when it is no function."""
    before = before.rstrip()
    if not before.endswith(")"):
        return None
    found = re.findall(r"\b([A-Za-z_]\w*)\s*\(", before)
    return found[0] if found else None


def functions(text):
    """All function definitions of the C TEXT."""
    text = without_directives(blank(text))
    found = []
    stack = []
    current = None
    line = 1
    start = 0  # where the current top-level declaration began
    for index, char in enumerate(text):
        if char == "\n":
            line += 1
        elif char == "{":
            if not stack:
                name = function_name(text[start:index])
                current = Function(name, line) if name else None
                stack.append(False)
            else:
                stack.append(opens_control_block(text[max(0, index - 2000):index]))
                if current:
                    current.nesting = max(current.nesting, sum(stack))
        elif char == "}" and stack:
            stack.pop()
            if not stack:
                if current:
                    current.last_line = line
                    found.append(current)
                current = None
                start = index + 1
        elif char == ";" and not stack:
            start = index + 1
    return found
