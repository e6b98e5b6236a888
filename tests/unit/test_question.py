"""Which answer a message is to a question."""

import json
from dataclasses import asdict

import pytest

from zoozl.chatbot.question import Choice, Form, Kind, Question, to_choices, understand

FOOD = Question("1a", "What do you eat?", Kind.CHOICE, to_choices(["Vegan", "Gluten-free", "Fish and chips", "Żurek"]))
SURE = Question("1b", "Are you sure?", Kind.CONFIRM)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2", "Gluten-free"),
        (" 2. ", "Gluten-free"),
        ("#2)", "Gluten-free"),
        ("gluten-free", "Gluten-free"),
        ("GLUTEN-FREE!", "Gluten-free"),
        ("glutenfree", "Gluten-free"),
        ("fish", "Fish and chips"),
        ("Fish an chips", "Fish and chips"),
        ("zurek", "Żurek"),
        ("5", None),
        ("0", None),
        ("", None),
        ("pizza", None),
        ("i would like something else please", None),
    ],
)
def test_a_choice_is_meant_by_number_label_beginning_or_near_spelling(text, value):
    assert understand(FOOD, text) == value


def test_a_number_that_is_a_label_means_that_label():
    rooms = Question("1", "Which room?", Kind.CHOICE, to_choices(["3", "2", "1"]))
    assert understand(rooms, "1") == "1"


@pytest.mark.parametrize(
    ("text", "value"),
    [("fsih", "fish"), ("fihs", "fish"), ("ifhs", None), ("A12", "A12"), ("A21", None), ("tae", "tea")],
)
def test_two_letters_may_have_changed_places_but_not_two_digits(text, value):
    assert understand(Question("1", "?", Kind.CHOICE, to_choices(["fish", "A12", "tea"])), text) == value


def test_what_could_be_two_choices_is_neither():
    question = Question("1", "?", Kind.CHOICE, to_choices(["red wine", "red beer"]))
    assert understand(question, "red") is None


def test_a_literal_choice_is_taken_exactly():
    question = Question("1", "?", Kind.CHOICE, to_choices(["cancel it", "keep it"]), literal=True)
    assert understand(question, "cancel") is None
    assert understand(question, "cancel it") == "cancel it"


@pytest.mark.parametrize(
    ("text", "value"), [("Yes", "yes"), ("ok.", "yes"), ("👍", "yes"), ("nope", "no"), ("maybe", None)]
)
def test_a_confirmation_knows_many_words(text, value):
    assert understand(SURE, text) == value


def test_everything_answers_a_free_question():
    assert understand(Question("1", "Your name?"), " Anna ") == " Anna "


def test_choices_are_numbered_where_there_are_no_buttons():
    assert FOOD.text == "What do you eat?\n\n1. Vegan\n2. Gluten-free\n3. Fish and chips\n4. Żurek"
    assert SURE.text == "Are you sure? (yes/no)"


def test_a_question_survives_json():
    form = Form().text("name", "Your name").select("size", "Size", {"s": "Small"}).password("pin", "PIN")
    for question in (
        FOOD,
        SURE,
        Question("2", "Who?", Kind.FORM, fields=tuple(form.fields), deadline=1.5, talker="anna"),
    ):
        assert Question.load(json.loads(json.dumps(question.dump()))) == question


@pytest.mark.parametrize("wrong", [[], ["a", "a"], [("a", 1)], {"a": None}])
def test_unusable_choices_are_refused(wrong):
    with pytest.raises(ValueError, match="choices"):
        to_choices(wrong)


def test_choices_may_have_values_of_their_own():
    assert to_choices([("s", "Small")]) == to_choices({"s": "Small"}) == (Choice("s", "Small"),)


def test_a_form_has_each_field_once():
    with pytest.raises(ValueError, match="two fields"):
        Form().text("a", "A").number("a", "B")


def test_a_question_is_packed_with_every_field():
    fields = tuple(Form().select("size", "Size?", ["s", "m"]).password("token", "Token?").fields)
    asked = Question("a1", "Well?", Kind.FORM, to_choices({"x": "an x"}), fields, 5.5, True, True, "anna")
    assert json.loads(json.dumps(asked.dump())) == json.loads(json.dumps(asdict(asked)))
    assert Question.load(json.loads(json.dumps(asked.dump()))) == asked
