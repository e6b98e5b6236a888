"""Letters: what is alike whatever the script, the accents and the typing."""

import numpy as np
import pytest

from zoozl.chatbot.lexical import Lexicon, fold, letters_of, one_slip


def similar(message, *texts):
    return Lexicon.of([letters_of(text) for text in texts]).similar(letters_of(message))


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("  Apmaksāt   RĒĶINU! ", "apmaksat rekinu"),
        ("Straße", "strasse"),
        ("I can\u2019t log-in", "i cant log in"),
        ("Ｐｌａｙ", "play"),
        ("取消我的订单。", "取消我的订单"),
        ("🙂 👍", "🙂 👍"),
        ("rain 🌧", "rain"),
        ("", ""),
    ],
)
def test_texts_are_folded(text, folded):
    assert fold(text) == folded


def test_a_text_is_like_itself_and_unlike_what_shares_no_letters():
    values = similar("pay the wages", "pay the wages", "zoo")
    assert values[0] == pytest.approx(1, abs=1e-5)
    assert values[1] == 0


def test_the_order_of_words_does_not_matter_and_the_rest_of_the_table_neither():
    alone, among = similar("wages pay", "pay wages"), similar("wages pay", "pay wages", "pay", "wages", "games")
    assert alone[0] == pytest.approx(1, abs=1e-5)
    assert among[0] == alone[0]


@pytest.mark.parametrize(
    ("message", "near", "far"),
    [
        ("whta is teh wether", "what is the weather", "who is the mayor"),
        ("apmaksat rekinus", "apmaksāt rēķinu", "pieteikt vizīti"),
        ("Rechnungen bezahlen", "Rechnung bezahlen", "Termin absagen"),
        ("我想取消订单", "取消我的订单", "我要退款"),
        ("оплати счета", "оплатить счёт", "записаться к врачу"),
        ("🎲", "🎲 🎲", "🌧"),
    ],
)
def test_inflections_slips_and_missing_accents_stay_near(message, near, far):
    values = similar(message, near, far)
    assert values[0] > 1.3 * values[1]


@pytest.mark.parametrize("text", ["", "  ", "\ud83d", "\n", "a", "票", "word " * 500, "x" * 100_000])
def test_any_text_can_be_compared(text):
    values = similar(text, "pay the wages", "a", "票")
    assert values.shape == (3,)
    assert np.isfinite(values).all()


def test_an_empty_table_is_like_nothing():
    assert similar("hello").shape == (0,)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("pay the wagse", "pay the wages"),
        ("pay the wags", "pay the wages"),
        ("pay the waages", "pay the wages"),
        ("calendr", "calendar"),
        ("calendar", "calendar"),
        ("pay the mages", "pay the wages"),
    ],
)
def test_one_slip_is_forgiven(typed, meant):
    assert one_slip(typed, meant)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("gate number 12347", "gate number 12345"),
        ("stop", "shop"),
        ("turn on the light", "turn of the light"),
        ("pay the wgaess", "pay the wages"),
        ("pay the wages now", "pay the wages"),
        ("", "pay"),
    ],
)
def test_what_may_be_meant_as_it_stands_is_no_slip(typed, meant):
    assert not one_slip(typed, meant)
