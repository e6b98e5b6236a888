"""Who may talk, who has which role, and that mistakes shut out."""

import pytest
from pydantic import ValidationError

from zoozl.channels.access import REFUSED_AGAIN, Access, AccessOptions

ANNA = ("u1", "Anna", "anna@example.com")
BERT = ("u2", "bert")
OPS = ("c1", "ops-night")


def access(**options):
    return Access(AccessOptions(**options))


def test_without_lists_everybody_may_talk():
    assert access().admits(ANNA, None)
    assert access().admits(BERT, OPS)


def test_nobody_without_any_name_may_talk():
    assert not access().admits((), None)
    assert not access().admits(("",), OPS)


@pytest.mark.parametrize("pattern", ["u1", "anna", "@anna", "ANNA", "*@example.com", "an?a", "*"])
def test_closed_lets_in_by_id_name_or_address(pattern):
    closed = access(access="closed", allow=[pattern])
    assert closed.admits(ANNA, None)
    assert closed.admits(ANNA, OPS)
    assert closed.admits(BERT, None) is (pattern == "*")


@pytest.mark.parametrize("pattern", ["ann", "nna", "u", "u1?", "[a]nna", "a[n]na", "anna@example"])
def test_a_pattern_means_the_whole_name_and_brackets_mean_themselves(pattern):
    assert not access(access="closed", allow=[pattern]).admits(ANNA, None)


def test_deny_goes_before_allow():
    assert not access(access="closed", allow=["*"], deny=["anna"]).admits(ANNA, None)
    assert not access(access="open", deny=["*@example.com"]).admits(ANNA, OPS)
    assert access(access="open", deny=["anna"]).admits(BERT, None)


def test_rooms_are_named_with_or_without_their_sign():
    for name in ("c1", "ops-*", "~ops-night", "#OPS-night"):
        rooms = access(access="closed", allow_rooms=[name])
        assert rooms.admits(BERT, OPS)
        assert not rooms.admits(BERT, ("c2", "town"))


def test_allowed_rooms_alone_do_not_open_direct_messages():
    assert not access(access="closed", allow_rooms=["*"]).admits(ANNA, None)
    assert access(access="closed", allow_rooms=["ops-*"], allow=["anna"]).admits(ANNA, None)


def test_people_and_rooms_must_both_be_allowed():
    both = access(access="closed", allow_rooms=["ops-*"], allow=["anna"])
    assert both.admits(ANNA, OPS)
    assert not both.admits(BERT, OPS)
    assert not both.admits(ANNA, ("c2", "town"))


def test_a_denied_room_is_denied_to_all_and_direct_messages_are_not():
    rooms = access(access="open", deny_rooms=["ops-*"])
    assert not rooms.admits(ANNA, OPS)
    assert rooms.admits(ANNA, None)


@pytest.mark.parametrize(
    "options",
    [
        {"allow": ["anna"]},
        {"deny": ["anna"]},
        {"allow_rooms": ["ops"]},
        {"access": "open", "allow": ["anna"]},
        {"access": "closed"},
        {"access": "closed", "deny": ["anna"]},
        {"access": "close", "allow": ["anna"]},
        {"access": "closed", "allow": [""]},
        {"access": "closed", "allow": ["@"]},
        {"access": "closed", "allow": ["anna, bert"]},
        {"access": "closed", "allow": [" anna"]},
        {"access": "closed", "allow": ["!anna"]},
        {"access": "closed", "allow": "anna"},
        {"access": "closed", "allow": [17]},
        {"access": "closed", "alow": ["anna"]},
        {"roles": {"admin": "anna"}},
        {"strangers": "maybe"},
        {"refusal": ""},
    ],
)
def test_a_mistake_is_an_error_and_lets_nobody_in(options):
    with pytest.raises(ValidationError):
        AccessOptions(**options)


def test_roles_come_from_the_lists():
    roles = access(roles={"admin": ["u1"], "staff": ["*@example.com", "bert"], "none": []})
    assert roles.roles(ANNA) == {"admin", "staff"}
    assert roles.roles(BERT) == {"staff"}
    assert roles.roles(()) == frozenset()


def test_a_stranger_is_refused_in_words_once_an_hour():
    polite = access(refusal="No.")
    assert polite.refusal("u1", 0) == "No."
    assert polite.refusal("u1", REFUSED_AGAIN - 1) == ""
    assert polite.refusal("u2", 10) == "No."
    assert polite.refusal("u1", REFUSED_AGAIN) == "No."
    assert access(strangers="ignore").refusal("u1", 0) == ""
