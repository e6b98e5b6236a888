"""What is personal in a recorded conversation has stand-ins."""

import re
from dataclasses import dataclass

import pytest

from zoozl.testing.masks import Masks
from zoozl.testing.recording import write
from zoozl.testing.transcript import Heard, Later, Said, parse


@pytest.mark.parametrize(
    ("text", "secret", "kind"),
    [
        ("write to Maria.Huber+x@mail.example.com please", "Huber", "email"),
        ("call +49 (170) 123-4567", "123-4567", "phone"),
        ("call 0170 1234567", "1234567", "phone"),
        ("order 48151623", "48151623", "number"),
        ("card 4111 1111 1111 1111 ok", "4111", "number"),
        ("my key is sk-proj-abcDEF123456789", "abcDEF", "token"),
        ("xoxb-7306215-zyxwvutsrq", "zyxwvutsrq", "token"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.c2ln", "c2ln", "token"),
        ("take 9f86d081884c7d659a2feaa0c55ad015", "9f86", "token"),
        ("DE89 3704 0044 0532 0130 00", "3704", "iban"),
    ],
)
def test_what_can_be_told_by_its_form_is_replaced(text, secret, kind):
    masks = Masks()
    masked = masks.said(text)
    assert secret not in masked
    assert masks.counts == {kind: 1}
    assert masks.said(text) == masked, "the same thing has the same stand-in"


@pytest.mark.parametrize(
    "text",
    [
        "on 2026-11-21 10:00",
        "on 21.11.2026",
        "2 fish at 18:30",
        "room 1234",
        "3.50 euros",
        "a-very-long-word-with-hyphens",
    ],
)
def test_dates_and_small_numbers_stay(text):
    masks = Masks()
    assert masks.said(text) == text
    assert masks.summary() == "nothing"


def test_numbers_keep_their_form_and_different_ones_differ():
    masks = Masks()
    first, second = masks.said("12345678"), masks.said("87654321")
    assert re.fullmatch(r"1\d{7}", first)
    assert re.fullmatch(r"1\d{7}", second)
    assert first != second


def test_what_the_bot_repeats_is_the_stand_in_and_what_only_it_knew_is_a_pattern():
    masks = Masks()
    mail = masks.said("me@home.example")
    assert masks.answered("Sent to me@home.example (soon).") == (f"Sent to {mail} (soon).", False)
    text, pattern = masks.answered("Order 48151623 (soon).\n\nThanks")
    assert pattern
    assert re.fullmatch(text, "Order 99 (soon).\nThanks")
    assert not re.fullmatch(text, "Order 99 soon.\nThanks")


@dataclass
class Line:
    talker: str
    from_bot: bool
    text: str
    at: float = 0.0
    author: str = ""
    files: tuple[str, ...] = ()
    room: str = ""
    thread: str = ""


def test_talkers_have_other_names_everywhere():
    lines = [
        Line("U77", False, "ask Bob Miller", author="Eve Adams", room="C1"),
        Line("U77", True, "Hello Eve, asking Bob", room="C1"),
        Line("U78", False, "yes, Eve?", author="Bob Miller", room="C1", at=700),
    ]
    masks = Masks()
    text = write(lines, masks)
    assert not re.search("Eve|Bob|Miller|U77|U78|C1", text)
    said, answered, later, second = parse(text)
    assert said == Said(said.line, "anna", "ask Bert", "room1")
    assert answered == Heard(answered.line, "Hello .+, asking .+", pattern=True)
    assert later == Later(later.line, 660)
    assert second == Said(second.line, "bert", "yes, Anna?", "room1")


def test_answers_to_what_is_left_out_are_left_out():
    lines = [Line("a", True, "answer"), Line("a", False, "question"), Line("a", True, "yes")]
    text = write(lines, Masks(), cut=True)
    assert [step.text for step in parse(text)] == ["question", "yes"]
