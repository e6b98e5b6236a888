"""Forms: as the platform shows them, or asked one by one in words."""

from __future__ import annotations

from datetime import date

from zoozl.testing.conformance.capability import Capability
from zoozl.testing.conformance.desk import Table
from zoozl.testing.conformance.driver import ANNA, BERT, ROOM, Blank, Driver, Filled, Heard, Sheet
from zoozl.testing.conformance.proof import proves
from zoozl.testing.conformance.talk import Talk, talking

NAME, PEOPLE, DAY, PLACE, DOG, WISH = (
    "Your name",
    "How many people",
    "Which day",
    "Where",
    "With a dog",
    "Anything else",
)
FILLED: Filled = {NAME: "Anna", PEOPLE: 3, DAY: date(2026, 12, 24), PLACE: "Outside", DOG: True}
BOOKED = "booked: name={!r}, people=3, day='2026-12-24', place='out', dog='yes', wish=''"
NO_NUMBER = "this must be a number"
TOO_MANY = "that is too many"
# What is asked, as far as it is looked at, and what is said to that.
IN_WORDS = (
    (NAME, "Anna"),
    (PEOPLE, "many"),
    (NO_NUMBER, "9"),
    (TOO_MANY, "3"),
    (DAY, "2026-12-24"),
    (PLACE, "2"),
    (DOG, "yes"),
    (WISH, "-"),
)


async def opened(talk: Talk, heard: Heard) -> Sheet:
    """The form of a message, opened by whom it is for."""
    sheet = await talk.driver.open_form(heard, ANNA)
    assert sheet is not None, f"the form of {heard.text!r} does not open"
    return sheet


async def sent_back(talk: Talk, sheet: Sheet, filled: Filled, reason: str) -> Sheet:
    """Send a form in which the number of people is wrong; the form that is open then, or was asked again."""
    before = len(talk.driver.heard())
    told = await talk.driver.fill_in(sheet, ANNA, filled)
    if told:
        assert list(told) == [PEOPLE]
        assert reason in told[PEOPLE]
        return sheet
    asked = (await talk.hears(before + 1))[before]
    assert reason in asked.text
    sheet = await opened(talk, asked)
    (name,) = [blank.filled for blank in sheet.blanks if blank.label == NAME]
    assert name == filled[NAME], "what was filled in is there when it is asked again"
    return sheet


class Forms:
    """Tests of the suite."""

    @proves(Capability.FORM_WORDS)
    async def test_a_form_is_answered_in_words_one_field_after_the_other(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            await talk.say("book a table")
            for number, (asked, said) in enumerate(IN_WORDS):
                # Where there is a form, the first answer is one to its title.
                wanted = asked if number or Capability.FORMS in driver.absent else Table.title
                await talk.until(lambda: driver.heard() and wanted in driver.heard()[-1].text, f"{wanted!r}")  # noqa: B023
                await talk.say(said)
            booked = [text for text in await talk.all() if "booked" in text]
            assert booked == [BOOKED.format("Anna")]

    @proves(Capability.FORMS)
    async def test_a_form_is_shown_and_what_is_filled_in_arrives_as_it_is_meant(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            await talk.say("book a table")
            (asked,) = await talk.hears(1)
            assert Table.title in asked.text
            sheet = await opened(talk, asked)
            assert sheet.title == Table.title
            assert sheet.blanks == (
                Blank(NAME),
                Blank(PEOPLE, filled="2"),
                Blank(DAY),
                Blank(PLACE, ("Inside", "Outside")),
                Blank(DOG),
                Blank(WISH),
            )
            assert not await driver.fill_in(sheet, ANNA, FILLED)
            assert (await talk.texts(2))[1] == BOOKED.format("Anna")
            await driver.fill_in(sheet, ANNA, FILLED)
            await driver.fill_in(sheet, ANNA, {**FILLED, NAME: "Annie"})
            booked = [text for text in await talk.all() if "booked" in text]
            assert booked == [BOOKED.format("Anna")]

    @proves(Capability.FORMS)
    async def test_what_is_wrong_in_a_form_is_told_and_it_can_be_mended(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            await talk.say("book a table")
            (asked,) = await talk.hears(1)
            sheet = await opened(talk, asked)
            sheet = await sent_back(talk, sheet, {**FILLED, PEOPLE: "many"}, NO_NUMBER)
            sheet = await sent_back(talk, sheet, {**FILLED, PEOPLE: 9}, TOO_MANY)
            assert not await driver.fill_in(sheet, ANNA, FILLED)
            booked = [text for text in await talk.all() if "booked" in text]
            assert booked == [BOOKED.format("Anna")]

    @proves(Capability.FORMS)
    async def test_only_who_was_asked_can_open_a_form_and_fill_it_in(self, driver: Driver) -> None:
        place = "" if Capability.ROOMS in driver.absent else ROOM
        async with talking(driver) as talk:
            await talk.say("book a table", room=place)
            (asked,) = await talk.hears(1)
            assert await driver.open_form(asked, BERT) is None
            sheet = await opened(talk, asked)
            await driver.fill_in(sheet, BERT, {**FILLED, NAME: "Bert"})
            await talk.all(BERT)
            assert not await driver.fill_in(sheet, ANNA, FILLED)
            await talk.until(lambda: any("booked" in one.text for one in driver.heard()), "what was filled in")
            await talk.all()
            (booked,) = [one for one in driver.heard() if "booked" in one.text]
            assert booked.text == BOOKED.format("Anna")
            assert (booked.room, booked.thread) == (asked.room, asked.thread)
