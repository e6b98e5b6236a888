"""Plugins are loaded anew beside the old ones when their files change."""

import asyncio
import logging
import os
import py_compile
import sys
import threading
from pathlib import Path

import pytest

from zoozl.fresh import Own, dependents, imported
from zoozl.reload import Reload
from zoozl.testing import Bot, bundled_embedder

PLUGIN = """
from zoozl.chatbot import Interface
count = 0
class Plugin(Interface):
    name = "{name}"
    aliases = {aliases!r}
    closed = False
    def load(self, context):
        {load}
    async def consume(self, package):
        global count
        count += 1
        package.callback("{answer} " + str(count))
    def close(self):
        self.closed = True
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in Own((str(tmp_path),)).modules():
        del sys.modules[name]


def write(folder, name, answer="old", aliases=("help",), load="pass", before=""):
    (folder / f"{name}.py").write_text(before + PLUGIN.format(name=name, answer=answer, aliases=aliases, load=load))


def watched(bot, folder, *names, others=()):
    return Reload(bot.chatbot, names, [folder], others)


def interface(bot, name):
    return next(plugin.interface for plugin in bot.chatbot.root.plugins.all if plugin.name == name)


async def test_a_changed_plugin_answers_the_next_message_with_a_fresh_module(folder, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    write(folder, "mine", "one")
    os.utime(folder / "mine.py", (1e9, 1e9))
    async with Bot("mine") as bot:
        reload = watched(bot, folder, "mine")
        assert not await reload.look()
        assert await bot.say("hi") + await bot.say("hi") == ["one 1", "one 2"]
        assert not await reload.look()
        old = interface(bot, "mine")
        # Of the same length and within the same second: what was compiled from the first looks current.
        write(folder, "mine", "two")
        os.utime(folder / "mine.py", (1e9, 1e9 + 0.5))
        assert await reload.look()
        assert await bot.say("hi") == ["two 1"]
        assert sys.modules["mine"] is sys.modules[type(interface(bot, "mine")).__module__]
        async with asyncio.timeout(5):
            while not old.closed:
                await asyncio.sleep(0.01)
        assert not interface(bot, "mine").closed
        assert not await reload.look()


FLIGHT = """
import asyncio
from zoozl.chatbot import Interface
class Plugin(Interface):
    name = "flight"
    aliases = ("help",)
    closed = False
    def load(self, context):
        self.entered, self.gate = asyncio.Event(), asyncio.Event()
    async def consume(self, package):
        if package.last_message_text == "wait":
            self.entered.set()
            await self.gate.wait()
        package.conversation.data["said"] = package.conversation.data.get("said", 0) + 1
        package.callback(f"ANSWER {package.conversation.data['said']} {self.closed}")
    def close(self):
        self.closed = True
"""


async def test_a_turn_under_way_ends_with_the_old_plugin_which_is_closed_then_and_its_data_goes_on(folder):
    (folder / "flight.py").write_text(FLIGHT)
    async with Bot("flight") as bot:
        reload = watched(bot, folder, "flight")
        await reload.look()
        await bot.post("wait")
        old = interface(bot, "flight")
        await old.entered.wait()
        (folder / "flight.py").write_text(FLIGHT.replace("ANSWER", "changed"))
        assert await reload.look()
        assert not old.closed
        await bot.post("second")
        old.gate.set()
        assert await bot.replies() == ["ANSWER 1 False", "changed 2 False"]
        async with asyncio.timeout(5):
            while not old.closed:
                await asyncio.sleep(0.01)


async def test_what_is_still_to_be_closed_is_closed_when_the_server_stops(folder):
    (folder / "flight.py").write_text(FLIGHT)
    bot = Bot("flight")
    await bot.chatbot.start()
    reload = watched(bot, folder, "flight")
    await reload.look()
    await bot.post("wait")
    old = interface(bot, "flight")
    await old.entered.wait()
    (folder / "flight.py").write_text(FLIGHT.replace("ANSWER", "changed"))
    assert await reload.look()
    assert not await bot.chatbot.drain(0.05)
    assert old.closed


BROKEN = {
    "syntax": ("def f(:\n", "SyntaxError"),
    "import": ("import nothing_of_this_name\n", "ModuleNotFoundError"),
    "raises": ("raise OSError('at the top')\n", "at the top"),
    "exits": ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
    "no plugin": (None, "has no subclass"),
}


@pytest.mark.parametrize("what", [*BROKEN, "load", "load exits", "clash", "fallback"])
async def test_with_any_error_the_old_one_answers_on_until_it_is_mended(folder, caplog, what):
    write(folder, "other", aliases=("something else",))
    write(folder, "mine", "one", aliases=("help", "/mine"))
    async with Bot("other", "mine", fallback="/mine", restarts=False) as bot:
        reload = watched(bot, folder, "other", "mine")
        await reload.look()
        old, kept = sys.modules["mine"], interface(bot, "other")
        if what in BROKEN:
            text = BROKEN[what][0]
            (folder / "mine.py").write_text("x = 1\n" if text is None else text)
            expected = BROKEN[what][1]
        elif what == "clash":
            write(folder, "mine", "two", aliases=("Something else!", "/mine"))
            expected = "alias 'Something else!' is claimed by mine (mine) and by other (other)"
        elif what == "fallback":
            write(folder, "mine", "two", load="import logging; logging.made_by_the_test = self")
            expected = "'/mine' is no alias"
        else:
            load = "raise OSError('in load')" if what == "load" else "raise SystemExit('in load')"
            write(folder, "mine", "two", load=load)
            expected = "in load"
        caplog.clear()
        assert not await reload.look()
        errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
        assert len(errors) == 1
        assert expected in errors[0].getMessage()
        assert "importlib" not in errors[0].getMessage()
        assert errors[0].exc_info is None
        assert await bot.say("hi") == ["one 1"]
        assert sys.modules["mine"] is old
        assert interface(bot, "other") is kept
        if what == "fallback":
            assert logging.made_by_the_test.closed
            del logging.made_by_the_test
        assert not await reload.look(), "what has not changed is not tried again"
        write(folder, "mine", "mended", aliases=("help", "/mine"))
        assert await reload.look()
        assert await bot.say("hi") == ["mended 1"]
        assert interface(bot, "other") is kept, "a plugin whose file is as it was is left alone"
        assert not kept.closed


async def test_plugins_made_before_another_one_failed_are_closed(folder, caplog):
    write(folder, "first", aliases=("first thing",), before="import shared\n")
    write(folder, "second", before="import shared\n")
    (folder / "shared.py").write_text("made = []\n")
    async with Bot("first", "second") as bot:
        reload = watched(bot, folder, "first", "second")
        await reload.look()
        write(folder, "second", before="import shared\n", load="raise OSError(shared.made)")
        write(folder, "first", aliases=("first thing",), load="shared.made.append(self)", before="import shared\n")
        (folder / "shared.py").write_text("import keep\nmade = keep.made\n")
        (folder / "keep.py").write_text("import logging\nmade = logging.made_by_the_test = []\n")
        assert not await reload.look()
        assert [plugin.closed for plugin in logging.made_by_the_test] == [True]
        del logging.made_by_the_test
        assert not interface(bot, "first").closed
        assert "keep" not in sys.modules, "nothing is left of what failed"


async def test_aliases_come_and_go(folder, caplog):
    write(folder, "helps", "help")
    write(folder, "mine", "mine", aliases=("water the garden", "feed the cat"))
    caplog.set_level(logging.INFO)
    async with Bot("helps", "mine") as bot:
        reload = watched(bot, folder, "helps", "mine")
        await reload.look()
        assert await bot.say("please feed the cat") == ["mine 1"]
        write(folder, "mine", "mine", aliases=("water the garden", "sing a song"))
        assert await reload.look()
        assert "new: sing a song; gone: feed the cat" in caplog.text
        assert await bot.say("please feed the cat") == ["help 1"]
        assert await bot.say("could you sing a song") == ["mine 1"]
        assert await bot.say("water the garden") == ["mine 2"]


async def test_plugins_that_stay_see_the_new_table(folder):
    write(folder, "mine", aliases=("feed the cat",))
    async with Bot("zoozl.plugins.helpers", "mine") as bot:
        reload = watched(bot, folder, "zoozl.plugins.helpers", "mine")
        await reload.look()
        assert "feed the cat" in (await bot.say("help"))[0]
        write(folder, "mine", aliases=("sing a song",))
        assert await reload.look()
        (text,) = await bot.say("help")
        assert "sing a song" in text
        assert "feed the cat" not in text


async def test_a_subject_whose_alias_is_gone_is_let_go(folder):
    write(folder, "helps", "help")
    source = PLUGIN.format(name="mine", aliases=("count sheep",), answer="sheep", load="self.sticky = True")
    (folder / "mine.py").write_text(source.replace("closed = False", "closed = False\n    sticky = True"))
    async with Bot("helps", "mine") as bot:
        reload = watched(bot, folder, "helps", "mine")
        await reload.look()
        assert await bot.say("count sheep") + await bot.say("on") == ["sheep 1", "sheep 2"]
        write(folder, "mine", "mine", aliases=("sing a song",))
        assert await reload.look()
        assert await bot.say("on") == ["help 1"]


async def test_a_changed_module_takes_those_that_import_it_along_and_no_others(folder):
    (folder / "words.py").write_text("WORD = 'first'\n")
    (folder / "deeper.py").write_text("from words import WORD\n")
    write(folder, "mine", before="from deeper import WORD\n", aliases=("my word", "help"))
    text = (folder / "mine.py").read_text().replace('"old "', "WORD + ' '")
    (folder / "mine.py").write_text(text)
    write(folder, "other", aliases=("something else",))
    async with Bot("mine", "other", restarts=False) as bot:
        reload = watched(bot, folder, "mine", "other")
        await reload.look()
        other = interface(bot, "other")
        assert await bot.say("my word") == ["first 1"]
        (folder / "words.py").write_text("WORD = 'other'\n")
        assert await reload.look()
        assert await bot.say("my word") == ["other 1"]
        assert interface(bot, "other") is other


async def test_a_package_is_loaded_anew_with_all_that_is_in_it(folder, monkeypatch):
    # All changes below may come within a second: what was compiled looks current then.
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    package = folder / "bundle"
    package.mkdir()
    (package / "__init__.py").write_text("from bundle.plugin import Plugin\n")
    write(package, "plugin", before="from . import words\n")
    source = (package / "plugin.py").read_text()
    (package / "plugin.py").write_text(
        source.replace("count += 1", "count += 1; from bundle import late").replace('"old "', "words.W + late.W")
    )
    (package / "words.py").write_text("W = 'a'\n")
    (package / "late.py").write_text("W = 'b'\n")
    async with Bot("bundle") as bot:
        reload = watched(bot, folder, "bundle")
        await reload.look()
        assert await bot.say("hi") == ["ab1"]
        await reload.look()
        (package / "late.py").write_text("W = 'c'\n")
        assert await reload.look()
        assert await bot.say("hi") == ["ac1"]
        (package / "words.py").write_text("W = !\n")
        assert not await reload.look()
        assert await bot.say("hi") == ["ac2"]
        (package / "words.py").write_text("W = 'd'\n")
        assert await reload.look()
        assert await bot.say("hi") == ["dc1"]


async def test_a_part_without_a_source_stays(folder):
    package = folder / "bundle"
    package.mkdir()
    (package / "__init__.py").write_text("from bundle.plugin import Plugin\n")
    (package / "core.py").write_text("W = 'core'\n")
    py_compile.compile(str(package / "core.py"), str(package / "core.pyc"))
    (package / "core.py").unlink()
    write(package, "plugin", "one", before="from bundle import core\n")
    async with Bot("bundle") as bot:
        reload = watched(bot, folder, "bundle")
        await reload.look()
        write(package, "plugin", "two", before="from bundle import core\n")
        assert await reload.look()
        assert await bot.say("hi") == ["two 1"]
    assert (package / "core.pyc").exists()


async def test_a_module_that_another_process_has_compiled_is_read_anew(folder, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    words = folder / "words.py"
    words.write_text("W = 'old'\n")
    py_compile.compile(str(words))
    write(folder, "mine")
    async with Bot("mine") as bot:
        reload = watched(bot, folder, "mine")
        await reload.look()
        before = words.stat()
        words.write_text("W = 'new'\n")
        # Later within the second of what was compiled.
        os.utime(words, ns=(before.st_atime_ns, before.st_mtime_ns // 10**9 * 10**9 + 999_999_999))
        write(folder, "mine", '" + words.W + "', before="import words\n")
        assert await reload.look()
        assert await bot.say("hi") == ["new 1"]


async def test_a_module_that_was_missing_is_found_when_it_appears(folder, caplog):
    write(folder, "mine")
    async with Bot("mine") as bot:
        reload = watched(bot, folder, "mine")
        await reload.look()
        write(folder, "mine", "new", before="import later\n")
        assert not await reload.look()
        (folder / "later.py").write_text("")
        assert await reload.look()
        assert await bot.say("hi") == ["new 1"]


async def test_messages_are_answered_while_the_new_aliases_are_computed(folder):
    class Gated:
        name = "gated"
        gate, reached = threading.Event(), threading.Event()

        def embed(self, texts):
            if "sing a song" in texts:
                self.reached.set()
                assert self.gate.wait(10)
            return bundled_embedder().embed(texts)

    write(folder, "mine", "one", aliases=("help", "feed the cat"))
    async with Bot("mine", embedder=Gated()) as bot:
        reload = watched(bot, folder, "mine")
        await reload.look()
        await bot.chatbot.router.warm_up()
        write(folder, "mine", "two", aliases=("help", "sing a song"))
        looking = asyncio.create_task(reload.look())
        assert await asyncio.to_thread(Gated.reached.wait, 10)
        assert await bot.say("feed the cat") == ["one 1"]
        Gated.gate.set()
        assert await looking
        assert await bot.say("sing a song") == ["two 1"]


async def test_a_change_of_the_configuration_is_told_of_and_no_more(folder, caplog):
    write(folder, "mine")
    toml = folder / "chatbot.toml"
    toml.write_text("")
    (folder / "script.py").write_text("")
    async with Bot("mine") as bot:
        reload = watched(bot, folder, "mine", others=[toml])
        await reload.look()
        plugin = interface(bot, "mine")
        toml.write_text("author = 'x'\n")
        (folder / "script.py").write_text("print()\n")
        caplog.clear()
        assert not await reload.look()
        assert [record.getMessage() for record in caplog.records] == [
            f"{toml} has changed; restart the server to apply it"
        ]
        assert interface(bot, "mine") is plugin


async def test_a_module_that_only_others_use_needs_a_restart(folder, caplog):
    write(folder, "mine")
    (folder / "mychannel.py").write_text("")
    __import__("mychannel")
    async with Bot("mine") as bot:
        reload = watched(bot, folder, "mine")
        await reload.look()
        (folder / "mychannel.py").write_text("x = 1\n")
        assert not await reload.look()
        assert "mychannel changed, and no plugin imports it; restart the server" in caplog.text


def test_what_is_the_users_own():
    own = Own(("/home/me/bot",), frozenset({"elsewhere"}))
    assert own.has("mine", "/home/me/bot/mine.py")
    assert own.has("elsewhere.part", "/opt/x/elsewhere/part.py")
    assert not own.has("mine", "/home/me/bot2/mine.py")
    assert not own.has("zoozl.server", "/home/me/bot/zoozl/server.py")
    assert not own.has("lib", "/home/me/bot/.venv/lib/python3.11/site-packages/lib.py")
    assert not own.has("__main__", "/home/me/bot/run.py")


def test_imports_are_read_wherever_they_stand():
    source = b"import a.b, c as d\nfrom e.f import g\nfrom . import h\ndef x():\n    import i\n"
    assert imported(source) == {"a", "c", "e", "i"}
    assert imported(b"def (") == set()
    assert dependents({"a"}, {"b": {"a"}, "c": {"b"}, "d": {"e"}, "a": {"c"}}) == {"a", "b", "c"}


def test_the_repository_is_not_watched_for_a_bot_elsewhere():
    own = Own((str(Path(__file__).parent / "nothing"),))
    assert own.modules() == {}
