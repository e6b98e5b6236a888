"""One conversation's trouble is its own: plugins that raise, hang, block; order; cancel while it runs."""

import asyncio
import sys
import threading
from pathlib import Path

import pytest

from zoozl.chatbot import Interface, Message, MessagePart
from zoozl.chatbot.message import Address, Event
from zoozl.chatbot.run import Ending
from zoozl.errors import Overloaded
from zoozl.testing import Bot, bundled_embedder

sys.path.append(str(Path(__file__).parents[1] / "fakes"))

from deaf import deaf_until


class Gate(Interface):
    """Waits until the test opens the gate, in either form; echoes everything else."""

    aliases = ("help",)

    def __init__(self):
        self.entered = asyncio.Event()
        self.gate = asyncio.Event()

    async def consume(self, package):
        if package.last_message_text == "wait":
            package.callback("waiting")
            self.entered.set()
            await self.gate.wait()
        package.callback(f"echo {package.last_message_text}")


def gate_of(bot):
    return bot.chatbot.root.plugins.all[0].interface


async def test_the_second_message_waits_for_the_first_and_others_do_not():
    async with Bot(Gate) as bot:
        await bot.post("wait")
        await bot.post("second")
        await gate_of(bot).entered.wait()
        await bot.post("hello", "other")
        async with asyncio.timeout(5):
            while not (theirs := [m.text for to, m in bot._replies if to == "other"]):
                await asyncio.sleep(0)
        assert theirs == ["echo hello"]
        gate_of(bot).gate.set()
        assert await bot.replies() == ["waiting", "echo wait", "echo second"]


async def test_a_long_turn_says_what_it_has_said_before_it_ends():
    async with Bot(Gate) as bot:
        await bot.post("wait")
        async with asyncio.timeout(5):
            while not bot._replies:
                await asyncio.sleep(0.01)
        assert [m.text for _, m in bot._replies] == ["waiting"]
        gate_of(bot).gate.set()
        assert await bot.replies() == ["waiting", "echo wait"]


async def test_a_plugin_that_raises_is_logged_and_excused_and_the_state_stays(caplog):
    class Raises(Interface):
        name = "raises"
        aliases = ("help",)

        async def consume(self, package):
            data = package.conversation.data
            if package.last_message_text == "boom":
                data["n"] = 99
                package.callback("just before")
                raise ValueError("secret detail")
            data["n"] = data.get("n", 0) + 1
            package.callback(str(data["n"]))

    async with Bot(Raises) as bot:
        assert await bot.say("go") == ["1"]
        answers = await bot.say("boom")
        assert answers == ["just before", "Sorry, something went wrong here. It has been noted."]
        assert await bot.say("go") == ["2"]
    assert "plugin raises failed" in caplog.text
    assert "secret detail" in caplog.text


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_a_plugin_beyond_its_limit_is_stopped(kind):
    release = threading.Event()

    class Hangs(Interface):
        aliases = ("help",)
        timeout = 0.1

        if kind == "async":

            async def consume(self, package):
                if package.last_message_text == "hang":
                    await asyncio.Event().wait()
                package.callback("fine")
        else:

            def consume(self, package):
                if package.last_message_text == "hang":
                    release.wait()
                package.callback("fine")

    async with Bot(Hangs) as bot:
        assert await bot.say("hang") == ["Sorry, this took too long and was stopped."]
        assert bot.reports[-1].ending is Ending.TIMEOUT
        assert await bot.say("again") == ["fine"]
        release.set()


async def test_threads_that_never_come_back_end_in_busy_and_hurt_no_other_plugin():
    release = threading.Event()

    class Stuck(Interface):
        name = "stuck"
        aliases = ("get stuck",)
        timeout = 0.05

        def consume(self, package):
            release.wait()
            package.callback("late")

    class Fine(Interface):
        aliases = ("help",)

        def consume(self, package):
            package.callback("fine")

    async with Bot(Stuck, Fine, worker_threads=4) as bot:
        for talker in ("a", "b"):
            assert await bot.say("get stuck", talker) == ["Sorry, this took too long and was stopped."]
        assert await bot.say("get stuck", "c") == ["Sorry, this is busy at the moment. Please try again later."]
        for talker in ("a", "d", "e", "f", "g"):
            assert await bot.say("something else", talker) == ["fine"]
        release.set()
        workers = bot.chatbot._workers
        async with asyncio.timeout(5):
            while workers.stuck("stuck"):
                await asyncio.sleep(0.01)
        assert await bot.replies("a") == []


async def test_cancel_reaches_a_turn_that_hangs():
    async with Bot(Gate) as bot:
        await bot.post("wait")
        await gate_of(bot).entered.wait()
        await bot.post("cancel")
        async with asyncio.timeout(5):
            assert await bot.replies() == ["waiting", "Cancelled."]
        assert bot.reports[-2].ending is Ending.CANCELLED
        assert await bot.say("hi") == ["echo hi"]


async def test_a_plugin_that_cleans_up_after_its_cancel_cannot_speak():
    class CleansUp(Interface):
        aliases = ("help",)

        async def consume(self, package):
            self.entered.set()
            try:
                await asyncio.Event().wait()
            finally:
                package.callback("bye")

    CleansUp.entered = asyncio.Event()
    async with Bot(CleansUp) as bot:
        await bot.post("go")
        await CleansUp.entered.wait()
        await bot.post("stop")
        assert await bot.replies() == ["Cancelled."]


async def test_a_lane_is_bounded():
    async with Bot(Gate, lane_depth=3) as bot:
        await bot.post("wait")
        await gate_of(bot).entered.wait()
        for number in range(3):
            await bot.post(str(number))
        with pytest.raises(Overloaded):
            await bot.post("one too many")
        await bot.post("others are not affected", "other")
        gate_of(bot).gate.set()
        assert await bot.replies() == ["waiting", "echo wait", "echo 0", "echo 1", "echo 2"]


async def test_a_turn_cannot_answer_without_end(caplog):
    class Floods(Interface):
        aliases = ("help",)

        async def consume(self, package):
            while True:
                package.callback("x")

    async with Bot(Floods) as bot:
        assert len(await bot.say("hi")) == 1001


async def test_the_same_event_is_taken_once():
    async with Bot(Gate) as bot:
        assert await bot.post("one", keys=("event-1", "channel+ts"))
        assert not await bot.post("one", keys=("event-1",))
        assert not await bot.post("one", keys=("another", "channel+ts"))
        assert await bot.replies() == ["echo one"]


async def test_lanes_are_forgotten_when_nothing_is_left_to_do():
    async with Bot(Gate) as bot:
        for number in range(50):
            await bot.say("hi", f"talker {number}")
        assert len(bot.chatbot._lanes) == 0


async def test_draining_ends_running_turns_and_refuses_new_ones():
    bot = Bot(Gate)
    await bot.chatbot.start()
    await bot.post("wait")
    await gate_of(bot).entered.wait()
    draining = asyncio.create_task(bot.chatbot.drain(5))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        bot.chatbot.receive(Event(Address("test", talker="x"), Message("hi")))
    gate_of(bot).gate.set()
    assert await draining
    assert [m.text for _, m in bot._replies] == ["waiting", "echo wait"]


async def test_draining_cuts_what_does_not_end():
    bot = Bot(Gate)
    await bot.chatbot.start()
    await bot.post("wait")
    await gate_of(bot).entered.wait()
    assert not await bot.chatbot.drain(0.05)


@pytest.mark.parametrize("form", ["async", "def"])
@pytest.mark.parametrize("what", ["exit", "cancelled"])
async def test_nothing_that_a_plugin_raises_leaves_its_conversation(form, what):
    def fall(text):
        if text == "fall":
            raise SystemExit(3) if what == "exit" else asyncio.CancelledError

    class Falls(Interface):
        aliases = ("help",)

        if form == "async":

            async def consume(self, package):
                fall(package.last_message_text)
                package.callback("fine")
        else:

            def consume(self, package):
                fall(package.last_message_text)
                package.callback("fine")

    async with Bot(Falls) as bot:
        await bot.post("fall")
        await bot.post("second")
        assert await bot.replies() == ["Sorry, something went wrong here. It has been noted.", "fine"]
        assert await bot.say("third", "other") == ["fine"]


async def test_a_plugin_that_ignores_its_cancel_loses_its_lane_and_nothing_else():
    stop = asyncio.Event()

    class Stubborn(Interface):
        aliases = ("help",)
        timeout = 0.1

        async def consume(self, package):
            if package.last_message_text == "stubborn":
                package.callback("before")
                await deaf_until(stop)
                package.callback("after")
                package.conversation.data["x"] = 1
            package.callback("fine")

    async with Bot(Stubborn) as bot:
        await bot.post("stubborn")
        await bot.post("second")
        async with asyncio.timeout(10):
            assert await bot.replies() == ["before", "Sorry, this took too long and was stopped.", "fine"]
        assert bot.chatbot.left == 1
        stop.set()
        async with asyncio.timeout(5):
            while bot.chatbot.left:
                await asyncio.sleep(0.01)
        assert await bot.say("third") == ["fine"]


async def test_a_cancel_while_the_plugin_is_being_found_keeps_it_from_running():
    class Slow:
        name = "slow"

        def __init__(self):
            self.gate = threading.Event()

        def embed(self, texts):
            self.gate.wait(10)
            return bundled_embedder().embed(texts)

    embedder, ran = Slow(), []

    class Runs(Interface):
        aliases = ("run now",)

        async def consume(self, package):
            ran.append(package.last_message_text)

    async with Bot(Runs, Gate, embedder=embedder) as bot:
        await bot.post("please run")
        await asyncio.sleep(0)
        await bot.post("cancel")
        embedder.gate.set()
        assert await bot.replies() == ["Cancelled."]
        assert ran == []
        assert await bot.say("cancel") == ["There is nothing to cancel."]


async def test_a_greeters_limit_is_its_own():
    class Quick(Interface):
        aliases = ("greet",)
        timeout = 0.05

        async def consume(self, package):
            package.callback("hello")

    class Main(Interface):
        aliases = ("help",)

        async def consume(self, package):
            await asyncio.sleep(0.3)
            package.callback("done")

    async with Bot(Quick, Main) as bot:
        assert await bot.say("something else") == ["hello", "done"]


async def test_waiting_for_a_thread_is_not_the_plugins_fault():
    import time

    class Holds(Interface):
        aliases = ("hold",)

        def consume(self, package):
            time.sleep(3.0)
            order.append("held")
            package.callback("held")

    class Quick(Interface):
        aliases = ("help",)
        # Less than it waits, and far more than it works.
        timeout = 2.0

        def consume(self, package):
            order.append("done")
            package.callback("done")

    order = []
    async with Bot(Holds, Quick, worker_threads=1) as bot:
        await bot.post("hold", "other")
        for number in range(3):
            await bot.post("go", str(number))
        assert [await bot.replies(str(number)) for number in range(3)] == [["done"]] * 3
        assert order == ["held", "done", "done", "done"]


async def test_marks_on_files_stay_unless_the_turn_fails():
    class Marks(Interface):
        aliases = ("help",)

        def consume(self, package):
            left = package.get_attachments(5, consumed=False)
            for part in left:
                part.consumed = True
            if package.last_message_text == "fail":
                raise ValueError
            package.callback(str(len(left)))

    async with Bot(Marks) as bot:
        await bot.post(Message([MessagePart("fail"), MessagePart(binary=b"x")]))
        assert len(await bot.replies()) == 1
        assert [await bot.say("again"), await bot.say("again")] == [["1"], ["0"]]
