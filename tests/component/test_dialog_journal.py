"""The journal: whatever restarts, evictions and kills come between, a dialog goes on as if nothing had been."""

import asyncio
import gc
import hashlib
import random
import re
import shutil
import tempfile
import weakref
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from zoozl.chatbot import Address, Interface, InterfaceRoot, Message
from zoozl.chatbot.clock import VirtualClock
from zoozl.chatbot.core import Chatbot
from zoozl.chatbot.message import Event
from zoozl.errors import AskTimeout, DialogEnded
from zoozl.stores.memory import Store as MemoryStore
from zoozl.stores.sqlite import Store as SqliteStore

TALKERS = ("anna", "bert")
# The number of a question differs from run to run.
NUMBER = re.compile(r"[0-9a-f]+(?=:)|_[0-9a-f]+")


class Hashes:
    """Vectors without meaning, so that nothing waits for a model."""

    name = "hashes"

    def embed(self, texts):
        rows = [np.frombuffer(hashlib.sha512(text.encode()).digest(), np.uint8) - 127.5 for text in texts]
        found = np.array(rows, np.float32).reshape(-1, 64)
        return found / np.linalg.norm(found, axis=1, keepdims=True)


class Bot:
    """A bot on a store, and what it said. Not the one of `zoozl.testing`, which restarts by itself."""

    def __init__(self, store, clock, *plugins, **settings):
        root = InterfaceRoot({"extensions": list(plugins)}, embedder=Hashes(), store=store)
        root.load()
        self.plugins = [plugin.interface for plugin in root.plugins.all]
        self.clock, self.store = clock, store
        self.core = Chatbot(root, senders={"test": self}, clock=clock, **settings)
        self.said = []

    async def send(self, address, message, key):
        self.said.append((address.talker, message.text))

    def receive(self, text, talker="anna", *keys):
        return self.core.receive(Event(Address("test", talker=talker), Message(text), keys))

    async def post(self, text, talker="anna", *keys):
        return await self.receive(text, talker, *keys).acknowledged()

    async def say(self, text, talker="anna"):
        await self.post(text, talker)
        return await self.heard(talker)

    async def heard(self, talker="anna"):
        """What came for somebody since the last look, when all is done."""
        await self.core.idle()
        mine = [text for to, text in self.said if to == talker]
        self.said = [(to, text) for to, text in self.said if to != talker]
        return mine

    async def load(self, talker="anna"):
        return await self.store.load(f"test::user:{talker}")

    async def __aenter__(self):
        await self.core.start()
        return self

    async def __aexit__(self, *exc):
        await self.core.drain(1.0)


# Any order.


class Work(Interface):
    aliases = ("/work",)
    done = None  # a list, set for each run

    async def consume(self, package):
        data = package.conversation.data
        package.callback("Let us see.")
        try:
            data["colour"] = await package.ask("Colour?", choices=["red", "green"], timeout=100, default="grey")
            data["first"] = await package.step(self.work, data["colour"])
            package.callback(f"worked {data['first']}")
            await package.sleep(50)
            data["slept"] = package.now().timestamp()
            size = await package.ask("Size?", validate=self.number, timeout=100)
            data["said"] = package.last_message_text
            if await package.confirm(f"{size} of {data['colour']}?", timeout=100):
                data["second"] = await package.step(self.work, size)
                package.callback(f"done {data['first']} {data['second']}")
            else:
                package.callback("left alone")
        except DialogEnded as exc:
            package.callback(f"undone, {exc.reason}")
            raise

    def number(self, text):
        if not text.isdigit():
            raise ValueError("A number, please.")
        return int(text)

    async def work(self, what, key):
        await asyncio.sleep(0)
        self.done.append((what, key))
        return len(self.done)


class Name(Interface):
    aliases = ("/name",)
    interruptible = True

    async def consume(self, package):
        try:
            name = await package.ask("Name?", timeout=70)
        except AskTimeout:
            name = await package.ask("Really no name?", timeout=70, default="nobody")
        package.conversation.data["name"] = name
        try:
            await package.step(self.refuse, name)
        except ValueError as exc:
            package.conversation.data["refused"] = str(exc)
        package.callback(f"Hello {name}, {await package.ask('And you?', literal=True)}!")

    def refuse(self, name):
        if len(name) % 2:
            raise ValueError(f"{name} is odd")


class Joke(Interface):
    aliases = ("/joke", "help")

    async def consume(self, package):
        package.callback(f"knock {len(package.conversation.messages)}")


SAY = st.tuples(
    st.sampled_from(["say", "late"]),
    st.sampled_from(TALKERS),
    st.sampled_from(
        ["/work", "/name", "/joke", "/pending", "red", "2", "gren", "7", "yes", "no", "what?", "cancel", "/cancel", ""]
    ),
)
WAIT = st.tuples(st.just("wait"), st.sampled_from([1.0, 49.9, 50.1, 69.9, 100.1, 86_401.0]))
RESTART = st.just(("restart",))
AGAIN = st.just(("again",))


class World:
    """A bot that is restarted, or not, and everything that could be seen of it."""

    def __init__(self, store, **settings):
        self.open_store, self.settings = store, settings
        self.clock = VirtualClock()
        self.work = type("Work", (Work,), {"done": [], "__module__": __name__, "__qualname__": "Work"})
        self.seen = []
        self.posted = 0

    async def run(self, actions, *, restarts):
        await self.start()
        for action in actions:
            if action[0] == "restart":
                if restarts:
                    await self.bot.__aexit__()
                    await self.start()
                continue
            await getattr(self, action[0])(*action[1:])
            self.seen.append((action, [await self.look(talker) for talker in TALKERS]))
        await self.bot.__aexit__()
        return self.seen

    async def start(self):
        self.store = await self.open_store()
        self.bot = await Bot(self.store, self.clock, self.work, Name, Joke, **self.settings).__aenter__()

    async def say(self, talker, text):
        self.posted += 1
        self.last = text, talker
        await self.bot.post(text, talker, f"k{self.posted}")

    async def late(self, talker, text):
        """It comes first, and then the bot looks at its deadlines."""
        self.clock.advance(75)
        await self.say(talker, text)
        await self.bot.core.look_at_deadlines()

    async def again(self):
        if self.posted:
            text, talker = self.last
            assert not await self.bot.post(text, talker, f"k{self.posted}")

    async def wait(self, seconds):
        self.clock.advance(seconds)
        await self.bot.core.look_at_deadlines()

    async def look(self, talker):
        replies = [NUMBER.sub("#", text) for text in await self.bot.heard(talker)]
        state, messages, dialogs = await self.bot.load(talker)
        waiting = [
            (d.alias, d.data, d.question and (d.question.prompt, d.question.deadline), d.deadline) for d in dialogs
        ]
        said = [(m.from_bot, NUMBER.sub("#", m.text)) for m in messages[-20:]]
        return replies, state and (state.subject, state.data), waiting, said


async def played(actions, store, **options):
    """What is seen with restarts and evictions must be what is seen without."""
    plain, other = World(memory()), World(store, **options)
    expected = await plain.run(actions, restarts=False)
    found = await other.run(actions, restarts=True)
    assert found == expected
    assert [what for what, _ in other.work.done] == [what for what, _ in plain.work.done]
    assert len({key for _, key in other.work.done}) == len(other.work.done), "a step was done twice"


def memory():
    store = MemoryStore()

    async def open_store():
        return store

    return open_store


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_restarts_and_evictions_make_no_difference(kind):
    @settings(
        max_examples=150 if kind == "memory" else 50,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(
        actions=st.lists(st.one_of(SAY, SAY, SAY, WAIT, RESTART, AGAIN), max_size=25),
        kept=st.sampled_from([1, 1_000]),
    )
    @example(
        actions=[
            *(("say", "anna", "/work"), ("restart",), ("say", "anna", "red"), ("restart",), ("wait", 50.1)),
            *(("restart",), ("say", "anna", "what?"), ("say", "anna", "7"), ("restart",), ("say", "anna", "yes")),
        ],
        kept=1_000,
    )
    @example(
        actions=[
            *(("say", "anna", "/name"), ("say", "anna", "/work"), ("restart",), ("wait", 69.9), ("restart",)),
            *(("late", "anna", "what?"), ("restart",), ("say", "anna", "x"), ("restart",), ("say", "anna", "cancel")),
        ],
        kept=1,
    )
    @example(
        # Both questions of one turn expire, and the second run takes the place of the first, which then is cancelled.
        actions=[
            *(("say", "anna", "/work"), ("say", "anna", "/work")),
            *(("late", "anna", "/joke"), ("late", "anna", "cancel")),
        ],
        kept=1,
    )
    def play(actions, kept):
        with tempfile.TemporaryDirectory() as folder:

            async def sqlite():
                return await SqliteStore.open(Path(folder) / "zoozl.db", synchronous="NORMAL")

            asyncio.run(played(actions, sqlite if kind == "sqlite" else memory(), kept_dialogs=kept))

    play()


# Cut in the middle of a turn.


class Disk:
    """A store in a file; `kill` leaves its bot to itself, and goes on with what is on disk at this moment."""

    def __init__(self, folder):
        self.folder = folder / "0"
        self.folder.mkdir()
        self.killed = []

    async def open(self):
        return await SqliteStore.open(self.folder / "zoozl.db", synchronous="NORMAL")

    def kill(self, bot):
        self.killed.append(bot)
        old, self.folder = self.folder, self.folder.with_name(str(len(self.killed)))
        self.folder.mkdir()
        for name in ("zoozl.db", "zoozl.db-wal"):
            shutil.copy(old / name, self.folder / name)

    async def bury(self):
        for bot in self.killed:
            await bot.core.drain(0.01)


@pytest.fixture
async def disk(tmp_path):
    made = Disk(tmp_path)
    yield made
    await made.bury()


STEPS = ("before", "after", "wake", "tell")


class Cut(Interface):
    """Stops for ever at the place that is named in `at`, once."""

    aliases = ("/cut",)

    def __init__(self):
        self.at, self.stopped, self.done = "", asyncio.Event(), []

    async def here(self, place):
        if place == self.at:
            self.stopped.set()
            await asyncio.Event().wait()

    async def consume(self, package):
        number = await package.step(self.work, "before")
        await self.here("begun")
        name = await package.ask(f"Name? {number}")
        package.callback("One moment.")
        await self.here("answered")
        number = await package.step(self.work, "after")
        await self.here("noted")
        await package.sleep(10)
        number += await package.step(self.work, "wake")
        await self.here("woken")
        await package.sleep(10)
        sure = await package.ask(f"Sure? {number}", timeout=10, default="silence")
        number += await package.step(self.work, "tell")
        await self.here("told")
        package.callback(f"{await package.ask('Last?')} {name} {sure} {number}")

    async def work(self, what, key):
        self.done.append((what, key))
        await self.here(what)
        return len(self.done)


@pytest.mark.parametrize("event", ["answer", "timeout"])
@pytest.mark.parametrize("place", ["before", "begun", "answered", "after", "noted", "wake", "woken", "tell", "told"])
async def test_a_turn_that_a_kill_cuts_anywhere_goes_on_where_it_was(disk, place, event):
    clock = VirtualClock()

    async def start():
        bot = await Bot(await disk.open(), clock, Cut).__aenter__()
        return bot, bot.plugins[0]

    bot, plugin = await start()
    plugin.at, stopped, bodies = place, False, []
    heard = []
    for what in ("/cut", "anna", 10, 10, *(["yes"] if event == "answer" else [10]), "end"):
        if isinstance(what, str):
            await bot.post(what)
        else:
            clock.advance(what)
            await bot.core.look_at_deadlines()
        waits = [asyncio.ensure_future(plugin.stopped.wait()), asyncio.ensure_future(bot.core.idle())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if plugin.stopped.is_set() and not stopped:
            stopped = True
            bodies += plugin.done
            disk.kill(bot)
            heard += [text for _, text in bot.said]
            bot, plugin = await start()
            # If the accepted deadline was not on disk yet, it comes again.
            await bot.core.look_at_deadlines()
            await bot.core.idle()
        for wait in waits:
            wait.cancel()
    heard += await bot.heard()
    bodies += plugin.done
    assert stopped
    # What was cut in its body is done again, with the same key; everything else once.
    expected = [what for step in STEPS for what in [step] * (2 if step == place else 1)]
    assert [what for what, _ in bodies] == expected
    assert len({key for _, key in bodies}) == len(STEPS)
    assert heard[1] == "One moment."
    assert [re.sub(r" \d+", "", text) for text in heard] == [
        "Name?",
        "One moment.",
        "Sure?",
        "Last?",
        f"end anna {'yes' if event == 'answer' else 'silence'}",
    ]
    _, messages, dialogs = await bot.load()
    assert dialogs == ()
    assert [m.text for m in messages if m.from_bot] == heard
    await bot.core.drain(1.0)


# At the deadline, and many of them.


class Sure(Interface):
    aliases = ("/sure",)

    async def consume(self, package):
        try:
            sure = await package.confirm("Sure?", timeout=300)
            package.callback("done" if sure else "left alone")
        except DialogEnded as exc:
            package.callback(exc.reason)


async def test_a_yes_at_the_last_moment_or_the_deadline_wins_and_never_both(disk):
    """1,000 rounds at once: each "yes" comes a moment before or after its deadline, and a kill comes in between."""
    rounds, chance, clock = 1_000, random.Random(5), VirtualClock()
    talkers = [f"t{n}" for n in range(rounds)]
    async with Bot(await disk.open(), clock, Sure) as bot:
        for talker in talkers:
            await bot.post("/sure", talker)
        await bot.core.idle()
    bot = await Bot(await disk.open(), clock, Sure).__aenter__()
    early = set(chance.sample(talkers, rounds // 2))
    clock.advance(299.9)
    await asyncio.gather(*(bot.post("yes", talker, talker) for talker in early))
    clock.advance(0.1)
    for n, talker in enumerate(t for t in talkers if t not in early):
        if n == rounds // 4:
            disk.kill(bot)
            bot = await Bot(await disk.open(), clock, Sure).__aenter__()
        if n % 50 == 0:
            await bot.core.look_at_deadlines()
        await bot.post("yes", talker, talker)
    for _ in range(rounds // 100 + 1):
        await bot.core.look_at_deadlines()
        await bot.core.idle()
    outcomes = {}
    for talker in talkers:
        _, messages, dialogs = await bot.load(talker)
        assert dialogs == ()
        outcomes[talker] = [m.text for m in messages if m.from_bot and m.text in ("done", "left alone")]
    assert {talker for talker in talkers if outcomes[talker] == ["done"]} == early
    assert {talker for talker in talkers if outcomes[talker] == ["left alone"]} == set(talkers) - early
    await bot.__aexit__()


async def test_only_so_many_coroutines_wait_in_memory():
    class Held(Interface):
        aliases = ("/held",)
        alive = weakref.WeakSet()

        async def consume(self, package):
            self.alive.add(package)
            package.callback(f"{await package.ask('Well?')}!")

    store = MemoryStore()
    async with Bot(store, VirtualClock(), Held, kept_dialogs=10) as bot:
        for n in range(50):
            await bot.say("/held", f"t{n}")
        await asyncio.sleep(0)
        gc.collect()
        assert len(bot.plugins[0].alive) == 10
        assert sum(task.get_coro().__qualname__ == "Lanes._run" for task in asyncio.all_tasks()) == 10
        # Nor does any of them hold a lane or a thread.
        assert bot.core.busy == 0
        assert [await bot.say("x", f"t{n}") for n in (0, 49, 20)] == [["x!"]] * 3
