"""The locator names the line of every key, whatever the shape of the document."""

import json
from typing import Any

import pytest
import tomli
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from zoozl.config.locator import locate

relaxed = settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))


def paths(value: Any, path: tuple = ()) -> set[tuple]:
    """Every key and list item of a parsed document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {inner for key, child in items for inner in ({(*path, key)} | paths(child, (*path, key)))}


bare = st.text("abcXYZ019_-", min_size=1, max_size=6)
keys = (
    bare
    | st.text(max_size=6).filter(lambda key: "\x7f" not in key)
    | st.sampled_from(["a.b", "#", "=", "[x]", '"', "'", ""])
)
scalars = st.sampled_from(
    [
        "1", "-2.5e3", "true", "1979-05-27 07:32:00Z", "07:32:00", "nan", "0xff", '""', "''",
        '"a # no comment"', "'[no] {table} = 1'", '"\\" = 1"', '"""one"""', "'''one'''",
        '"""\n[a]\nb = 1 # x\n"""', "'''\n[[a]]\n'b' = 1\n'''", '"""a""b"c"""""', "'''a''b'c'''''",
        '"""\\"""\n"""', '"""x\\\n   y\n"""', '"\\\\"', '"\\u005D"',
    ]
)  # fmt: skip


class Writer:
    """Writes a document and notes on which line each key came to stand."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.text = ""
        self.lines: dict[tuple, int] = {}

    def note(self, path: tuple) -> None:
        self.lines.setdefault(path, self.text.count("\n") + 1)

    def blank(self, newline: bool = True) -> str:
        return self.draw(
            st.sampled_from(["", " ", "\t", "\n", "\r\n", " # [x]\n", "#'\"=\n\n"] if newline else ["", " ", "\t "])
        )

    def key(self, key: str) -> None:
        spellings = [json.dumps(key, ensure_ascii=False), "".join(f"\\U{ord(c):08x}" for c in key).join('""')]
        if key and all(c in "abcXYZ019_-" for c in key):
            spellings.append(key)
        if "'" not in key and key.isprintable():
            spellings.append(f"'{key}'")
        self.text += self.draw(st.sampled_from(spellings))

    def value(self, path: tuple, depth: int) -> None:
        kind = self.draw(st.sampled_from(["scalar"] * 3 + ["list", "table"])) if depth else "scalar"
        if kind == "scalar":
            self.text += self.draw(scalars)
        elif kind == "list":
            self.text += "["
            for number in range(self.draw(st.integers(0, 3))):
                self.text += self.blank()
                self.note((*path, number))
                self.value((*path, number), depth - 1)
                self.text += self.blank() + ","
            self.text += self.blank() + "]"
        else:
            self.text += "{"
            for number, key in enumerate(self.draw(st.lists(keys, unique=True, max_size=3))):
                self.text += "," * bool(number) + self.blank(newline=False)
                self.pair(path, key, depth - 1)
            self.text += self.blank(newline=False) + "}"

    def pair(self, path: tuple, key: str, depth: int) -> None:
        for number, part in enumerate([key, *self.draw(st.lists(keys, max_size=2))]):
            self.text += (self.blank(newline=False) + "." + self.blank(newline=False)) * bool(number)
            path = (*path, part)
            self.note(path)
            self.key(part)
        self.text += self.blank(newline=False) + "=" + self.blank(newline=False)
        self.value(path, depth)

    def header(self, names: tuple, brackets: int) -> None:
        self.text += "[" * brackets
        for number, name in enumerate(names):
            self.text += "." * bool(number) + self.blank(newline=False)
            self.key(name)
            self.text += self.blank(newline=False)
        self.text += "]" * brackets + self.draw(st.sampled_from(["\n", " # x\r\n"]))

    def table(self, path: tuple, names: tuple, depth: int) -> None:
        """The pairs of a table, then the tables in it. `names` is `path` less the numbers of array items."""
        mine = self.draw(st.lists(keys, unique=True, max_size=5))
        split = self.draw(st.integers(0, len(mine))) if depth else len(mine)
        for key in mine[:split]:
            self.text += self.blank()
            self.pair(path, key, 2)
            self.text += self.draw(st.sampled_from(["\n", "\r\n", " # c = 1\n"]))
        for key in mine[split:]:
            items = self.draw(st.integers(0, 2))
            for inner in [(*path, key, number) for number in range(items)] or [(*path, key)]:
                self.text += self.blank()
                self.note((*path, key))
                self.note(inner)
                self.header((*names, key), 2 if items else 1)
                self.table(inner, (*names, key), depth - 1)


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[tuple, int]]:
    writer = Writer(draw)
    writer.table((), (), 2)
    return writer.text, writer.lines


@relaxed
@given(documents())
def test_every_key_is_found_on_the_line_where_it_was_written(document: tuple[str, dict[tuple, int]]) -> None:
    text, lines = document
    assert paths(tomli.loads(text)) == lines.keys()  # the writer of this test is right
    assert locate(text) == lines


fragments = st.sampled_from(
    [
        "a", "b", '"a"', "'b'", ".", "=", " = ", "[", "]", "[[", "]]", "{", "}", ",", "\n", "\n", "# a\n", "1", "true",
        '"', "'", '"""', "'''", "\\", '\\"', " ", "\t", "\r\n", "a = 1\n", "b.c = 2\n", "[t]\n", "[[u]]\n", "[u.v]\n",
    ]
)  # fmt: skip


@settings(relaxed, max_examples=500)
@given(st.lists(fragments, max_size=30).map("".join))
@example("")
@example("\n\n")
@example("a=1")
@example("[a.b]\n[a]\n")
@example("[[a]]\n[a.b]\n[[a]]\n[a.b]\n")
def test_what_tomli_accepts_is_located_whole(text: str) -> None:
    try:
        data = tomli.loads(text)
    except tomli.TOMLDecodeError:
        return
    lines = locate(text)
    assert lines.keys() == paths(data)
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("a = 1\nb = 2\n", ("b",), 2),
        ("[s]\n\n# c\nport = 1", ("s", "port"), 4),
        ("[a.b]\nc.d = 1", ("a", "b", "c", "d"), 2),
        ('x = """\ny = 1\n"""\ny = 2', ("y",), 4),
        ("x = [\n 1,\n 2,\n]", ("x", 1), 3),
        ("[[a]]\nk = 1\n[[a]]\nk = 2", ("a", 1, "k"), 4),
        ("[[a]]\n[a.t]\nk = 1\n[[a]]\n[a.t]\nk = 2", ("a", 1, "t", "k"), 6),
        ("t = {a = 1, b = {c = [\n{d = 1}]}}", ("t", "b", "c", 0, "d"), 2),
        ('"a.b" = 1\n"\\u0061" = 2', ("a",), 2),
        ("[a.b]\n[a]", ("a",), 2),
        ("\r\n\r\na = 1\r\n", ("a",), 3),
    ],
)
def test_the_line_of_a_key(text: str, path: tuple, line: int) -> None:
    assert locate(text)[path] == line


def test_deep_and_long_documents_are_no_trouble() -> None:
    deep = "x = " + "[" * 180 + "]" * 180 + "\n"
    long = 'y = """' + 'a"\\n\n' * 100_000 + '"""\n'
    dotted = ".".join("k" * 900) + " = 1\n"
    lines = locate(deep + long + dotted)
    assert lines["y",] == 2
    assert lines["k",] == 100_003
