"""By the letter: what is a cancel and what is not."""

import pytest

from zoozl.chatbot.cancel import is_literal, normalize


@pytest.mark.parametrize(
    "text",
    [
        "cancel",
        "CANCEL!",
        " stop. ",
        "/cancel",
        "/CANCEL",
        "Never mind…",
        "forget it",
        "that\u2019s enough",
        "Please stop",
    ],
)
def test_short_phrases_cancel(text):
    assert is_literal(text)


@pytest.mark.parametrize(
    "text", ["", "cancel my order", "/stop", "/cancel_17", "stop the music", "no", "can cel", "cancel " * 100]
)
def test_other_messages_do_not(text):
    assert not is_literal(text)


def test_texts_are_compared_without_case_punctuation_and_width():
    assert normalize("  Ｐｌａｙ, Games!! ") == "play games"
