"""Find the line of every key of a TOML text: tomli tells positions for syntax errors only."""

import re
from bisect import bisect_right

import tomli

Path = tuple[str | int, ...]

# Possessive quantifiers: a long string costs no memory for backtracking.
_BLANK = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_SPACE = re.compile(r"[ \t]*+")
_BASIC = r'"(?:[^"\\\n]++|\\.)*+"'
_LITERAL = r"'[^'\n]*+'"
_KEY = re.compile(rf"""{_BASIC}|{_LITERAL}|[^\s.="'\[\]{{}},\#]++""")
# The last quotes of a multi-line string may be up to five: two of them belong to the text.
_SCALAR = re.compile(
    rf"""\"{{3}}(?:[^"\\]++|\\.|"(?!""))*+"{{3,5}}|'{{3}}(?:[^']++|'(?!''))*+'{{3,5}}"""
    rf"""|{_BASIC}|{_LITERAL}|[^,\]}}\#\n]++""",
    re.DOTALL,
)


def locate(text: str) -> dict[Path, int]:
    """The line, counted from 1, of each key, table and list item of a `text` that tomli has accepted."""
    scan = _Scan(text)
    scan.document()
    return scan.lines


class _Scan:
    """One pass over a text. It leans on the text being valid and checks nothing."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.pos = 0
        self.lines: dict[Path, int] = {}
        self.newlines = [match.start() for match in re.finditer("\n", text)]
        self.sizes: dict[Path, int] = {}  # of arrays of tables, so far

    def document(self) -> None:
        table: Path = ()
        while self.skip(_BLANK) < len(self.text):
            if self.text.startswith("[[", self.pos):
                table = self.header(2)
            elif self.text[self.pos] == "[":
                table = self.header(1)
            else:
                self.value(self.key(table))

    def skip(self, what: re.Pattern[str]) -> int:
        """Step over `what` and return the new position."""
        if match := what.match(self.text, self.pos):
            self.pos = match.end()
        return self.pos

    def line(self) -> int:
        return bisect_right(self.newlines, self.pos - 1) + 1

    def parts(self) -> list[str]:
        """Step over a dotted key."""
        parts = []
        while True:
            start = self.skip(_SPACE)
            raw = self.text[start : self.skip(_KEY)]
            parts.append(tomli.loads(f"key = {raw}")["key"] if raw[0] in "\"'" else raw)
            if not self.text.startswith(".", self.skip(_SPACE)):
                return parts
            self.pos += 1

    def header(self, brackets: int) -> Path:
        """Step over `[table]` or `[[array]]` and return the table that begins there."""
        line = self.line()
        self.pos += brackets
        *parents, last = self.parts()
        self.pos += brackets
        path: Path = ()
        for part in parents:
            path += (part,)
            self.lines.setdefault(path, line)
            if path in self.sizes:
                path += (self.sizes[path] - 1,)
        path += (last,)
        if brackets == 1:
            self.lines[path] = line
            return path
        self.lines.setdefault(path, line)
        size = self.sizes.get(path, 0)
        self.sizes[path] = size + 1
        path += (size,)
        self.lines[path] = line
        return path

    def key(self, table: Path) -> Path:
        """Step over `key =` and return its path."""
        line = self.line()
        path = table
        for part in self.parts():
            path += (part,)
            self.lines.setdefault(path, line)
        self.pos += 1  # the equals sign
        return path

    def value(self, path: Path) -> None:
        """Step over one value, however deep: no recursion, as tomli's own limit is none of ours."""
        inside: list[tuple[str, Path, int]] = []  # bracket, path, items so far
        while True:
            opening = self.text[self.skip(_SPACE)]
            if opening in "[{":
                self.pos += 1
                inside.append((opening, path, 0))
            else:
                self.skip(_SCALAR)
            while inside:
                after = self.text[self.skip(_BLANK)]
                if after not in ",]}":
                    break
                self.pos += 1
                if after != ",":
                    inside.pop()
            if not inside:
                return
            bracket, parent, count = inside.pop()
            inside.append((bracket, parent, count + 1))
            if bracket == "{":
                path = self.key(parent)
            else:
                path = (*parent, count)
                self.lines[path] = self.line()
