"""A new extension is written into a configuration that somebody else wrote."""

import pytest
import tomli

from zoozl.config.extend import with_extension
from zoozl.errors import ConfigError


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", 'extensions = ["mine"]\n'),
        ("# a comment\n", 'extensions = ["mine"]\n\n# a comment\n'),
        ("# about all\n\na = 1 # x\n[t]\nb=1\n", '# about all\n\nextensions = ["mine"]\n\na = 1 # x\n[t]\nb=1\n'),
        ("# about a\na = 1\n", 'extensions = ["mine"]\n\n# about a\na = 1\n'),
        ("[t]\na=1\n", 'extensions = ["mine"]\n\n[t]\na=1\n'),
        ("a = 1\r\n", 'extensions = ["mine"]\r\n\r\na = 1\r\n'),
        ('extensions = ["a"] # why\nx=1\n', 'extensions = ["a", "mine"] # why\nx=1\n'),
        ("extensions = []\n", 'extensions = ["mine"]\n'),
        ('extensions = [\n    "a", # one\n]\n', 'extensions = [\n    "a", # one\n    "mine",\n]\n'),
        ('extensions = [\r\n  "a",\r\n]\r\n[x]\r\n', 'extensions = [\r\n  "a",\r\n  "mine",\r\n]\r\n[x]\r\n'),
    ],
)
def test_nothing_else_changes(before, after):
    assert with_extension(before, "mine") == after


@pytest.mark.parametrize(
    "before",
    [
        'extensions = [\n    "a", # one\n    "b"\n    # the end\n]\nx = 1\n',
        'extensions = [\n\t"a",\n\t# "later",\n]\n',
        'extensions = [ # first\n"a"] # last\n[extensions_of_mine]\nextensions = 1\n',
        '"extensions" = ["a"]\n[t]\n',
    ],
)
def test_every_comment_stays(before):
    after = with_extension(before, "mine")
    old, new = tomli.loads(before), tomli.loads(after)
    assert sorted(new.pop("extensions")) == sorted([*old.pop("extensions"), "mine"])
    assert new == old
    assert comments(after) == comments(before)


def comments(text):
    return [line.partition("#")[2] for line in text.splitlines() if "#" in line]


def test_one_that_is_there_already_is_not_added_again():
    assert with_extension('extensions = ["mine"]', "mine") == 'extensions = ["mine"]'


def test_what_is_no_list_is_refused():
    with pytest.raises(ConfigError, match="no list"):
        with_extension('extensions = "a"\n', "mine")
