"""The .chat format: what is read, what is refused, and that what is written reads back."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoozl.testing.transcript import (
    Again,
    Arrives,
    Heard,
    Later,
    Moment,
    Restart,
    Said,
    TranscriptError,
    difference,
    fits,
    parse,
    render,
)

EXAMPLE = """\
# Ordering food
anna: /order
bot: What will it be?

  1. Soup
  2. Fish

anna: [Fish]
bot: ~ .* coming
--- 10 minutes later
bot (to bert): ...
bert @kitchen/t1: hello
bot @kitchen/t1: hello yourself
--- restart
--- again
--- carl arrives
--- 2026-11-21 10:00
anna: \\[Fish]
anna:
  two
    lines
"""


def test_every_kind_of_line_is_read():
    assert parse(EXAMPLE) == [
        Said(2, "anna", "/order"),
        Heard(3, "What will it be?\n\n1. Soup\n2. Fish".replace("\n\n", "\n")),
        Said(8, "anna", "Fish", tap=True),
        Heard(9, ".* coming", pattern=True),
        Later(10, 600.0),
        Heard(11, "", anything=True, to="bert"),
        Said(12, "bert", "hello", "kitchen", "t1"),
        Heard(13, "hello yourself", room="kitchen", thread="t1"),
        Restart(14),
        Again(15),
        Arrives(16, "carl"),
        Moment(17, datetime(2026, 11, 21, 10, tzinfo=UTC)),
        Said(18, "anna", "[Fish]"),
        Said(19, "anna", "two\n  lines"),
    ]


@pytest.mark.parametrize(
    ("words", "seconds"),
    [("an hour", 3600), ("1 second", 1), ("2.5 days", 216000), ("3 weeks", 1814400), ("a minute", 60)],
)
def test_times(words, seconds):
    assert parse(f"--- {words} later") == [Later(1, seconds)]


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("hello", 1, "is neither"),
        ("anna: a\n\nwhat is this\n", 3, "is neither"),
        ("\n  indented", 2, "is indented"),
        ("# comment\n  indented", 2, "is indented"),
        ("--- restart\n  now", 2, "is indented"),
        ("--- soon", 1, "after --- there must be"),
        ("bot: ~ (", 1, "no regular expression"),
        ("anna (to bert): hi", 1, "only the bot"),
        ("anna @a b: hi", 1, "is neither"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(text, line, why):
    with pytest.raises(TranscriptError, match=rf"^food.chat:{line}: .*{why}"):
        parse(text, "food.chat")


def test_blank_lines_and_blanks_around_lines_do_not_count_when_comparing():
    (expected,) = parse("bot: One?\n  1. Soup\n  2. Fish\n")
    assert fits(expected, "One? \n\n1. Soup\n2. Fish\n")
    assert not fits(expected, "One? 1. Soup 2. Fish")


def test_a_pattern_has_to_fit_all_of_it():
    (expected,) = parse("bot: ~ [0-9]+ .* coming")
    assert fits(expected, "3 Fish\nare coming")
    assert not fits(expected, "3 Fish coming soon")


def test_differences_of_long_texts_are_shown_by_line():
    (expected,) = parse("bot: One?\n  1. Soup\n  2. Fish\n")
    assert difference(expected, "One?\n1. Soup\n2. Cake").splitlines()[1:] == [
        "    One?",
        "    1. Soup",
        "  - 2. Fish",
        "  + 2. Cake",
    ]


names = st.sampled_from(["anna", "bert", "talker13"])
texts = (
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], include_characters="\n"), min_size=1)
    .map(lambda text: "\n".join(line.strip() for line in text.split("\n") if line.strip()))
    .filter(bool)
)
rooms = st.sampled_from([("", ""), ("kitchen", ""), ("kitchen", "t1")])
steps = st.one_of(
    st.builds(lambda who, text, where: Said(0, who, text, *where), names, texts, rooms),
    st.builds(lambda who, text: Said(0, who, text.replace("\n", " "), tap=True), names, texts),
    st.builds(lambda text, to, where: Heard(0, text, to=to, room=where[0], thread=where[1]), texts, names, rooms),
    st.just(Heard(0, "", anything=True)),
    st.just(Heard(0, "a+ b", pattern=True)),
    st.builds(lambda seconds: Later(0, float(seconds)), st.integers(1, 10**7)),
    st.just(Moment(0, datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC))),
    st.sampled_from([Restart(0), Again(0), Arrives(0, "anna")]),
)


@given(st.lists(steps, max_size=8))
def test_what_is_written_reads_back(written):
    read = [type(step)(0, *[getattr(step, name) for name in step.__slots__[1:]]) for step in parse(render(written))]
    assert read == written


def test_whatever_ends_a_line_is_written_as_a_new_one():
    (said,) = parse(render([Said(1, "anna", "one\r\ntwo\u2028three\x0bfour")]))
    assert said.text == "one\ntwo\nthree\nfour"
