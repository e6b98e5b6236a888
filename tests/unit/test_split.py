"""Long texts in parts: at the nicest place, within the limit in any unit, with closed fences."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoozl.channels.render.split import split, utf8, utf16

FENCE = re.compile(r"^ {0,3}(```|~~~)", re.MULTILINE)


def test_a_short_text_is_one_part():
    assert split("short", 40) == ["short"]
    assert split("", 40) == []


def test_a_limit_without_room_is_refused():
    with pytest.raises(ValueError, match="32 or more"):
        split("text", 31)


def test_it_is_cut_between_paragraphs_then_lines_then_words():
    assert split("one two three four\n\nfive six seven eight", 32) == ["one two three four", "five six seven eight"]
    assert split("one two three four\nfive six seven eight", 32) == ["one two three four", "five six seven eight"]
    assert split("one two three four five six seven eight", 32) == ["one two three four five six", "seven eight"]
    assert split("x" * 70, 32) == ["x" * 32, "x" * 32, "x" * 6]


def test_a_fence_that_is_cut_is_closed_and_opened_again_with_its_language():
    code = "\n".join(f"x = {n}" for n in range(12))
    parts = split(f"Look:\n\n```python\n{code}\n```\n\nThat is it.", 60)
    assert parts[0].startswith("Look:\n\n```python\nx = 0\n")
    assert all(part.endswith("\n```") for part in parts[:-1])
    assert all(part.startswith("```python\n") for part in parts[1:-1])
    assert all(len(part) <= 60 for part in parts)
    lines = [line for part in parts for line in part.split("\n") if line.startswith("x =")]
    assert lines == code.split("\n")
    assert parts[-1].endswith("That is it.")


def test_the_indentation_of_code_stays():
    parts = split("```\n" + "    indented\n" * 10 + "```", 64)
    assert all(line in ("```", "    indented") for part in parts for line in part.split("\n"))


def test_a_fence_of_another_kind_does_not_close_it():
    parts = split("~~~~\n" + "```\n" * 20 + "~~~~\nend", 48)
    assert all(part.startswith("~~~~\n") for part in parts)
    assert all(part.count("~~~~") == 2 for part in parts)


@pytest.mark.parametrize("letter", ["e\u0301", "👩\u200d👩\u200d👧", "👍🏽"])
def test_what_is_one_letter_to_a_reader_is_not_cut(letter):
    parts = split(letter * 40, 33)
    assert "".join(parts) == letter * 40
    assert all(part.startswith(letter) for part in parts)


def test_what_must_stay_whole_is_not_cut():
    link = "<https://example.com/a|a label with words>"
    parts = split(" ".join([link] * 10), 60, whole=re.compile("<[^>]*>"))
    assert parts == [link] * 10


def test_limits_count_in_their_own_unit():
    assert max(map(utf8, split("é" * 100, 40, utf8))) == 40
    assert max(map(utf16, split("😀" * 100, 40, utf16))) == 40
    assert utf8("é\ud800") == 5
    assert utf16("a😀") == 3


def test_a_long_text_is_cut_in_no_time():
    assert len(split("word " * 200_000, 4000)) == 250


pieces = st.sampled_from(
    ["a", "bb ", " ", "`", "```", "~~~", "```py\n", "\n", "\n\n", "é", "e\u0301", "😀", "\u200d", "<x y>"]
)


@settings(max_examples=400, deadline=None, database=None)
@given(st.lists(pieces, max_size=120).map("".join), st.integers(32, 90), st.sampled_from([len, utf8, utf16]))
def test_no_part_is_too_long_and_no_word_is_lost(text, limit, size):
    parts = split(text, limit, size, whole=re.compile("<[^>]*>"))
    assert all(size(part) <= limit for part in parts)
    assert all(part.strip() for part in parts)
    kept = [char for char in "".join(parts) if char in "abxé😀"]
    if "```" not in text and "~~~" not in text:
        assert kept == [char for char in text if char in "abxé😀"]
    else:
        # What is said after a fence's marker may be repeated.
        assert len(kept) >= len([char for char in text if char in "abxé😀"]) or len(parts) > 1
