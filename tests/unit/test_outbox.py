"""Replies leave in order, once recorded, and are tried again."""

import asyncio

import pytest

from zoozl.chatbot import Address, Message
from zoozl.chatbot.outbox import Outbox
from zoozl.chatbot.ports import Reply
from zoozl.errors import Away, DeliveryError, StoreError, Undeliverable
from zoozl.stores.memory import Store


class Sender:
    """Fails as it is told to, else notes what it sends."""

    def __init__(self, *failures):
        self.failures = list(failures)
        self.sent = []
        self.tried = []

    async def send(self, address, message, key):
        self.tried.append(key)
        if self.failures and (failure := self.failures.pop(0)) is not None:
            raise failure
        self.sent.append((key, message.text))


def outbox_with(sender):
    outbox = Outbox(Store(), author="bot")
    outbox.senders["c"] = sender
    outbox.start()
    return outbox


def replies(*texts, lane="lane", seq=1):
    return [Reply(10 * seq + n, seq, n, lane, Address("c", talker="t"), Message(text)) for n, text in enumerate(texts)]


async def test_replies_go_out_in_order_with_stable_keys():
    sender = Sender()
    await outbox_with(sender).deliver("lane", replies("a", "b", "c"), None)
    assert sender.sent == [("10", "a"), ("11", "b"), ("12", "c")]


async def test_a_failed_reply_is_tried_again_and_holds_back_those_behind_it():
    sender = Sender(DeliveryError("busy", retry_after=0.01), None)
    outbox = outbox_with(sender)
    await outbox.deliver("lane", replies("a", "b"), None)
    await outbox.deliver("lane", replies("c", seq=2), None)
    await outbox.deliver("other", replies("x", lane="other", seq=3), None)
    assert sender.sent == [("30", "x")], "another lane does not wait"
    await outbox.join()
    assert [text for _, text in sender.sent] == ["x", "a", "b", "c"]
    assert sender.tried == ["10", "30", "10", "11", "20"]


async def test_what_is_shown_next_does_not_overtake_the_end_of_typing():
    sender, shown = Sender(), []
    sender.typing = lambda address, on: shown.append(on)
    outbox = outbox_with(sender)
    outbox.typing(Address("c", talker="t"), True)
    outbox.typing(Address("c", talker="t"), False)
    assert shown == [True, False], "at once"


@pytest.mark.parametrize("kind", ["at once", "awaited"])
@pytest.mark.parametrize(("exc", "level"), [(DeliveryError("busy"), "DEBUG"), (KeyError("bug"), "ERROR")])
async def test_that_it_cannot_be_shown_stops_nobody(kind, exc, level, caplog):
    caplog.set_level("DEBUG")

    def at_once(address, on):
        raise exc

    async def awaited(address, on):
        raise exc

    sender = Sender()
    sender.typing = at_once if kind == "at once" else awaited
    outbox = outbox_with(sender)
    outbox.typing(Address("c", talker="t"), True)
    while outbox._showing:
        await asyncio.sleep(0)
    assert [record.levelname for record in caplog.records if "at work" in record.message] == [level]


async def test_what_cannot_be_delivered_is_a_dead_letter_and_the_next_goes_on():
    sender = Sender(Undeliverable("the room is gone"))
    outbox = outbox_with(sender)
    await outbox.deliver("lane", replies("a", "b"), None)
    assert sender.sent == [("11", "b")]
    ((reply, error),) = outbox._store.dead_letters
    assert (reply.key, error) == ("10", "the room is gone")


async def test_a_channels_own_fault_is_a_failed_try(caplog):
    sender = Sender(ZeroDivisionError())
    outbox = outbox_with(sender)
    await outbox.deliver("lane", replies("a"), None)
    assert "channel c failed to send reply 10" in caplog.text
    await outbox.close()


async def test_tries_end():
    sender = Sender(*[DeliveryError("no", retry_after=0) for _ in range(100)])
    outbox = outbox_with(sender)
    await outbox.deliver("lane", replies("a"), None)
    await outbox.join()
    assert len(sender.tried) == 20
    assert "given up after 20 tries" in outbox._store.dead_letters[0][1]


async def test_nothing_is_sent_before_it_is_durable_or_if_it_never_is():
    sender = Sender()
    outbox = outbox_with(sender)
    durable = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(outbox.deliver("lane", replies("a"), durable))
    await asyncio.sleep(0)
    assert sender.sent == []
    durable.set_result(None)
    await waiting
    assert len(sender.sent) == 1
    failed = asyncio.get_running_loop().create_future()
    failed.set_exception(StoreError("disk full"))
    await outbox.deliver("lane", replies("b"), failed)
    assert len(sender.sent) == 1


async def test_a_channel_that_is_not_there_is_a_dead_letter():
    outbox = outbox_with(Sender())
    outbox.tell(Address("fax", talker="t"), "hello")
    await asyncio.sleep(0)
    await outbox.join()
    assert "no channel 'fax'" in outbox._store.dead_letters[0][1]


def test_nothing_can_be_told_before_the_start():
    with pytest.raises(RuntimeError, match="not started"):
        Outbox(Store()).tell(Address("c", talker="t"), "hello")


async def test_one_who_stops_waiting_for_the_disk_does_not_take_it_from_the_turn():
    outbox = outbox_with(Sender())
    durable = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(outbox.deliver("lane", replies("a"), durable))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert not durable.cancelled()
    durable.set_result(None)
    await outbox.join()


async def test_nothing_overtakes_what_waited_for_a_talker_who_comes_back():
    sender, there = Sender(), False

    async def send(address, message, key):
        if not there:
            raise Away("not here")
        sender.sent.append(message.text)

    outbox = outbox_with(sender)
    sender.send = send
    store = outbox._store
    for number, text in enumerate("ab", 1):
        (reply,) = replies(text, seq=number)
        store.record([reply], [])
        await outbox.deliver("lane", [reply], None)

    def ready():
        nonlocal there
        there = True
        (late,) = replies("c", seq=9)
        store.record([late], [])
        outbox.deliver_soon("lane", [late], None)

    await outbox.resume("lane", 0, ready)
    assert sender.sent == ["a", "b", "c"]
