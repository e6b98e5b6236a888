"""What a plugin may rely on: its forms, its conversation, its context."""

import asyncio

import pytest

from zoozl.chatbot import Address, Interface, InterfaceRoot, Message, MessagePart, Package
from zoozl.errors import ExtensionError
from zoozl.testing import Bot


class SyncTwo(Interface):
    aliases = ("help",)

    def consume(self, context, package):
        package.callback(f"{type(context).__name__} {package.last_message_text}")


class SyncOne(Interface):
    aliases = ("help",)

    def consume(self, package):
        package.callback(f"InterfaceRoot {package.last_message_text}")


class AsyncTwo(Interface):
    aliases = {"help"}

    async def consume(self, context, package):
        await asyncio.sleep(0)
        package.callback(f"{type(context).__name__} {package.last_message_text}")


class AsyncOne(Interface):
    aliases = ["help"]

    async def consume(self, package):
        package.callback(f"InterfaceRoot {package.last_message_text}")


class SyncGivingAwaitable(Interface):
    aliases = ("help",)

    def consume(self, context, package):
        return AsyncOne().consume(package)


@pytest.mark.parametrize("form", [SyncTwo, SyncOne, AsyncTwo, AsyncOne, SyncGivingAwaitable])
def test_every_form_of_consume_works(chatbot, form):
    assert chatbot(form).say("hi") == ["InterfaceRoot hi"]


def test_another_form_of_consume_is_refused_with_the_right_ones():
    class Odd(Interface):
        aliases = ("help",)

        def consume(self, a, b, c):
            pass

    with pytest.raises(ExtensionError, match=r"consume\(self, context, package\) or consume\(self, package\)"):
        Bot(Odd)


def test_the_readmes_plugin(chatbot):
    class MyPlugin(Interface):
        aliases = ("call myplugin",)

        def consume(self, context, package: Package):
            package.callback("Hello this is my plugin response")

    bot = chatbot(MyPlugin, "zoozl.plugins.helpers")
    assert bot.say("could you call my plugin?") == ["Hello this is my plugin response"]


def test_a_second_parameter_with_a_default_is_the_plugins_own(chatbot):
    class Loud(Interface):
        aliases = ("help",)

        def consume(self, package, loud=False):
            package.callback(f"{type(package).__name__} {loud}")

    class Two(Interface):
        aliases = ("help",)

        def consume(self, context, package, loud=False):
            package.callback(f"{type(context).__name__} {type(package).__name__} {loud}")

    class Starred(Interface):
        aliases = ("help",)

        def consume(self, *args):
            args[-1].callback(f"{[type(arg).__name__ for arg in args]}")

    assert chatbot(Loud).say("hi") == ["Package False"]
    assert chatbot(Two).say("hi") == ["InterfaceRoot Package False"]
    assert chatbot(Starred).say("hi") == ["['InterfaceRoot', 'Package']"]


async def _async(self, *args):
    pass


def _generator(self, package):
    yield "hi"


async def _async_generator(self, package):
    yield "hi"


def _gives_coroutine(self, context):
    return asyncio.sleep(0)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"timeout": "5"}, "timeout must be a number of seconds above 0, or None, not '5'"),
        ({"timeout": 0}, "timeout must be .* not 0"),
        ({"timeout": -1.5}, "timeout must be .* not -1.5"),
        ({"timeout": True}, "timeout must be .* not True"),
        ({"timeout": float("nan")}, "timeout must be .* not nan"),
        ({"consume": Interface.consume}, r"has aliases but no consume\(self, context, package\)"),
        ({"consume": 5}, "consume must be a method, not int"),
        ({"consume": _generator}, r"consume must not yield; answer with package.callback"),
        ({"consume": _async_generator}, r"consume must not yield; answer with package.callback"),
        ({"consume": lambda self, package, *, loud: None}, r"consume must be written"),
        ({"load": _async}, "load must be a plain `def`, it is not awaited"),
        ({"close": _async}, "close must be a plain `def`, it is not awaited"),
        ({"load": _gives_coroutine}, "load must do its work itself"),
        ({"aliases": ("/start game",)}, "the command '/start game' must be one word like \"/start\""),
        ({"aliases": ("/",)}, "the command '/' must be one word"),
    ],
)
@pytest.mark.filterwarnings("ignore:coroutine 'sleep' was never awaited")
def test_a_plugins_mistake_ends_the_start_and_names_the_plugin(attributes, reason):
    odd = type("Odd", (Interface,), {"aliases": ("odd",), "consume": lambda self, package: None, **attributes})
    with pytest.raises(ExtensionError, match=f"plugin Odd.*{reason}"):
        Bot(odd)


def plugin(name, *aliases, module=__name__):
    def consume(self, package):
        package.callback(f"{name}: {package.conversation.subject}")

    return type(name, (Interface,), {"aliases": aliases, "consume": consume, "__module__": module})


def test_special_aliases_are_special_in_any_case(chatbot):
    bot = chatbot(plugin("A", "Greet"), plugin("B", "Help", "HELP"), plugin("C", "CANCEL"), plugin("D", "Start it"))
    assert list(bot.bot.chatbot.root.plugins.table) == ["greet", "help", "cancel", "Start it"]
    assert bot.connect() == ["A: greet"]
    assert bot.say("qwerty asdf") == ["B: help"]
    assert bot.say("cancel") == ["C: cancel"]
    assert bot.say("start it") == ["D: Start it"]


@pytest.mark.parametrize(
    ("one", "other"),
    [("Play!", "play"), ("Book  a table", "book a table?"), ("/Play", "/play"), ("Help", "help"), ("👋", "👋")],
)
def test_aliases_that_no_message_could_tell_apart_clash(one, other):
    with pytest.raises(ExtensionError, match="is claimed by B .* and by A "):
        Bot(plugin("A", one), plugin("B", other))


def test_aliases_that_a_message_can_tell_apart_do_not_clash(chatbot):
    bot = chatbot(plugin("A", "play", "Play!", "👋"), plugin("B", "/play", "🎉", "play it"))
    assert len(bot.bot.chatbot.root.plugins.table) == 6


def test_two_plugins_of_one_name_are_refused_with_both_modules():
    with pytest.raises(ExtensionError, match="two plugins are called 'Orders', in shop and in bakery: give one"):
        Bot(plugin("Orders", "buy", module="shop"), plugin("Orders", "bake", module="bakery"))


def test_sys_exit_in_a_plugin_does_not_end_the_start_silently():
    class Quits(Interface):
        def load(self, context):
            raise SystemExit(4)

    with pytest.raises(ExtensionError, match=r"plugin Quits of .* cannot be loaded: SystemExit: 4 \("):
        Bot(Quits)


@pytest.mark.parametrize(
    "conf",
    [
        {"greeter": {"text": "Hi"}},
        {"zoozl.plugins.greeter": {"text": "Hi"}},
        {"zoozl": {"plugins": {"greeter": {"text": "Hi"}}}},
        {"greeter": {"text": "Hi"}, "zoozl": {"plugins": {"greeter": {"text": "hidden by the nearer name"}}}},
    ],
)
def test_a_plugins_table_is_found_under_any_of_its_names(chatbot, conf):
    assert chatbot("zoozl.plugins.greeter", "zoozl.plugins.helpers", conf=conf).connect() == ["Hi"]


def test_a_plugin_reads_other_tables_by_their_own_name_only():
    seen = {}

    class Reads(Interface):
        name = "reader"

        def load(self, context):
            for section in ("reader", "other", "a.b", "a.c", "nothing", "text"):
                seen[section] = dict(context.config(section))

    Bot(Reads, conf={"reader": {"x": 1}, __name__: {"y": 2}, "other": {"z": 3}, "a": {"b": {"q": 4}}, "text": "t"})
    assert seen == {
        "reader": {"x": 1, "y": 2},
        "other": {"z": 3},
        "a.b": {"q": 4},
        "a.c": {},
        "nothing": {},
        "text": {},
    }


HELP_ASKED = ("HELP!", "help", "/help", "what can you do?", "can you help me please", "I need help", "what do you do")


@pytest.mark.parametrize("text", HELP_ASKED)
def test_help_does_not_claim_that_it_did_not_understand_who_asked_for_it(chatbot, text):
    (answer,) = chatbot("zoozl.plugins.helpers", "zoozl.plugins.games").say(text)
    assert answer.startswith("Here is what you can ask:")
    assert '"play bulls and cows"' in answer


def test_help_says_so_when_nothing_was_understood(chatbot):
    (answer,) = chatbot("zoozl.plugins.helpers", "zoozl.plugins.games").say("my grandmother paints fences")
    assert answer.startswith("I did not understand that. You can ask:")


def test_answers_are_in_the_history_beside_the_questions(chatbot):
    seen = []

    class Remembers(Interface):
        aliases = ("help",)

        async def consume(self, package):
            seen.append([(m.from_bot, m.text) for m in package.conversation.messages])
            package.callback("one")
            package.callback("two")

    bot = chatbot(Remembers)
    bot.say("a")
    bot.say("b")
    assert seen == [[(False, "a")], [(False, "a"), (True, "one"), (True, "two"), (False, "b")]]


def test_attachments_are_those_of_the_talkers_last_messages(chatbot):
    found = []

    class Files(Interface):
        aliases = ("help",)

        def consume(self, package):
            package.callback("thanks")
            found.append([part.filename for part in package.get_attachments(2)])

    bot = chatbot(Files)
    bot.say(Message([MessagePart("see this"), MessagePart(binary=b"x", filename="a.txt")]))
    bot.say("and now book it")
    bot.say("again")
    assert found == [["a.txt"], ["a.txt"], []]


def test_messages_with_files_reach_the_talker(chatbot):
    class Sends(Interface):
        aliases = ("help",)

        def consume(self, package):
            package.callback(Message([MessagePart("here"), MessagePart("", b"\x00\x01", "image/png", "a.png")]))

    bot = chatbot(Sends, conf={"author": "Oscar"})
    bot.post("hi")
    (message,) = bot.messages()
    assert (message.text, message.author, message.from_bot) == ("here", "Oscar", True)
    assert [(f.filename, f.binary) for f in message.files] == [("a.png", b"\x00\x01")]


def test_data_is_the_plugins_own_and_survives_between_turns(chatbot):
    class Counts(Interface):
        aliases = ("count",)

        def consume(self, package):
            data = package.conversation.data
            data["n"] = data.get("n", 0) + 1
            package.callback(str(data["n"]))

    bot = chatbot(Counts)
    assert [bot.say("count")[0], bot.say("more")[0], bot.say("more")[0]] == ["1", "2", "3"]
    assert bot.say("count", "somebody else") == ["1"]


def test_data_that_is_not_json_fails_the_turn_and_names_the_plugin(chatbot, caplog):
    class Wrong(Interface):
        name = "wrong one"
        aliases = ("help",)

        def consume(self, package):
            package.callback("said before")
            package.conversation.data["x"] = object()

    bot = chatbot(Wrong)
    assert bot.say("hi") == ["said before", "Sorry, something went wrong here. It has been noted."]
    assert "plugin wrong one left in conversation.data what is not JSON" in caplog.text


def test_a_plugin_has_its_configuration_memory_and_embedding(chatbot):
    class Uses(Interface):
        name = "uses"
        aliases = ("help",)

        def load(self, context: InterfaceRoot):
            self.path = context.config("uses")["database_path"]
            self.all = context.conf["author"]

        async def consume(self, context, package):
            count = await context.memory.get("count", 0) + 1
            await context.memory.put("count", count)
            vectors = await context.embed(["a cat", "a kitten"])
            package.callback(f"{self.path} {self.all} {count} {vectors.shape} {await context.memory.keys()}")

    bot = chatbot(Uses, conf={"author": "Oscar", "uses": {"database_path": "x.db"}})
    bot.say("hi")
    assert bot.say("hi") == ["x.db Oscar 2 (2, 384) ['count']"]


async def test_a_plugin_can_speak_unasked_from_loop_and_thread():
    class Later(Interface):
        aliases = ("help",)

        def consume(self, context, package):
            self.address, self.context = package.address, context
            context.tell(package.address, "from the thread")

    async with Bot(Later) as bot:
        assert await bot.say("hi") == ["from the thread"]
        plugin = bot.chatbot.root.plugins.all[0].interface
        plugin.context.tell(plugin.address, "from the loop")
        bot.chatbot.tell(Address("test", talker="tester"), Message("and again"))
        await asyncio.sleep(0)
        assert await bot.replies() == ["from the loop", "and again"]


async def test_answers_after_the_turn_are_dropped_and_logged(caplog):
    class Keeps(Interface):
        aliases = ("help",)

        async def consume(self, package):
            self.package = package

    async with Bot(Keeps) as bot:
        assert await bot.say("hi") == []
        bot.chatbot.root.plugins.all[0].interface.package.callback("too late")
        assert await bot.replies() == []
    assert "after its turn had ended" in caplog.text


def test_an_answer_of_another_type_is_the_plugins_fault(chatbot, caplog):
    class Wrong(Interface):
        aliases = ("help",)

        async def consume(self, package):
            package.callback({"text": "hi"})

    assert chatbot(Wrong).say("hi") == ["Sorry, something went wrong here. It has been noted."]
    assert "a str or a Message, not with dict" in caplog.text


def test_plugins_are_closed_in_reverse_order_and_one_failure_stops_none(chatbot):
    closed = []

    def make(name, fails=False):
        class Closing(Interface):
            def close(self):
                closed.append(name)
                if fails:
                    raise OSError("no")

        return type(name, (Closing,), {})

    bot = chatbot(make("a"), make("b", fails=True), make("c"))
    bot.bot.chatbot.root.plugins.close()
    assert closed == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import nothing_like_this", "No module named 'nothing_like_this'"),
        ("def broken(:\n    pass", "SyntaxError"),
        ("1/0", "ZeroDivisionError: division by zero .*line 1"),
        ("import sys\nsys.exit(4)", "cannot be imported: SystemExit: 4 .*line 2"),
        ("x = 1", "no subclass of zoozl.chatbot.Interface"),
        (
            "from zoozl.chatbot import Interface\nclass P(Interface):\n    def load(self, root):\n"
            "        raise OSError('no database')",
            "plugin P .* cannot be loaded: OSError: no database .*line 4",
        ),
    ],
)
def test_an_extension_that_cannot_be_loaded_says_why(tmp_path, monkeypatch, source, reason):
    import hashlib

    name = "extension_" + hashlib.sha256(source.encode()).hexdigest()[:12]
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ExtensionError, match=reason):
        Bot(name)


def test_a_module_gives_its_own_plugins_not_those_it_imports(tmp_path, monkeypatch):
    (tmp_path / "base_of_all.py").write_text(
        "from zoozl.chatbot import Interface\nclass Base(Interface):\n    aliases = ('base',)\n"
        "    def consume(self, package): package.callback('base')\n"
    )
    (tmp_path / "made_of_it.py").write_text(
        "from base_of_all import Base\nclass Mine(Base):\n    aliases = ('mine',)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert [p.name for p in Bot("made_of_it").chatbot.root.plugins.all] == ["Mine"]
    assert [p.name for p in Bot("base_of_all", "made_of_it").chatbot.root.plugins.all] == ["Base", "Mine"]


def test_old_names_are_still_there():
    from zoozl.chatbot import api, interface

    for name in ("Interface", "Package", "Message", "MessagePart", "Conversation", "InterfaceRoot"):
        assert hasattr(api, name)
    assert api.Interface is interface.Interface
    assert Package(api.Conversation(talker="x"), print).talker == "x"
