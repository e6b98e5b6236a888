"""Looking at a table of aliases: what is wrong with it, how good it is, what talkers said in vain."""

import json

import numpy as np
import pytest

from zoozl.chatbot import Interface
from zoozl.chatbot.background import sentences
from zoozl.chatbot.message import Address, Event, Message
from zoozl.chatbot.neighbours import Neighbours
from zoozl.chatbot.ports import Receipt
from zoozl.chatbot.router import Route, Rule
from zoozl.chatbot.run import Ending
from zoozl.chatbot.scorer import build
from zoozl.chatbot.services import Report
from zoozl.chatbot.unrouted import SPACE, Unrouted, key_at, masked
from zoozl.routes.check import check
from zoozl.routes.labelled import LabelError, of_chat, of_table, read, resolved
from zoozl.routes.measure import Judged, auroc, bins, figures
from zoozl.routes.offline import find, judge, reached
from zoozl.routes.plot import bar, lines, png
from zoozl.routes.suggest import groups
from zoozl.stores.memory import Store as MemoryStore
from zoozl.stores.sqlite import Store
from zoozl.stores.sqlite.commands import forget
from zoozl.stores.sqlite.lookup import values
from zoozl.stores.sqlite.sweep import Ages, Sweep
from zoozl.testing import Bot


def plugin(name, *aliases, **attributes):
    def consume(self, package):
        package.callback(name)

    return type(name, (Interface,), {"aliases": aliases, "consume": consume, "name": name, **attributes})


Helper = plugin("helper", "help")
Weather = plugin("weather", "what is the weather like", "will it rain tomorrow", "is it going to be sunny")
Wages = plugin("wages", "pay the wages", "send the salaries", "transfer money to the staff")
Table = plugin("table", "book a table", "reserve seats for dinner", "a table for two please")


async def warnings_of(*plugins):
    async with Bot(*plugins, restarts=False) as bot:
        scorer = await bot.chatbot.router.tables.scorer()
        return check(scorer, {i: one.name for i, one in enumerate(bot.chatbot.root.plugins.all)})


async def test_a_sound_table_has_no_warnings():
    assert await warnings_of(Helper, Weather, Wages, Table) == []


async def test_aliases_of_two_plugins_that_say_the_same_collide():
    found = await warnings_of(Helper, Weather, Wages, plugin("seats", "reserve the seats for dinner", "a", "b"), Table)
    (one,) = [one for one in found if one.kind == "collision"]
    assert one.plugin == "seats"
    assert '"reserve the seats for dinner" collides with "reserve seats for dinner" of table' in one.text


async def test_an_alias_nearer_to_another_plugin_is_a_stray():
    odd = plugin("odd", "rain is expected for tomorrow", "sing a song", "tell a joke")
    found = {one.plugin: one.text for one in await warnings_of(Helper, Weather, Wages, odd) if one.kind == "stray"}
    assert found["odd"].startswith('"rain is expected for tomorrow" is nearer to weather ("will it rain tomorrow")')
    assert set(found) == {"odd", "weather"}, "the two suffer from each other, and nobody else does"


async def test_few_aliases_are_told_unless_a_plugin_is_called_otherwise():
    found = await warnings_of(Helper, Weather, Wages, plugin("few", "play chess"), plugin("command", "/start"))
    assert [(one.kind, one.plugin) for one in found] == [("few", "few")]


async def test_a_threshold_that_refuses_its_own_aliases():
    strict = plugin("weather", *Weather.aliases, threshold=0.95)
    literal = plugin("table", *Table.aliases, thresholds={"book a table": 1.0})
    found = {one.plugin: one.text for one in await warnings_of(Helper, strict, Wages, literal)}
    assert "its threshold refuses" in found["weather"]
    assert 'only by the letter: "book a table"' in found["table"]


def test_large_tables_are_checked_as_well():
    words = [
        f"{first}{last}" for first in ("bar", "ten", "lom", "kur") for last in ("ak", "is", "us", "on", "et", "im")
    ]
    aliases = [f"{one} {other} {n}" for n, one in enumerate(words) for other in words for _ in range(1)]
    aliases += [f"{one} the {other} {n}" for n, one in enumerate(words) for other in words]
    aliases += [f"{one} a {other} of {n}" for n, one in enumerate(words) for other in words]
    owners = [words.index(alias.split()[0]) for alias in aliases]
    wrong = aliases.index("barak the barak 0")
    owners[wrong] = 1
    scorer = build(aliases, owners, None, sentences(), None)
    assert isinstance(scorer.model, Neighbours)
    found = check(scorer, dict(enumerate(words)))
    assert any(one.kind == "stray" and "barak the barak 0" in one.text for one in found)


TABLE = "text\tplugin\n# a comment\n\nwill it rain\tweather\nhi there\t-\nsing\t\npay up\tPay the wages!\n"


def test_a_table_of_messages():
    found = of_table(TABLE, "t.tsv")
    assert [(m.line, m.text, m.label) for m in found] == [
        (4, "will it rain", "weather"),
        (5, "hi there", ""),
        (6, "sing", ""),
        (7, "pay up", "Pay the wages!"),
    ]
    with pytest.raises(LabelError, match=r"t.tsv:2: must be a message, a tab"):
        of_table("a\tb\nonly a text\n", "t.tsv")


def test_a_transcript_of_messages():
    text = "# -> weather\nanna: will it rain\n  or not\nbot: ...\nanna: unlabelled\n# -> -\nanna: sing\n"
    assert [(m.line, m.text, m.label) for m in of_chat(text, "t.chat")] == [
        (2, "will it rain\nor not", "weather"),
        (7, "sing", ""),
    ]
    with pytest.raises(LabelError, match=r"t.chat:1: a label stands right above"):
        of_chat("# -> weather\nbot: hello\n", "t.chat")


def test_files_that_cannot_be_used(tmp_path):
    for name, content, why in [
        ("none.tsv", None, "cannot be read"),
        ("empty.tsv", b"\n", "no labelled message"),
        ("latin.tsv", b"\xe4\tx\n", "not UTF-8"),
        ("bad.chat", b"what is this\n", "bad.chat:1"),
    ]:
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(LabelError, match=why):
            read(tmp_path / name)


async def test_labels_and_decisions_are_names_of_plugins():
    async with Bot(Helper, Weather, Wages, Table, restarts=False) as bot:
        plugins = bot.chatbot.root.plugins
        messages = resolved(of_table(TABLE, "t"), "t", lambda label: find(plugins, label))
        assert [m.label for m in messages] == ["weather", "", "", "wages"]
        with pytest.raises(LabelError, match="t:1: there is no plugin or alias 'chess'"):
            resolved(of_table("a\tchess", "t"), "t", lambda label: find(plugins, label))
        done = []
        judged = await judge(bot.chatbot, messages, done.append)
        assert done == [1, 2, 3, 4]
        assert judged[0].got == judged[0].nearest == "weather"
        assert judged[1].got == ""
        router = bot.chatbot.router
        assert reached(router, await router.choose("never mind")) == ("cancel", "cancel")
        assert reached(router, Route(None, "help", 0.3, Rule.FALLBACK, near="book a table")) == ("", "table")


JUDGED = [
    Judged("a", "x", "x", "x", 0.95),
    Judged("b", "x", "y", "y", 0.65),
    Judged("c", "x", "", "x", 0.45),
    Judged("d", "", "", "y", 0.2),
    Judged("e", "", "y", "y", 0.7, asked=True),
]


def test_figures():
    found = figures(JUDGED)
    assert (found.meant, found.strangers, found.asked) == (3, 2, 1)
    assert found.accuracy == pytest.approx(1 / 3)
    assert found.rejection == 0.5
    assert found.auroc == pytest.approx(4 / 6)
    assert found.confusions == [("", "y", 1), ("x", "", 1), ("x", "y", 1)]
    assert found.as_json()["confusions"][0] == {"expected": None, "got": "y", "count": 1}
    assert figures([]).accuracy is None
    assert auroc([0.5], [0.5]) == 0.5
    assert auroc([1.0], []) is None


def test_the_plot_has_a_bar_for_each_step(tmp_path):
    found = bins(JUDGED)
    assert [(b.count, b.right) for b in found if b.count] == [(1, 0), (1, 1), (1, 0), (1, 0), (1, 1)]
    shown = lines(found)
    assert len(shown) == 11
    assert shown[-1].startswith("0.9-1.0     100%")
    assert shown[-1].count("█") == 40
    assert bar(0.5, 1) == "▌"
    pytest.importorskip("matplotlib")
    png(found, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_groups_are_of_one_kind_and_the_heaviest_comes_first():
    vectors = np.array([[1, 0], [0.98, 0.2], [0, 1], [0.1, 0.995], [-1, 0]], np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = groups(vectors, [1, 1, 5, 1, 1])
    assert [(set(group.members), group.weight) for group in found] == [({2, 3}, 6), ({0, 1}, 2), ({4}, 1)]
    assert groups(vectors[:0], []) == []


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("mail me at anna.b@example.com please", "mail me at … please"),
        ("call +371 555-123-45 now", "call … now"),
        ("my card is 4111 1111 1111 1111", "my card is …"),
        ("look at https://example.com/?token=x", "look at …"),
        ("the key is sk-abcDEF123456789", "the key is …"),
        ("two tickets for 7 pm,\n room 12", "two tickets for 7 pm, room 12"),
        ("internationalisation of the website", "internationalisation of the website"),
    ],
)
def test_what_may_tell_who_wrote_is_masked(text, kept):
    assert masked(text) == kept


def told(text, rule=Rule.FALLBACK, near="book a table", room=""):
    event = Event(Address("c", room=room, talker="anna"), Message(text))
    return Report(Receipt(1, "lane", event), Route(None, "help", 0.2, rule, near=near), Ending.DONE, 0.0)


async def test_only_what_no_plugin_was_found_for_is_kept_and_only_the_latest():
    store, now = MemoryStore(), 1_000_000.0
    unrouted = Unrouted(store, most=3, clock=lambda: now)
    for report in (
        told("known", Rule.ALIAS),
        told("said in a room", room="lobby"),
        told("x" * 301),
        told("", near=""),
        *(told(f"text {n}") for n in range(5)),
    ):
        unrouted.observe(report)
    await unrouted.close()
    unrouted.observe(told("too late"))
    keys = await store.keys(SPACE, "")
    assert [json.loads(await store.get(SPACE, key)) for key in keys] == ["text 2", "text 3", "text 4"]
    assert all(key.startswith(key_at(now)) for key in keys)


async def test_a_bot_that_learns_keeps_what_it_did_not_understand():
    async with Bot(Helper, Weather, Wages, restarts=False) as bot:
        store = bot.chatbot.root.store
        unrouted = Unrouted(store)
        bot.chatbot.observe(unrouted.observe)
        for text in ("will it rain tomorrow", "my grandmother paints fences", "cancel"):
            await bot.say(text)
        await unrouted.close()
        kept = [await store.get(SPACE, key) for key in await store.keys(SPACE, "")]
        assert kept == ['"my grandmother paints fences"']


async def test_kept_texts_grow_old_and_go_with_anybody_who_is_forgotten(tmp_path):
    store = await Store.open(tmp_path / "zoozl.db")
    try:
        for at in (1_000.0, 2_000.0):
            unrouted = Unrouted(store, clock=lambda at=at: at)
            unrouted.observe(told(f"said {at / 1000:.0f}"))
            await unrouted.close()
        counts = await Sweep(store, Ages(unrouted=500.0), lambda: 2_100.0).once()
        assert counts["unrouted"] == 1
        assert await store.run(lambda db: values(db, SPACE)) == ['"said 2"']
        answer = await forget(store, "nobody", None, lambda done, total: None)
        assert answer["counts"]["unrouted"] == 1
        assert await store.keys(SPACE, "") == []
    finally:
        await store.close()
