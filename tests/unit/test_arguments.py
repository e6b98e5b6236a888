"""Arguments of commands: what a declaration takes, how it is shown, and what is said about mistakes."""

import dataclasses
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from time import thread_time
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr, field_validator

from zoozl.chatbot import commands, words
from zoozl.chatbot.arguments import Arguments, UsageError
from zoozl.errors import ExtensionError


@dataclass
class Book:
    date: date
    seats: Annotated[int, Field(ge=1, le=8, description="how many")] = 2
    _: dataclasses.KW_ONLY
    service: Literal["openai", "dalle"] = "openai"
    fast: bool = False
    tea: bool = True


class Picture(BaseModel):
    size: Literal["small", "large"]
    prompt: str
    service: str = Field("openai", kw_only=True, description="who paints")
    tags: list[str] = Field([], kw_only=True)


class Everything(BaseModel):
    number: float
    money: Decimal
    at: datetime
    clock: time
    how_long: timedelta
    left: list[int] = []


DAY = date(2026, 12, 24)


def parse(declared: Any, line: str) -> Any:
    return Arguments(declared, "p").parse(line)


def wrong(declared: Any, line: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse(declared, line)
    return str(caught.value)


def test_the_usage_line_shows_what_is_needed_what_is_not_and_what_there_is_to_choose():
    assert Arguments(Book, "p").usage == "DATE [SEATS] [--service openai|dalle] [--fast] [--no-tea]"
    assert Arguments(Picture, "p").usage == "small|large PROMPT... [--service TEXT] [--tags TEXT...]"
    assert Arguments(Everything, "p").usage == "NUMBER MONEY AT CLOCK HOW_LONG [LEFT...]"
    assert Arguments(Book, "p").details == ["SEATS: how many", "--service: one of openai, dalle"]


@pytest.mark.parametrize(
    ("line", "made"),
    [
        ("2026-12-24", Book(DAY)),
        ("2026-12-24 4", Book(DAY, 4)),
        ("  2026-12-24\n4  ", Book(DAY, 4)),
        ("--seats 4 2026-12-24", Book(DAY, 4)),
        ("--SEATS=4 --date=2026-12-24", Book(DAY, 4)),
        ("2026-12-24 --service DALLE --fast", Book(DAY, service="dalle", fast=True)),
        ("2026-12-24 --fast=no --no-tea", Book(DAY, tea=False)),
        ("2026-12-24 --no-fast --tea", Book(DAY)),
        ("2026-12-24 \u2014service dalle", Book(DAY, service="dalle")),
        ("2026-12-24 --service \u201cdalle\u201d", Book(DAY, service="dalle")),
        ("-- 2026-12-24", Book(DAY)),
    ],
)
def test_arguments_come_in_order_or_by_name(line, made):
    assert parse(Book, line) == made


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "DATE is missing."),
        ("tomorrow", 'DATE must be a date like 2026-12-24, not "tomorrow".'),
        ("17", 'DATE must be a date like 2026-12-24, not "17".'),
        ("2026-12-24 many", 'SEATS must be a whole number, not "many".'),
        ("2026-12-24 0", 'SEATS must be greater than or equal to 1, not "0".'),
        ("x y", 'DATE must be a date like 2026-12-24, not "x".\nSEATS must be a whole number, not "y".'),
        ("2026-12-24 3 people or so", '"people or so" is too much.'),
        ("2026-12-24 --seat 4", "There is no --seat. Did you mean --seats?"),
        ("2026-12-24 --window", "There is no --window."),
        ("2026-12-24 --service", "--service needs a value."),
        ("2026-12-24 --service --fast", "--service needs a value."),
        ("2026-12-24 --service bing", '--service must be one of openai, dalle, not "bing".'),
        ("2026-12-24 --fast=perhaps", '--fast must be yes or no, not "perhaps".'),
        ("2026-12-24 --seats 2 --seats 3", "--seats is there twice."),
        ("2026-12-24 2 --seats 3", '"2" is too much.'),
        ("2026-12-24 " + "9" * 5000, f'SEATS must be a whole number, not "{"9" * 39}…".'),
    ],
)
def test_a_mistake_is_told_in_plain_words(line, said):
    assert wrong(Book, line) == said


@pytest.mark.parametrize(
    ("line", "prompt"),
    [
        ("small a cat's eye", "a cat's eye"),
        ("small a  cat\n  on a mat", "a  cat\n  on a mat"),
        ('small "a cat"', "a cat"),
        ('small "a cat", he said', '"a cat", he said'),
        ("small --service dalle a cat", "a cat"),
        ("small a cat --service dalle", "a cat"),
        ("--service dalle small a cat", "a cat"),
        ("small a cat --service dalle on a mat", "a cat on a mat"),
        ("small git commit --amend -- file", "git commit --amend -- file"),
        ("small -- --service is an option", "--service is an option"),
        ("small 5\" disk 'x", "5\" disk 'x"),
        ("small --prompt 'a b'", "a b"),
    ],
)
def test_the_last_text_takes_the_rest_as_it_was_written(line, prompt):
    assert parse(Picture, line).prompt == prompt


def test_a_name_that_is_nearly_one_is_a_mistake_in_a_text_as_well():
    assert wrong(Picture, "small a cat --servce dalle") == "There is no --servce. Did you mean --service?"


def test_a_list_takes_many():
    assert parse(Picture, 'small a cat --tags x --tags "y z"').tags == ["x", "y z"]
    assert parse(Everything, "1 2 2026-12-24T18:00 18:00 1:00:00 1 2 3").left == [1, 2, 3]
    said = wrong(Everything, "1 2 2026-12-24T18:00 18:00 1:00:00 1 x")
    assert said == 'LEFT must be a whole number, not "x".'


@pytest.mark.parametrize(
    "written", ["2026-12-24T18:00", "2026-12-24 18:00", '"2026-12-24 18:00"', "--at 2026-12-24 18:00"]
)
def test_a_day_and_its_time_may_be_two_words(written):
    made = parse(Everything, f"1.5 2.50 {written} 9:30:00 1:30:00".replace(" 9:30", " 09:30"))
    assert (made.at, made.clock) == (datetime(2026, 12, 24, 18), time(9, 30))
    assert (made.number, made.money, made.how_long) == (1.5, Decimal("2.50"), timedelta(hours=1.5))


@pytest.mark.parametrize("number", ["nan", "-inf", "+Infinity", "1,5", ""])
def test_a_number_is_one_that_can_be_counted_with(number):
    assert wrong(Everything, f'"{number}" 1 2026-12-24T18:00 18:00 1:00:00') == (
        f'NUMBER must be a number, not "{number}".'
    )
    assert "MONEY must be a" in wrong(Everything, "1 NaN 2026-12-24T18:00 18:00 1:00:00")


def test_choices_of_an_enum_and_of_numbers():
    class Size(Enum):
        S = 1
        L = 2

    class Model(BaseModel):
        size: Size
        dice: Literal[1, 2, 3] | None = None

    assert parse(Model, "L 2") == Model(size=Size.L, dice=2)
    assert wrong(Model, "XL 4") == 'SIZE must be one of s, l, not "XL".\nDICE must be one of 1, 2, 3, not "4".'


def test_a_flag_without_a_default_is_not_set():
    class Model(BaseModel):
        loud: bool
        name: str = Field("x", alias="who")

    assert Arguments(Model, "p").usage == "[WHO...] [--loud]"
    assert parse(Model, "Ann Lee").name == "Ann Lee"
    assert parse(Model, "--loud --who Ann").loud is True
    assert parse(Model, "").loud is False


def test_the_plugins_own_validators_speak_for_themselves():
    class Model(BaseModel):
        seats: int

        @field_validator("seats")
        @classmethod
        def even(cls, value: int) -> int:
            if value % 2:
                raise ValueError("only in pairs")
            return value

    assert wrong(Model, "3") == "SEATS: only in pairs"

    @dataclass
    class Whole:
        a: int
        b: int

        def __post_init__(self):
            if self.a > self.b:
                raise ValueError("The first must be smaller.")

    assert wrong(Whole, "2 1") == "The first must be smaller."


def test_defaults_that_are_drawn_are_the_same_when_a_line_is_parsed_again():
    numbers = iter(range(10))

    class Model(BaseModel):
        n: int = Field(default_factory=lambda: next(numbers))
        day: date = Field(default=DAY, kw_only=True)

    arguments = Arguments(Model, "p")
    first = arguments.parse("")
    drawn = arguments.drawn("", first)
    assert drawn == {"n": 0}
    assert arguments.parse("", drawn) == first
    assert arguments.drawn("7", arguments.parse("7")) == {}


class Nested(BaseModel):
    names: list[str]
    count: int


class Disordered(BaseModel):
    count: int = 1
    name: str


class Secret(BaseModel):
    token: SecretStr | None = None


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        (dict, "p: arguments must be a dataclass or a pydantic model, not <class 'dict'>"),
        (Book(DAY), "must be a dataclass or a pydantic model"),
        (Nested, "p: arguments.count comes after names, a list"),
        (Disordered, "p: arguments.name is required, but count before it is not"),
        (Secret, "p: arguments.token is a secret"),
        (dataclasses.make_dataclass("Odd", [("x", "Unheard")]), "p: arguments Odd: name 'Unheard' is not defined"),
        (dataclasses.make_dataclass("Odd", [("x", object())]), "p: arguments Odd: "),
    ],
)
def test_a_declaration_that_cannot_work_is_refused_at_the_start(declared, reason):
    with pytest.raises(ExtensionError, match=reason.replace("(", r"\(")):
        Arguments(declared, "p")


@given(st.text(alphabet="ab \n\"'-=\u201c\u201d\u2014\u00ab", max_size=40))
def test_any_line_is_taken_or_refused_with_a_reason(line):
    for declared in (Picture, Book):
        try:
            said = repr(parse(declared, line))
        except UsageError as exc:
            said = str(exc)
        assert said
    found = words.split(line)
    assert all(one.start < one.end for one in found)
    assert "".join(line.split()) == "".join("".join(line[one.start : one.end].split()) for one in found)


@pytest.mark.parametrize("piece", ["x ", "--a ", "--servicf ", "\u201ca ", '"a ', "--service ", "--tags x "])
def test_a_huge_line_takes_no_long_time(piece):
    arguments = Arguments(Picture, "p")
    line = "small " + piece * (1_000_000 // len(piece))
    begun = thread_time()
    try:
        said = arguments.parse(line).size
    except UsageError as exc:
        said = str(exc)
    assert len(said) < 500
    assert thread_time() - begun < 1.0


KNOWN = commands.by_name(["/book", "/Image", "play", "/"])


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("/book 2", "/book"),
        ("!book 2", "/book"),
        ("  /BOOK", "/book"),
        ("/image\na cat", "/Image"),
        ("book 2", None),
        ("/books", None),
        ("//book", None),
        ("/", None),
        ("!", None),
        ("", None),
        ("please /book", None),
    ],
)
def test_a_command_is_the_first_word(text, command):
    assert commands.find(text, KNOWN) == command


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("/book 2", "/book 2"),
        (" !Book  2 or\n3", "/book 2 or\n3"),
        ("book 2", "/book 2"),
        ("book", "/book"),
        ("IMAGE 1", "/Image 1"),
        ("book a table", "book a table"),
        ("books 2", "books 2"),
        ("!books 2", "!books 2"),
        ("", ""),
    ],
)
def test_what_follows_a_mention_may_be_a_command(text, meant):
    assert commands.as_command(text, KNOWN, lambda _, line: not line or line.isdigit()) == meant


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/bok", ("/bok", "/book")),
        ("!boook me", ("!boook", "!book")),
        ("/cancle", ("/cancle", "/cancel")),
        ("/book", None),
        ("/cancel my order", None),
        ("/book/x is broken", None),
        ("/bok.txt", None),
        ("/elephant", None),
        ("!!!", None),
        ("bok", None),
        ("/" + "b" * 10_000, None),
    ],
)
def test_a_first_word_may_be_near_to_a_command(text, found):
    assert commands.nearest(text, KNOWN, list(KNOWN)) == found
