"""The conformance suite finds what is wrong with a channel, and what is wrong with a driver."""

import importlib
import inspect
import sys
from pathlib import Path

import pytest

from zoozl.testing.conformance import Capability, Conformance, Driver, capability, suite

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pager(monkeypatch):
    """The driver of the example."""
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "examples" / "own_channel"))
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "fakes"))
    yield importlib.import_module("test_pager").PagerDriver
    for name in ("pager", "test_pager", "broken_pagers"):
        sys.modules.pop(name, None)


FAULTS = {
    "Forgetful": "test_what_is_delivered_again_is_answered_once",
    "Hasty": "test_what_is_not_stored_yet_is_not_acknowledged",
    "Careless": "test_what_cannot_be_stored_is_refused_for_now_and_answered_when_it_comes_again",
    "Rekeyed": "test_an_answer_whose_receipt_was_lost_is_shown_once",
    "Repeating": "test_an_answer_that_meets_a_fault_in_the_middle_goes_on_there",
    "Skipping": "test_an_answer_that_meets_a_fault_in_the_middle_goes_on_there",
    "Sketchy": "test_an_answer_that_is_written_piece_by_piece_is_one_in_the_end",
    "Careful": "test_a_form_is_answered_in_words_one_field_after_the_other",
    "Trusting": "test_what_is_forged_moves_nothing_and_what_is_real_does",
    "Crashing": "test_what_makes_no_sense_is_passed_over_and_the_next_message_is_answered",
    "Impatient": "test_who_is_asked_to_slow_down_waits_and_keeps_the_order",
    "Stammering": "test_answers_come_in_the_order_of_the_messages",
    "Disorderly": "test_answers_come_in_the_order_of_the_messages",
    "Endless": "test_a_long_answer_comes_in_order_with_code_blocks_whole_in_each_part",
    "Talkative": "test_no_secret_is_logged_at_any_level",
    "Confused": "test_a_message_is_answered_to_whom_it_is_from",
}


@pytest.mark.parametrize(("fault", "test"), FAULTS.items())
def test_a_fault_of_a_channel_is_found(pager, fault, test, request):
    class Broken(pager):
        def options(self):
            return {**super().options(), "type": f"broken_pagers:{fault}"}

    proof = getattr(Conformance(), test)
    logs = {"caplog": request.getfixturevalue("caplog")} if "caplog" in inspect.signature(proof).parameters else {}
    proof(driver=pager(), **logs)
    with pytest.raises(AssertionError):
        proof(driver=Broken(), **logs)


def declared(driver):
    Conformance().test_the_driver_says_of_every_capability_whether_it_is_there(driver())


def test_a_driver_says_of_every_capability_whether_it_is_there(pager):
    declared(pager)
    for changes in (
        {"absent": {**pager.absent, Capability.PACE: "It is so."}},
        {"absent": {name: why for name, why in pager.absent.items() if name is not Capability.EDIT}},
        {"absent": {**pager.absent, Capability.EDIT: ""}},
        {"absent": {**pager.absent, Capability.ORDER: "It is so."}},
        {"notes": {Capability.EDIT: "It is so."}},
        {"slow_down": Driver.slow_down},
        {"text_limit": None},
        {"absent": {**pager.absent, Capability.MIDDLE: "It is so."}},
        {"absent": {**pager.absent, Capability.FORM_WORDS: "It is so."}},
    ):
        with pytest.raises(AssertionError):
            declared(type("Changed", (pager,), changes))


def test_what_is_absent_and_there_is_found(pager):
    there = (Capability.DUPLICATE, Capability.DURABLE, Capability.SPLIT, Capability.REFUSE)

    class Modest(pager):
        absent = {**pager.absent, **dict.fromkeys(there, "It is so.")}

    with pytest.raises(AssertionError, match="is answered once"):
        Conformance().test_what_is_delivered_again_is_answered_once(driver=Modest())
    with pytest.raises(AssertionError, match="before it is stored"):
        Conformance().test_what_is_not_stored_yet_is_not_acknowledged(driver=Modest())
    with pytest.raises(AssertionError, match="comes in"):
        Conformance().test_an_answer_is_split_only_where_it_must_be(driver=Modest())
    with pytest.raises(AssertionError, match="are refused"):
        Conformance().test_what_there_is_no_room_for_is_refused_for_now(driver=Modest())


@pytest.mark.parametrize(
    ("fault", "test", "seen"),
    [
        ("Sketchy", "test_an_answer_grows_at_its_place_and_ends_as_one", "is shown of an answer before its end"),
        ("Pretending", "test_a_form_is_shown_and_what_is_filled_in_arrives_as_it_is_meant", "asked for as a whole"),
    ],
)
def test_what_is_absent_and_seen_is_found(pager, fault, test, seen):
    class Changed(pager):
        def options(self):
            return {**super().options(), "type": f"broken_pagers:{fault}"}

    with pytest.raises(AssertionError, match=seen):
        getattr(Conformance(), test)(driver=Changed())


@pytest.mark.parametrize("secrets", [(), ("another",)])
def test_secrets_of_a_driver_are_those_of_the_options(pager, secrets, caplog):
    changed = type("Changed", (pager,), {"secrets": secrets})
    with pytest.raises(AssertionError, match="in the options"):
        Conformance().test_no_secret_is_logged_at_any_level(driver=changed(), caplog=caplog)
    more = type("More", (pager,), {"secrets": (*pager.secrets, "another")})
    with pytest.raises(AssertionError, match="no SecretStr"):
        Conformance().test_no_secret_is_logged_at_any_level(driver=more(), caplog=caplog)


def test_what_is_absent_is_skipped_with_its_reason(pager):
    with pytest.raises(pytest.skip.Exception, match="^no: What was sent from a pager stays as it is.$"):
        Conformance().test_an_edited_message_is_not_answered_again(driver=pager())


@pytest.mark.parametrize("row", Capability, ids=lambda row: row.name)
def test_every_capability_is_proved_by_a_test(row):
    assert suite.tests_of(row)
    assert getattr(Driver, capability.METHODS.get(row, "deliver"))
