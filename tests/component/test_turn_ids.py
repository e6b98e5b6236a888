"""One number leads from a message to all that was logged about it."""

import asyncio
import logging
import sys
from pathlib import Path

from zoozl import logs
from zoozl.chatbot import Interface
from zoozl.errors import DeliveryError
from zoozl.testing import Bot

sys.path.append(str(Path(__file__).parents[1] / "fakes"))

from deaf import deaf_until

log = logging.getLogger("plugin")


class Records(logging.Handler):
    def __init__(self):
        super().__init__()
        self.addFilter(logs.with_turn)
        self.found = []

    def emit(self, record):
        self.found.append((record.turn, record.name, record.getMessage()))

    def of(self, turn):
        return [(name, text) for number, name, text in self.found if number == turn]


class Talks(Interface):
    aliases = ("talk",)

    async def consume(self, package):
        log.info("async %s", package.last_message_text)
        await asyncio.gather(self.part(package))
        package.callback("said")

    async def part(self, package):
        log.info("task %s", package.last_message_text)


class Works(Interface):
    aliases = ("work",)

    def consume(self, package):
        log.info("thread %s", package.last_message_text)
        package.callback("done")


class Flaky(Bot):
    """Delivers at the second try, which is made in the background."""

    tries = 0

    async def send(self, address, message, key):
        self.tries += 1
        if self.tries % 2:
            raise DeliveryError("not now", retry_after=0.01)
        logging.getLogger("channel").info("sending %s", message.text)
        await super().send(address, message, key)


async def test_one_number_from_the_message_to_its_replies(caplog):
    caplog.set_level(logging.DEBUG)
    records = Records()
    logging.getLogger().addHandler(records)
    try:
        async with Flaky(Talks, Works) as bot:
            assert await bot.say("talk") == ["said"]
            await asyncio.gather(bot.post("talk", "a"), bot.post("work", "b"), bot.post("work", "c"))
            await bot.replies()
    finally:
        logging.getLogger().removeHandler(records)
    begun = [(turn, text) for turn, name, text in records.found if name == "zoozl.chatbot.core"]
    assert [text.split(" for ")[0] for _, text in begun] == ["message"] * 4
    turns = [turn for turn, _ in begun]
    assert len(set(turns)) == 4
    for turn, plugin in zip(turns, ("talk", "talk", "work", "work"), strict=True):
        mine = records.of(turn)
        kinds = {
            "talk": [("plugin", "async talk"), ("plugin", "task talk")],
            "work": [("plugin", "thread work")],
        }[plugin]
        assert [entry for entry in mine if entry[0] == "plugin"] == kinds
        assert ("channel", f"sending {'said' if plugin == 'talk' else 'done'}") in mine
        outbox = [text for name, text in mine if name == "zoozl.chatbot.outbox"]
        assert any("is sent" in text for text in outbox)
        assert any(name == "zoozl.chatbot.turn" and f"'{plugin}'" in text for name, text in mine)
    assert sum("not delivered yet" in text for _, _, text in records.found) == 4
    assert all(turn in turns for turn, name, text in records.found if "not delivered yet" in text or name == "plugin")


async def test_a_turn_that_is_given_up_has_its_number(caplog):
    stop = asyncio.Event()

    class Stubborn(Interface):
        aliases = ("help",)
        timeout = 0.1

        async def consume(self, package):
            await deaf_until(stop)

    records = Records()
    logging.getLogger().addHandler(records)
    try:
        async with Bot(Stubborn) as bot:
            # Both are looked at by one timer, which was begun by the first.
            await bot.post("x", "first")
            await bot.post("x", "second")
            try:
                async with asyncio.timeout(10):
                    await bot.replies()
            finally:
                stop.set()
    finally:
        logging.getLogger().removeHandler(records)
    given_up = [(turn, text) for turn, _, text in records.found if "does not end although" in text]
    assert len(given_up) == 2
    assert all(text.startswith(f"turn {turn} ") for turn, text in given_up)
