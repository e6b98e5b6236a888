"""Tables of aliases: what wins, what is refused, how they grow, and the closed forms against fitting again."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from zoozl.chatbot.background import sentences
from zoozl.chatbot.lexical import letters_of
from zoozl.chatbot.neighbours import Neighbours
from zoozl.chatbot.ridge import Ridge, trust_in
from zoozl.chatbot.scorer import Thresholds, build
from zoozl.chatbot.strength import Strangers
from zoozl.errors import ConfigError
from zoozl.testing import bundled_embedder

ENGLISH = {
    "weather": ("what is the weather like", "will it rain tomorrow"),
    "wages": ("pay the wages", "send the salaries"),
    "table": ("book a table", "reserve seats for dinner"),
}
LATVIAN = {
    "laiks": ("kāds šodien ir laiks", "vai rīt līs"),
    "rēķins": ("apmaksāt rēķinu", "parādi manus rēķinus"),
    "vizīte": ("pieteikt vizīti pie ārsta", "atcelt vizīti"),
}
GERMAN = {
    "wetter": ("wie ist das Wetter heute", "wird es morgen regnen"),
    "rechnung": ("Rechnung bezahlen", "ich möchte meine Rechnung sehen"),
    "termin": ("einen Termin vereinbaren", "Termin absagen"),
}
CHINESE = {
    "天气": ("今天天气怎么样", "明天会下雨吗"),
    "订单": ("取消我的订单", "查看订单状态"),
    "退款": ("我要退款", "退款什么时候到账"),
}
RUSSIAN = {
    "погода": ("какая сегодня погода", "завтра будет дождь"),
    "счёт": ("оплатить счёт", "показать мои счета"),
    "врач": ("записаться к врачу", "отменить запись"),
}


def embed(texts):
    return bundled_embedder().embed(list(texts))


@pytest.fixture(scope="module")
def strange():
    return embed(sentences())


class Table:
    """A scorer whose plugins have names."""

    def __init__(self, plugins, strange=None, before=None, thresholds=None):
        self.names = list(plugins)
        aliases = [alias for own in plugins.values() for alias in own]
        owners = [number for number, own in enumerate(plugins.values()) for _ in own]
        self.model = strange is not None
        vectors = embed(aliases) if self.model else None
        self.scorer = build(aliases, owners, vectors, sentences(), strange, thresholds, before, latin_only=True)

    def best(self, text):
        return self.scorer.best(text, embed([text])[0] if self.model else None)

    def wins(self, text):
        """The plugin's name, None if none is near enough."""
        match = self.scorer.literal(text) or self.best(text)
        return self.names[match.plugin] if match.accepted else None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("is it going to rain tomorrow?", "weather"),
        ("please pay my salary", "wages"),
        ("reserve a table for two", "table"),
        ("my uncle collects old coins", None),
        ("who wrote war and peace", None),
        ("🙂", None),
        ("1234", None),
        ("a word about nothing " * 125, None),
        ("wages", "wages"),
    ],
)
def test_paraphrases_win_and_strangers_are_refused(strange, text, name):
    assert Table(ENGLISH, strange).wins(text) == name


@pytest.mark.parametrize("model", [True, False], ids=["with the model", "letters alone"])
@pytest.mark.parametrize(
    ("plugins", "text", "name"),
    [
        (LATVIAN, "kads rit bus laiks", "laiks"),
        (LATVIAN, "APMAKSAT REKINU", "rēķins"),
        (LATVIAN, "gribu pieteikt viziti", "vizīte"),
        (GERMAN, "wie wird das Wetter morgen", "wetter"),
        (GERMAN, "Rechnung bezalen", "rechnung"),
        (GERMAN, "ich moechte einen Termin machen", "termin"),
        (CHINESE, "明天天气如何", "天气"),
        (CHINESE, "我想取消订单", "订单"),
        (CHINESE, "什么时候退款", "退款"),
        (CHINESE, "狗很可爱", None),
        (RUSSIAN, "какая погода завтра", "погода"),
        (RUSSIAN, "оплати счет пожалуйста", "счёт"),
        (RUSSIAN, "хочу записаться к врачу", "врач"),
        (RUSSIAN, "собаки милые", None),
        (ENGLISH, "what is teh wether like", "weather"),
        (ENGLISH, "зебра", None),
    ],
)
def test_other_languages_with_and_without_the_model(strange, model, plugins, text, name):
    assert Table(plugins, strange if model else None).wins(text) == name


def test_a_table_of_two_scripts_reads_both(strange):
    both = Table({**ENGLISH, **RUSSIAN}, strange)
    assert both.wins("is it going to rain tomorrow?") == "weather"
    assert both.wins("оплати счет пожалуйста") == "счёт"


@pytest.mark.parametrize(
    "text", ["pay the wages", "  PAY the wages! ", "Páy the wages", "pay the wagse", "pay the wage"]
)
def test_alias_text_wins_by_the_letter(text):
    table = Table(ENGLISH)
    match = table.scorer.literal(text)
    assert table.names[match.plugin] == "wages"
    assert match.score >= 0.99


@pytest.mark.parametrize("text", ["", "?", "pay", "pay the wages today please", "pay the wages " * 300])
def test_what_is_not_nearly_an_alias_is_left_to_the_scores(text):
    assert Table(ENGLISH).scorer.literal(text) is None


def test_a_slip_between_two_plugins_is_left_to_the_scores():
    table = Table(
        {"on": ("lights on please",), "off": ("lights of please",), "café": ("cafe menu",), "cafe": ("café menu",)}
    )
    assert table.scorer.literal("lights onf please") is None
    assert table.scorer.literal("cafe menu") is None


@pytest.mark.parametrize("text", ["pay my wages", "salary please", "hello", ""])
def test_one_plugin_with_one_alias_is_a_table(strange, text):
    for vectors in (strange, None):
        match = Table({"wages": ("pay my wages",)}, vectors).best(text)
        assert 0 <= match.score <= 1
        assert match.accepted == (text == "pay my wages" or (text == "salary please" and vectors is not None))


def test_no_alias_at_all_is_no_match(strange):
    scorer = build([], [], np.empty((0, 384), np.float32), sentences(), strange)
    assert scorer.best("hello", embed(["hello"])[0]) is None
    assert scorer.literal("hello") is None


def test_thresholds_can_be_told_for_all_for_plugins_and_for_aliases(strange):
    text = "will it rain"
    score = Table(ENGLISH, strange).best(text).score
    assert 0.5 < score < 0.999
    assert Table(ENGLISH, strange).best(text).threshold == 0.5
    assert not Table(ENGLISH, strange, thresholds=Thresholds(0.999)).best(text).accepted
    assert Table(ENGLISH, strange, thresholds=Thresholds(0.0)).wins("my uncle collects old coins")
    assert Table(ENGLISH, strange, thresholds=Thresholds(0.999, {0: 0.4})).best(text).accepted
    assert not Table(ENGLISH, strange, thresholds=Thresholds(None, {0: 0.4}, {1: 0.999})).best(text).accepted
    assert Table(ENGLISH, strange, thresholds=Thresholds(None, {}, {0: 0.999})).best(text).accepted


def test_ranked_tells_the_plugins_in_order_with_the_alias_that_is_nearest(strange):
    table = Table(ENGLISH, strange)
    ranked = table.scorer.ranked("will it rain on Sunday", embed(["will it rain on Sunday"])[0])
    assert next(table.names[match.plugin] for match in ranked) == "weather"
    assert table.scorer.aliases[ranked[0].index] == "will it rain tomorrow"
    assert [m.score for m in ranked] == sorted((m.score for m in ranked), reverse=True)
    assert len({match.plugin for match in ranked}) == 3


def test_a_plugin_with_many_aliases_does_not_outshout_one_with_few(strange):
    many = [
        f"{verb} my flight {when}" for verb in ("cancel", "change", "move", "rebook") for when in ("", "now", "today")
    ]
    table = Table({"flights": many, "hotels": ("cancel my hotel room",)}, strange)
    assert table.wins("please cancel the hotel") == "hotels"


def test_a_plugin_of_several_subjects_is_found_by_each(strange):
    office = ("pay the wages", "order new pencils", "who is on holiday", "open the garage door", "water the plants")
    table = Table({"office": office, **{name: own for name, own in ENGLISH.items() if name != "wages"}}, strange)
    for text in ("we need pencils", "is anybody on holiday", "could you water the flowers"):
        assert table.wins(text) == "office"


def clusters(seed, plugins, each, dimension=32):
    random = np.random.default_rng(seed)
    middle = np.repeat(random.normal(size=(plugins, dimension)), each, axis=0)
    vectors = (middle + 0.7 * random.normal(size=middle.shape)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [f"alias {random.integers(1e12):x}" for _ in vectors], np.repeat(np.arange(plugins), each).tolist(), vectors


def background_of(dimension=32):
    vectors = np.random.default_rng(99).normal(size=(len(sentences()), dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("trust", [1.0, 0.4, 0.0])
def test_leave_one_out_is_what_fitting_without_the_alias_gives(trust):
    aliases, owners, vectors = clusters(1, 4, 5)
    ridge = replace(build(aliases, owners, vectors, sentences(), background_of()).model, trust=trust)
    closed, left_out = ridge.evidence(), ridge.left_out()

    def without(i, rest):
        inverse = np.linalg.inv(ridge.kernel[np.ix_(rest, rest)] + ridge.strength * np.eye(len(rest)))
        each = ridge.kernel[i, rest] @ inverse
        of_plugin = [np.array(owners)[rest] == plugin for plugin in range(4)]
        sums = np.array([(each * ridge.targets[rest])[mine].sum() for mine in of_plugin])
        single = np.array([max(each[mine].max(initial=0), 0) for mine in of_plugin])
        return trust * sums * 6 / 5 + (1 - trust) * single

    for i, owner in enumerate(owners):
        one_less = without(i, np.delete(np.arange(len(owners)), i))
        np.testing.assert_allclose(left_out[i], one_less, atol=1e-3)
        assert closed.own[i] == pytest.approx(one_less[owner], abs=1e-3)
        whole_plugin_less = without(i, np.flatnonzero(np.array(owners) != owner))
        assert closed.foreign[i] == pytest.approx(np.delete(whole_plugin_less, owner).max(), abs=1e-3)


@pytest.mark.parametrize(
    ("owners", "won", "trust"),
    [
        ([0, 0, 1, 1], [0, 0, 1, 1], 1.0),
        ([0, 0, 1, 1], [0, 1, 1, 0], 0.0),  # half are found, and as many are taken from the others
        ([0, 0, 0, 0, 1, 2], [0, 0, 0, 0, 0, 0], 0.0),  # the largest wins whatever it is
        ([0, 0, 0, 0, 1, 1], [0, 2, 2, 2, 2, 2], 1 / 3),  # one of six is found, the others by nobody
        ([0, 1, 2], [1, 2, 0], 1.0),  # no siblings that could be about something else
    ],
)
def test_trust_is_how_often_siblings_find_an_alias_beyond_luck(owners, won, trust):
    owners = np.array(owners)
    assert trust_in(owners, np.array(won), np.bincount(owners)[owners] > 1) == pytest.approx(trust)


def test_aliases_that_have_nothing_in_common_count_one_by_one():
    """As a plugin of many subjects has them: then the nearest wins, not the many that are a little alike."""
    aliases, _, vectors = clusters(7, 40, 1)
    owners = [0] * 30 + list(range(1, 11))
    scorer = build(aliases, owners, vectors, sentences(), background_of())
    assert scorer.model.trust < 0.9
    noise = np.random.default_rng(8).normal(size=(40, 32)).astype(np.float32)
    messages = vectors + 0.9 * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    messages /= np.linalg.norm(messages, axis=1, keepdims=True)
    nearest = np.array(owners)[(messages @ vectors.T).argmax(axis=1)]
    found = [scorer.best("?", message).plugin for message in messages]
    assert np.mean(np.array(found) == owners) >= np.mean(nearest == owners)


def test_a_kernel_of_the_letters_counts_by_how_much_it_varies():
    """So that an embedder whose cosines are close together does not leave all to the letters."""
    some, read = Strangers(np.eye(4) * 0.8, np.eye(4) * 0.2, np.ones(4, np.bool_)), np.ones(4, np.bool_)
    assert some.share(0.5, read) == pytest.approx(2 / 3)
    flat = replace(some, meaning=some.meaning / 8)
    assert flat.share(0.5, read) == pytest.approx(0.2)


@pytest.mark.parametrize("order", ["together", "mixed"])
def test_a_table_that_grew_or_shrank_scores_like_one_made_at_once(order):
    aliases, owners, vectors = clusters(2, 10, 8)
    if order == "mixed":
        where = np.random.default_rng(3).permutation(80)
        aliases, owners, vectors = [aliases[i] for i in where], [owners[i] for i in where], vectors[where]
    background = background_of()
    part = [i for i in range(80) if i % 9]
    few = build([aliases[i] for i in part], [owners[i] for i in part], vectors[part], sentences(), background)
    whole = build(aliases, owners, vectors, sentences(), background)
    message = clusters(4, 1, 1)[2][0]
    for first, then, which in ((few, whole, range(80)), (whole, few, part)):
        which = list(which)
        args = [aliases[i] for i in which], [owners[i] for i in which], vectors[which], sentences(), background
        changed = build(*args, before=first)
        assert changed.model.kernel is not then.model.kernel
        again = Ridge.fit(changed.model.kernel, np.array(args[1]), changed.model.strength)
        np.testing.assert_allclose(changed.model.inverse, again.inverse, atol=2e-3)
        if first.model.strength == then.model.strength and first.likeness.share == then.likeness.share:
            for a, b in zip(changed.ranked("x", message), then.ranked("x", message), strict=True):
                assert (a.plugin, a.index) == (b.plugin, b.index)
                assert a.score == pytest.approx(b.score, abs=0.01)


def test_a_large_table_answers_from_the_neighbours_as_the_whole_one_does():
    aliases, owners, vectors = clusters(5, 400, 5, 64)
    large = build(aliases, owners, vectors, sentences(), background_of(64))
    assert not isinstance(large.model, Ridge)
    messages = clusters(5, 400, 5, 64)[2][::20] + 0.05 * np.random.default_rng(6).normal(size=(100, 64))
    messages = (messages / np.linalg.norm(messages, axis=1, keepdims=True)).astype(np.float32)
    right = [large.best("?", m).plugin == owners[20 * i] for i, m in enumerate(messages)]
    assert np.mean(right) > 0.97
    small = build(aliases[:1000], owners[:1000], vectors[:1000], sentences(), background_of(64))
    assert isinstance(small.model, Ridge)


@pytest.mark.parametrize("model", [True, False], ids=["with the model", "letters alone"])
def test_neighbours_score_nearly_as_the_whole_table_does(strange, model):
    plugins = {**ENGLISH, **GERMAN, **LATVIAN, **RUSSIAN}
    scorer = Table(plugins, strange if model else None).scorer
    near = Neighbours.of(scorer.likeness, scorer.model.groups.owners, scorer.model.strength)
    texts = [
        "will it rain on Sunday",
        "send the wages please",
        "Rechnung bezalen",
        "vai šodien līs",
        "оплати счет",
        "zoo",
    ]
    rows = scorer.likeness.rows([letters_of(text) for text in texts], embed(texts) if model else None)
    np.testing.assert_allclose(near.targets, scorer.model.targets, atol=0.15)
    # The letters of neighbours are compared with each other by sketches, which are short for so few of them.
    scores, exact = near.scores(rows), scorer.model.scores(rows)
    np.testing.assert_allclose(scores, exact, atol=0.2)
    np.testing.assert_array_equal(scores.argmax(axis=1)[:-1], exact.argmax(axis=1)[:-1])


def test_the_old_table_answers_while_the_new_one_is_made_in_a_thread(strange):
    table = Table(ENGLISH, strange)
    vector = embed(["will it rain"])[0]
    before = table.scorer.ranked("will it rain", vector)
    made = []
    thread = threading.Thread(target=lambda: made.append(Table({**ENGLISH, **GERMAN}, strange, table.scorer)))
    thread.start()
    while thread.is_alive():
        assert table.scorer.ranked("will it rain", vector) == before
    thread.join()
    assert made[0].wins("Rechnung bezahlen") == "rechnung"


def test_the_background_is_about_200_sentences_and_can_be_ones_own(tmp_path):
    assert 180 <= len(sentences()) <= 220
    own = tmp_path / "own.txt"
    own.write_text("# mine\n" + "\n".join(f"teikums par {i}" for i in range(30)), "utf-8")
    assert len(sentences(own)) == 30
    own_too_short = tmp_path / "short.txt"
    own_too_short.write_text("one\ntwo\n")
    with pytest.raises(ConfigError, match="2 background sentences"):
        sentences(own_too_short)
    with pytest.raises(ConfigError, match=r"missing\.txt"):
        sentences(tmp_path / "missing.txt")
