"""Scripts without spaces, or with vowel signs, are compared and masked as carefully as Latin ones."""

import numpy as np
import pytest

from zoozl.chatbot.background import sentences
from zoozl.chatbot.cancel import normalize
from zoozl.chatbot.lexical import fold, one_slip
from zoozl.chatbot.scorer import build
from zoozl.chatbot.unrouted import masked


@pytest.mark.parametrize(("typed", "meant"), [("我想退机票", "我想买机票"), ("我要取款业务", "我要存款业务")])
def test_another_chinese_character_is_no_typing_error(typed, meant):
    assert not one_slip(typed, meant)
    scorer = build([meant, "预订酒店房间"], [0, 1], None, sentences(), None)
    assert scorer.literal(typed) is None
    assert scorer.literal(f"{meant}！").score == 1


def test_a_slip_in_cyrillic_is_still_forgiven():
    assert one_slip("заказать пицу", "заказать пиццу")


@pytest.mark.parametrize(("one", "other"), [("काल", "कील"), ("กิน", "กัน"), ("パス", "バス"), ("ぎん", "きん")])
def test_words_that_differ_in_a_sign_are_different_by_the_letter(one, other):
    assert fold(one) != fold(other)
    assert normalize(one) != normalize(other)
    scorer = build([one, "something else"], [0, 1], None, sentences(), None)
    assert scorer.literal(other) is None
    assert scorer.literal(f"{one}!").score == 1


def test_a_word_with_vowel_signs_stays_one_word():
    assert fold("आप कैसे हैं?").count(" ") == 2
    assert normalize("आप कैसे हैं?") == "आप कैसे हैं"


def test_the_look_of_an_emoji_is_no_part_of_a_word():
    assert fold("hello❤️") == fold("hello ❤") == "hello"
    assert normalize("hello❤️") == "hello"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("请看https://example.com/u?tok=secret", "请看…"),
        ("密码是abcdefgh1jkl谢谢", "密码是…谢谢"),
        ("3月5号我要去北京出差预订机票", "3月5号我要去北京出差预订机票"),
        ("请问你们公司的客服电话是多少" * 4, "请问你们公司的客服电话是多少" * 4),
        ("电话13812345678谢谢", "电话…谢谢"),
    ],
)
def test_chinese_is_masked_where_it_tells_who_wrote_and_kept_elsewhere(text, kept):
    assert masked(text) == kept


def unit(rng, count):
    found = rng.normal(size=(count, 32)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_a_table_that_was_changed_a_hundred_times_scores_like_a_new_one():
    rng, strangers = np.random.default_rng(0), sentences()
    strange, vectors = unit(rng, len(strangers)), unit(rng, 60)
    aliases, owners = [f"alias number {i} w{i}" for i in range(60)], [i // 5 for i in range(60)]
    new = build(aliases, owners, vectors, strangers, strange)
    changed = new
    for _ in range(100):
        changed = build(aliases[:-5], owners[:-5], vectors[:-5], strangers, strange, before=changed)
        changed = build(aliases, owners, vectors, strangers, strange, before=changed)
    assert changed.likeness.share == new.likeness.share
    np.testing.assert_allclose(changed.model.weights, new.model.weights, atol=5e-3)


def test_an_emoji_is_not_every_emoji_for_a_model_that_reads_none():
    rng, strangers = np.random.default_rng(0), sentences()
    strange, vectors = unit(rng, len(strangers)), unit(rng, 2)
    scorer = build(["👍", "what is the weather"], [0, 1], vectors, strangers, strange, latin_only=True)
    # The bundled model has the same vector for all of them.
    for text in ("👎", "🍕", "\u200b", "!!!"):
        assert not scorer.best(text, vectors[0]).accepted, text
    assert scorer.best("👍🏽", vectors[0]).plugin == 0
