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


async def deliver(outbox, lane, said):
    """As a turn does."""
    if not outbox.reserve(lane, said):
        outbox.deliver_soon(lane, said, None)
    elif (rest := outbox.deliver(lane, said)) is not None:
        await rest


async def test_replies_go_out_in_order_with_stable_keys():
    sender = Sender()
    await deliver(outbox_with(sender), "lane", replies("a", "b", "c"))
    assert sender.sent == [("10", "a"), ("11", "b"), ("12", "c")]


async def test_a_failed_reply_is_tried_again_and_holds_back_those_behind_it():
    sender = Sender(DeliveryError("busy", retry_after=0.01), None)
    outbox = outbox_with(sender)
    await deliver(outbox, "lane", replies("a", "b"))
    await deliver(outbox, "lane", replies("c", seq=2))
    await deliver(outbox, "other", replies("x", lane="other", seq=3))
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
    await deliver(outbox, "lane", replies("a", "b"))
    assert sender.sent == [("11", "b")]
    ((reply, error),) = outbox._store.dead_letters
    assert (reply.key, error) == ("10", "the room is gone")


async def test_a_channels_own_fault_is_a_failed_try(caplog):
    sender = Sender(ZeroDivisionError())
    outbox = outbox_with(sender)
    await deliver(outbox, "lane", replies("a"))
    assert "channel c failed to send reply 10" in caplog.text
    await outbox.close()


async def test_tries_end():
    sender = Sender(*[DeliveryError("no", retry_after=0) for _ in range(100)])
    outbox = outbox_with(sender)
    await deliver(outbox, "lane", replies("a"))
    await outbox.join()
    assert len(sender.tried) == 20
    assert "given up after 20 tries" in outbox._store.dead_letters[0][1]


async def test_nothing_is_sent_before_it_is_durable_or_if_it_never_is():
    sender = Sender()
    outbox = outbox_with(sender)
    durable = asyncio.get_running_loop().create_future()
    outbox.deliver_soon("lane", replies("a"), durable)
    await asyncio.sleep(0)
    assert sender.sent == []
    durable.set_result(None)
    await outbox.join()
    assert len(sender.sent) == 1
    failed = asyncio.get_running_loop().create_future()
    failed.set_exception(StoreError("disk full"))
    outbox.deliver_soon("lane", replies("b"), failed)
    await outbox.join()
    assert len(sender.sent) == 1


@pytest.mark.parametrize("at_once", [True, False])
async def test_nothing_overtakes_a_turn_that_has_its_place(at_once):
    sender = Sender()
    if at_once:
        sender.send_nowait = lambda address, message, key: sender.sent.append((key, message.text)) or True
    outbox = outbox_with(sender)
    outbox.connect({"c": sender})
    said = replies("a", "b")
    assert outbox.reserve("lane", said)
    outbox.deliver_soon("lane", replies("told", seq=2), None)
    assert not outbox.reserve("lane", replies("later", seq=3))
    assert outbox.reserve("lane", []), "which needs no place"
    assert outbox.deliver("lane", []) is None, "nor touches that of others"
    await asyncio.sleep(0)
    assert sender.sent == []
    assert outbox.ids() == {10, 11, 20}, "somebody is at them"
    if (rest := outbox.deliver("lane", said)) is not None:
        await rest
    await outbox.join()
    assert [text for _, text in sender.sent] == ["a", "b", "told"]
    assert not outbox.busy("lane")


async def test_a_turn_that_is_not_recorded_gives_up_its_place():
    sender = Sender()
    outbox = outbox_with(sender)
    assert outbox.reserve("lane", replies("a", "b"))
    outbox.deliver_soon("lane", replies("told", seq=2), None)
    outbox.withdraw("lane", replies("a", "b"))
    await outbox.join()
    assert [text for _, text in sender.sent] == ["told"]
    assert outbox.reserve("lane", replies("a"))
    outbox.withdraw("lane", replies("a"))
    outbox.withdraw("lane", [])
    assert not outbox.busy("lane")


async def test_who_comes_back_is_next_in_a_busy_lane():
    sender = Sender()
    sender.send_nowait = lambda address, message, key: sender.sent.append((key, message.text)) or True
    outbox = outbox_with(sender)
    outbox.connect({"c": sender})
    assert outbox.reserve("lane", replies("a"))
    came = []
    gone, *others = (asyncio.ensure_future(outbox.resume("lane", 0, lambda: came.append(None))) for _ in range(3))
    await asyncio.sleep(0)
    gone.cancel()
    outbox.deliver("lane", replies("a"))
    assert not outbox.reserve("lane", replies("b", seq=2)), "it is not free, however busy it is"
    outbox.deliver_soon("lane", replies("b", seq=2), None)
    assert not came
    await asyncio.wait(others, timeout=10)
    assert len(came) == 2
    await outbox.join()
    assert [text for _, text in sender.sent] == ["a", "b"]
    assert not outbox.busy("lane")
    assert not outbox._arriving


async def test_one_who_leaves_as_it_is_his_turn_gives_it_to_the_next():
    outbox = outbox_with(Sender())
    outbox.reserve("lane", replies("a"))
    resuming = asyncio.ensure_future(outbox.resume("lane", 0, lambda: None))
    await asyncio.sleep(0)
    outbox.withdraw("lane", replies("a"))
    outbox.deliver_soon("lane", replies("told", seq=2), None)
    resuming.cancel()
    await asyncio.wait([resuming])
    await outbox.join()
    assert outbox.senders["c"].sent == [("20", "told")]
    assert not outbox.busy("lane")


async def test_a_channel_that_is_replaced_sends_nothing_more():
    old, new = Sender(), Sender()
    old.send_nowait = lambda address, message, key: old.sent.append(message.text) or True
    outbox = outbox_with(old)
    outbox.connect({"c": old})
    outbox.connect({"c": new})
    await deliver(outbox, "lane", replies("a"))
    assert (old.sent, new.sent) == ([], [("10", "a")])


@pytest.mark.parametrize("answer", [None, ConnectionError("gone"), KeyError("bug")])
async def test_what_cannot_be_sent_at_once_is_sent_the_other_way(answer):
    def send_nowait(address, message, key):
        if message.text == "b":
            if answer is not None:
                raise answer
            return None
        sender.sent.append((key, "at once"))
        return True

    sender = Sender()
    sender.send_nowait = send_nowait
    outbox = outbox_with(sender)
    outbox.connect({"c": sender})
    await deliver(outbox, "lane", replies("a", "b", "c"))
    assert sender.sent == [("10", "at once"), ("11", "b"), ("12", "c")]
    assert outbox.counts == {("c", "sent"): 3}


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
    outbox.deliver_soon("lane", replies("a"), durable)
    await asyncio.sleep(0)
    await outbox.close()
    assert not durable.cancelled()


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
        await deliver(outbox, "lane", [reply])

    def ready():
        nonlocal there
        there = True
        (late,) = replies("c", seq=9)
        store.record([late], [])
        outbox.deliver_soon("lane", [late], None)

    await outbox.resume("lane", 0, ready)
    assert sender.sent == ["a", "b", "c"]
