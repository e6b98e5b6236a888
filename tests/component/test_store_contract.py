"""What every store promises, whatever it is built on: plain cases, and any order of operations against a plain model."""

import asyncio
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from zoozl.chatbot import Address, Message, MessagePart
from zoozl.chatbot.message import Event, scope_key
from zoozl.chatbot.ports import Dialog, Entry, Outcome, Reply, State, Step
from zoozl.chatbot.question import Question
from zoozl.stores.memory import Store as MemoryStore
from zoozl.stores.sqlite import Store as SqliteStore

TALKERS = ("anna", "berta", "carl")
KEYS = ("k1", "k2", "k3", "k4", "k5")
LEAST_HISTORY = 20  # messages that `load` gives at least, if there are so many


def address(talker):
    return Address("c", talker=talker)


def lane_of(talker):
    return scope_key(address(talker))


def event(text, *keys, talker="anna", channel="c"):
    return Event(Address(channel, talker=talker), Message(text), keys)


def reply_to(store, receipt, n, text):
    return Reply(store.next_number(), receipt.seq, n, receipt.lane, receipt.event.address, Message(text, from_bot=True))


def outcome(store, receipt, *texts, subject="s", first=0):
    replies = [reply_to(store, receipt, first + n, text) for n, text in enumerate(texts)]
    state = State("u", receipt.event.address.talker, subject)
    return Outcome(receipt, state, [receipt.event.message, *(r.message for r in replies)], replies)


async def done(future):
    if future is not None:
        await future


class Kind:
    """How to open, close and crash one kind of store; a kind that is gone with its process is opened anew."""

    def __init__(self, folder):
        self.folder = Path(folder)

    async def open(self):
        raise NotImplementedError


class InMemory(Kind):
    survives = False

    async def open(self):
        return MemoryStore()


class Sqlite(Kind):
    survives = True

    async def open(self):
        return await SqliteStore.open(self.folder / "zoozl.db", synchronous="NORMAL")

    async def crash(self, store):
        """What is on disk as the process dies: the files as they are, in another folder."""
        await store.run(lambda db: None)  # what was told to be durable is; the rest may be
        copy = Path(tempfile.mkdtemp(dir=self.folder.parent))
        for name in ("zoozl.db", "zoozl.db-wal"):
            if (self.folder / name).exists():
                shutil.copy(self.folder / name, copy / name)
        await store.close()
        self.folder = copy


@pytest.fixture(params=[InMemory, Sqlite], ids=["memory", "sqlite"])
def kind(request, tmp_path):
    (tmp_path / "store").mkdir()
    return request.param(tmp_path / "store")


@pytest.fixture
async def store(kind):
    opened = await kind.open()
    yield opened
    await opened.close()


# Plain cases.


async def test_an_event_is_taken_once_for_all_of_its_keys(store):
    first = store.accept(event("1", "a", "b"), lane_of("anna"))
    others = [store.accept(event(key, key), lane_of("anna")) for key in ("b", "c", "a")]
    assert await first.acknowledged()
    assert [await receipt.acknowledged() for receipt in others] == [False, True, False]


async def test_the_keys_of_a_duplicate_are_taken_too(store):
    store.accept(event("1", "a"), lane_of("anna"))
    assert not await store.accept(event("1", "a", "b"), lane_of("anna")).acknowledged()
    assert not await store.accept(event("1", "b"), lane_of("anna")).acknowledged()


async def test_the_same_key_of_another_channel_is_another_event(store):
    assert await store.accept(event("1", "a"), lane_of("anna")).acknowledged()
    assert await store.accept(event("1", "a", channel="d"), "d::user:anna").acknowledged()


async def test_one_event_is_new_however_many_are_delivered_at_once(store):
    receipts = [store.accept(event("1", "a"), lane_of("anna")) for _ in range(50)]
    assert sum([await receipt.acknowledged() for receipt in receipts]) == 1


async def test_events_without_a_key_are_all_new(store):
    receipts = [store.accept(event("same"), lane_of("anna")) for _ in range(3)]
    assert all([await receipt.acknowledged() for receipt in receipts])


async def test_events_are_numbered_in_the_order_of_the_calls(store):
    numbers = [store.accept(event(str(n)), lane_of(TALKERS[n % 3])).seq for n in range(20)]
    assert numbers == sorted(set(numbers))


async def test_a_turn_leaves_state_history_and_replies(store):
    receipt = store.accept(event("1"), lane_of("anna"))
    await done(store.commit(outcome(store, receipt, "one", "two")))
    state, messages, _ = await store.load(lane_of("anna"))
    assert (state.subject, [m.text for m in messages]) == ("s", ["1", "one", "two"])
    replies = await store.undelivered(lane_of("anna"))
    assert [(r.seq, r.n, r.message.text) for r in replies] == [(receipt.seq, 0, "one"), (receipt.seq, 1, "two")]


async def test_a_turn_that_changes_no_state_leaves_it_as_it_was(store):
    first, second = (store.accept(event(str(n)), lane_of("anna")) for n in range(2))
    await done(store.commit(outcome(store, first, subject="kept")))
    await done(store.commit(Outcome(second, None, [second.event.message], [])))
    state, messages, _ = await store.load(lane_of("anna"))
    assert (state.subject, len(messages)) == ("kept", 2)


async def test_a_conversation_that_never_was_is_empty(store):
    assert await store.load("nobody") == (None, [], ())


async def test_the_history_that_is_loaded_belongs_to_the_caller(store):
    receipt = store.accept(event("1"), lane_of("anna"))
    await done(store.commit(outcome(store, receipt)))
    (await store.load(lane_of("anna")))[1].clear()
    assert len((await store.load(lane_of("anna")))[1]) == 1


async def test_the_history_is_read_backwards_in_pages(store):
    for n in range(7):
        receipt = store.accept(event(f"m{n}"), lane_of("anna"))
        store.accept(event("aside", talker="berta"), lane_of("berta"))
        await done(store.commit(outcome(store, receipt, f"r{n}")))

    async def page(skip, limit):
        messages, total = await store.history(lane_of("anna"), skip, limit)
        return [message.text for message in messages], total

    assert await page(0, 3) == (["r5", "m6", "r6"], 14)
    assert await page(3, 3) == (["m4", "r4", "m5"], 14)
    assert await page(12, 3) == (["m0", "r0"], 14)
    assert await page(14, 3) == ([], 14)
    assert await store.history("nobody", 0, 3) == ([], 0)


async def test_a_conversation_may_be_loaded_twice_at_once(kind):
    store = await kind.open()
    receipt = store.accept(event("1"), lane_of("anna"))
    await done(store.commit(outcome(store, receipt, "one")))
    if kind.survives:
        await store.close()
        store = await kind.open()
    loaded = await asyncio.gather(*(store.load(lane_of("anna")) for _ in range(3)))
    assert [[m.text for m in messages] for _, messages, _ in loaded] == [["1", "one"]] * 3
    assert [m.text for m in (await store.load(lane_of("anna")))[1]] == ["1", "one"]
    await store.close()


async def test_replies_come_in_the_order_of_their_ids_until_they_are_delivered(store):
    receipts = [store.accept(event(str(n), talker=talker), lane_of(talker)) for n, talker in enumerate(TALKERS * 3)]
    for receipt in reversed(receipts):
        await done(store.commit(outcome(store, receipt, "a", "b")))
    replies = await store.undelivered()
    assert [reply.id for reply in replies] == sorted(reply.id for reply in replies)
    for reply in replies[::2]:
        store.delivered(reply.lane, reply.id)
    assert [reply.id for reply in await store.undelivered()] == [reply.id for reply in replies[1::2]]
    assert {reply.lane for reply in await store.undelivered(lane_of("berta"))} == {lane_of("berta")}


async def test_replies_of_some_channels_are_left_out(store):
    for channel in ("c", "cc"):
        where, number = Address(channel, talker="anna"), store.next_number()
        await done(store.record([Reply(number, number, 0, scope_key(where), where, Message(channel))], []))
    for without, found in (((), ["c", "cc"]), (("c",), ["cc"]), ({"c", "cc"}, [])):
        assert [reply.message.text for reply in await store.undelivered(without=without)] == found


async def test_a_reply_that_failed_stays_and_a_dead_one_goes(store):
    receipt = store.accept(event("1"), lane_of("anna"))
    await done(store.commit(outcome(store, receipt, "one", "two")))
    one, two = await store.undelivered()
    one.attempts = 1
    store.failed(one, "no answer", 1.0)
    store.dead(two, "gone")
    assert [(reply.id, reply.attempts) for reply in await store.undelivered()] == [(one.id, 1)]


async def test_early_replies_are_kept_with_their_lines(store):
    receipt = store.accept(event("1"), lane_of("anna"))
    early = reply_to(store, receipt, 0, "hold on")
    await done(store.record([early], [receipt.event.message, early.message]))
    assert [reply.key for reply in await store.undelivered()] == [early.key]
    late = reply_to(store, receipt, 1, "there")
    await done(store.commit(Outcome(receipt, State("u", "anna", "s"), [late.message], [late])))
    assert [m.text for m in (await store.load(lane_of("anna")))[1]] == ["1", "hold on", "there"]
    assert [(reply.key, reply.n) for reply in await store.undelivered()] == [(early.key, 0), (late.key, 1)]


async def test_values_by_space_and_prefix(store):
    for space, key, value in (("a", "x1", "1"), ("a", "x2", "2"), ("b", "x1", "3"), ("a", "y", "4"), ("a", "x2", "5")):
        await store.put(space, key, value)
    await store.put("a", "x1", None)
    assert [await store.get("a", key) for key in ("x1", "x2", "y", "z")] == [None, "5", "4", None]
    assert await store.get("b", "x1") == "3"
    assert await store.keys("a", "") == ["x2", "y"]
    assert await store.keys("a", "x") == ["x2"]
    assert await store.keys("c", "") == []
    await store.put("a", "y\0z", "5")
    assert await store.keys("a", "y\0") == ["y\0z"]


async def test_numbers_are_never_given_twice_over_restarts(tmp_path):
    kind, given = Sqlite(tmp_path), []
    for n in range(5):
        store = await kind.open()
        receipt = store.accept(event(str(n)), lane_of("anna"))
        await done(store.commit(outcome(store, receipt, "answer")))
        number = store.next_number()
        await done(store.record([Reply(number, number, 0, lane_of("anna"), address("anna"), Message("told"))], []))
        given += [receipt.seq, *(reply.id for reply in await store.undelivered())]
        for reply in await store.undelivered():
            store.delivered(reply.lane, reply.id)
        await (store.close() if n % 2 else kind.crash(store))
    assert given == sorted(set(given))


async def test_an_event_that_is_given_up_becomes_a_dead_letter_and_is_answered(kind):
    store = await kind.open()
    receipt = store.accept(event("poison"), lane_of("anna"))
    await receipt.acknowledged()
    await store.bury(receipt, "killed the process", [reply_to(store, receipt, 0, "sorry")])
    assert [reply.message.text for reply in await store.undelivered()] == ["sorry"]
    assert await store.unfinished() == []
    await store.close()


# Dialogs.


def dialog(number, talker="anna", *, asks="", deadline=None, entries=0, room="", data="{}"):
    where = Address("c", room=room, talker=talker)
    asked = Question(asks, f"{asks}?", talker=talker) if asks else None
    return Dialog(number, scope_key(where), "m:P", "/p", where, f'{{"n": {number}}}', data, asked, deadline, entries)


def entry(turn, kind="ask", value=None):
    return Entry(turn, kind, value)


async def test_a_dialog_is_there_as_it_was_last_noted(kind):
    store = await kind.open()
    first = (entry(1, "ask", {"prompt": "déjà vu?"}), entry(2, "answer", {"value": [1, None, "x"]}))
    await done(store.note(Step(dialog(7, asks="a1", deadline=50.5, entries=2), first)))
    later = dialog(7, asks="a2", deadline=60.25, entries=3, data='{"x": 1}')
    await done(store.note(Step(later, (entry(3, "step", {"name": "f", "result": 1.5}),))))
    if kind.survives:
        await store.close()
        store = await kind.open()
    assert (await store.load(lane_of("anna"))).dialogs == (later,)
    assert await store.entries(7) == [*first, entry(3, "step", {"name": "f", "result": 1.5})]
    assert await store.entries(8) == []
    await store.close()


async def test_a_dialog_that_was_noted_before_its_first_turn_ended_is_found(store):
    receipt = store.accept(event("/p"), lane_of("anna"))
    await done(store.note(Step(dialog(receipt.seq, entries=1), (entry(receipt.seq, "step"),))))
    state, _, dialogs = await store.load(lane_of("anna"))
    assert state is None
    assert [d.id for d in dialogs] == [receipt.seq]


async def test_a_dialog_that_has_ended_leaves_nothing(store):
    await done(store.note(Step(dialog(7, asks="a1", deadline=5.0, entries=1), (entry(1),))))
    await done(store.note(Step(dialog(7), ended=True)))
    assert (await store.load(lane_of("anna"))).dialogs == ()
    assert await store.entries(7) == []
    assert await store.due(10) == []
    assert await store.dialog_of("a1") is None
    assert await store.dialogs_of("c", "anna") == []


async def test_the_latest_question_of_a_conversation_comes_last(store):
    for number in (7, 8, 9):
        await done(store.note(Step(dialog(number, asks=f"a{number}", entries=1), (entry(1),))))
    assert [d.id for d in (await store.load(lane_of("anna"))).dialogs] == [7, 8, 9]
    await done(store.note(Step(dialog(7, asks="b7", entries=2), (entry(2),))))
    assert [d.id for d in (await store.load(lane_of("anna"))).dialogs] == [8, 9, 7]


async def test_the_earliest_deadlines_are_due_first(store):
    for number, deadline in enumerate([30.0, 10.0, None, 20.0, 40.0], 1):
        await done(store.note(Step(dialog(number, f"t{number}", deadline=deadline, entries=1), (entry(1),))))
    assert [d.id for d in await store.due(3)] == [2, 4, 1]
    await done(store.note(Step(dialog(2, "t2", deadline=35.0, entries=2), (entry(2),))))
    await done(store.note(Step(dialog(4, "t4"), ended=True)))
    assert [(d.id, d.deadline) for d in await store.due(10)] == [(1, 30.0), (2, 35.0), (5, 40.0)]


async def test_a_dialog_is_found_by_its_open_question_and_by_no_older_one(store):
    await done(store.note(Step(dialog(7, asks="a1", entries=1), (entry(1),))))
    await done(store.note(Step(dialog(8, "berta", asks="b1", entries=1), (entry(1),))))
    assert (await store.dialog_of("a1")).id == 7
    await done(store.note(Step(dialog(7, asks="a2", entries=2), (entry(2),))))
    assert await store.dialog_of("a1") is None
    assert (await store.dialog_of("a2")).id == 7
    await done(store.note(Step(dialog(7, deadline=9.0, entries=3), (entry(3),))))
    assert await store.dialog_of("a2") is None
    assert (await store.dialog_of("b1")).id == 8


async def test_a_talkers_dialogs_are_found_in_every_room_of_a_channel(store):
    for number, room in ((7, ""), (8, "r1"), (9, "r2")):
        await done(store.note(Step(dialog(number, room=room, asks=f"a{number}", entries=1), (entry(1),))))
    await done(store.note(Step(dialog(10, "berta", room="r1", asks="b", entries=1), (entry(1),))))
    assert [d.id for d in await store.dialogs_of("c", "anna")] == [7, 8, 9]
    assert await store.dialogs_of("d", "anna") == []


async def test_only_a_conversation_that_was_is_known(store):
    assert not await store.knows(lane_of("anna"))
    receipt = store.accept(event("1"), lane_of("anna"))
    assert not await store.knows(lane_of("anna"))
    await done(store.commit(outcome(store, receipt)))
    assert await store.knows(lane_of("anna"))


async def test_dialogs_change_with_the_commit_of_their_turn(kind):
    store = await kind.open()
    first, second = (store.accept(event(str(n)), lane_of("anna")) for n in range(2))
    asked = outcome(store, first, "Well?")
    asked.steps = [Step(dialog(first.seq, asks="a1", entries=1), (entry(first.seq),))]
    await done(store.commit(asked))
    assert [d.id for d in (await store.load(lane_of("anna"))).dialogs] == [first.seq]
    answered = outcome(store, second, "Thanks.")
    answered.steps = [
        Step(dialog(first.seq), ended=True),
        Step(dialog(second.seq, asks="a2", entries=1), (entry(second.seq),)),
    ]
    await done(store.commit(answered))
    if kind.survives:
        await kind.crash(store)
        store = await kind.open()
    assert [d.id for d in (await store.load(lane_of("anna"))).dialogs] == [second.seq]
    assert await store.entries(first.seq) == []
    assert await store.unfinished() == []
    await store.close()


async def test_an_event_that_is_given_up_takes_its_dialogs_along(kind):
    store = await kind.open()
    receipt = store.accept(event("poison"), lane_of("anna"))
    await receipt.acknowledged()
    for number, turn in ((receipt.seq, receipt.seq), (500, receipt.seq), (501, 499)):
        await done(store.note(Step(dialog(number, asks=f"a{number}", entries=1), (entry(turn, "step"),))))
    await store.load(lane_of("anna"))
    await store.bury(receipt, "killed the process", [])
    assert [d.id for d in (await store.load(lane_of("anna"))).dialogs] == [501]
    assert await store.entries(500) == []
    await store.close()


# Any order.


class Undone:
    """What the model knows of an event that is not done."""

    def __init__(self, receipt):
        self.receipt = receipt
        self.attempts = self.said = 0
        self.archived = False


class StoreMachine(RuleBasedStateMachine):
    """One store beside a model made of plain lists; `Kind` is set by the test."""

    kind_class = InMemory

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.top = tempfile.TemporaryDirectory()
        self.kind = self.kind_class(Path(self.top.name) / "store")
        self.kind.folder.mkdir()
        self.store = self.wait(self.kind.open())
        self.loose = []  # futures that were not waited for
        self.taken = set()
        self.undone = {}  # seq: Undone, in the order of seq
        self.outbox = {}  # id: (key, lane, seq, n, text, attempts)
        self.states = {}
        self.lines = {talker: [] for talker in TALKERS}
        self.values = {}
        self.dialogs = {}  # id: (Dialog, its entries), the latest question last
        self.dead = 0
        self.highest = 0
        self.count = 0

    def wait(self, coroutine):
        return self.runner.run(asyncio.wait_for(coroutine, 20))

    def submit(self, function, wait):
        """Call a method of the store on the loop; its future is waited for now or some time later."""

        async def call():
            future = function()
            if wait:
                await done(future)
            elif future is not None:
                self.loose.append(future)

        self.wait(call())

    async def settle(self):
        loose, self.loose = self.loose, []
        for future in loose:
            await future

    def text(self):
        self.count += 1
        return f"text {self.count}"

    def head(self, talker):
        """The event whose turn it is."""
        return next((u for u in self.undone.values() if u.receipt.lane == lane_of(talker)), None)

    def replies(self, undone, number):
        async def make():
            return [reply_to(self.store, undone.receipt, undone.said + n, self.text()) for n in range(number)]

        replies = self.wait(make())
        self.keep(replies)
        undone.said += number
        return replies

    def keep(self, replies):
        for reply in replies:
            assert reply.id > self.highest, "a number was given twice"
            self.highest = reply.id
            self.outbox[reply.id] = (reply.key, reply.lane, reply.seq, reply.n, reply.message.text, 0)

    def own_line(self, undone):
        if undone.archived:
            return []
        undone.archived = True
        return [undone.receipt.event.message]

    @rule(
        talker=st.sampled_from(TALKERS),
        batches=st.lists(st.lists(st.sampled_from(KEYS), max_size=3, unique=True), min_size=1, max_size=4),
        wait=st.booleans(),
        file=st.booleans(),
    )
    def accept(self, talker, batches, wait, file):
        async def call():
            receipts = []
            for keys in batches:
                parts = [MessagePart(self.text())]
                if file:
                    parts.append(MessagePart("", b"\x00\xff", "image/png", "a.png"))
                receipts.append(self.store.accept(Event(address(talker), Message(parts), tuple(keys)), lane_of(talker)))
            for receipt in receipts:
                if wait:
                    await receipt.acknowledged()
                elif receipt.known is not None:
                    await receipt.known
            return receipts

        for keys, receipt in zip(batches, self.wait(call()), strict=True):
            assert receipt.duplicate == any(key in self.taken for key in keys)
            self.taken.update(keys)
            if not receipt.duplicate:
                assert receipt.seq > self.highest, "a number was given twice"
                self.highest = receipt.seq
                self.undone[receipt.seq] = Undone(receipt)

    @rule(
        talker=st.sampled_from(TALKERS),
        replies=st.integers(0, 3),
        subject=st.sampled_from([None, "a", "b"]),
        wait=st.booleans(),
    )
    def commit(self, talker, replies, subject, wait):
        undone = self.head(talker)
        if undone is None:
            return
        said = self.replies(undone, replies)
        lines = [*self.own_line(undone), *(reply.message for reply in said)]
        state = None
        if subject is not None or talker not in self.states:
            state = State(f"uuid {talker}", talker, subject or "", True, f'{{"n": {self.count}}}')
            self.states[talker] = state
        self.lines[talker] += [line.text for line in lines]
        del self.undone[undone.receipt.seq]
        self.submit(lambda: self.store.commit(Outcome(undone.receipt, state, lines, said)), wait)

    @rule(talker=st.sampled_from(TALKERS), replies=st.integers(1, 3), wait=st.booleans())
    def record_early(self, talker, replies, wait):
        undone = self.head(talker)
        if undone is None:
            return
        said = self.replies(undone, replies)
        lines = [*self.own_line(undone), *(reply.message for reply in said)]
        self.lines[talker] += [line.text for line in lines]
        self.submit(lambda: self.store.record(said, lines), wait)

    @rule(talker=st.sampled_from(TALKERS), lines=st.integers(1, 30), wait=st.booleans())
    def tell(self, talker, lines, wait):
        async def make():
            number = self.store.next_number()
            return Reply(number, number, 0, lane_of(talker), address(talker), Message(self.text(), from_bot=True))

        reply = self.wait(make())
        self.keep([reply])
        self.lines[talker] += [reply.message.text] * lines
        self.submit(lambda: self.store.record([reply], [reply.message] * lines), wait)

    @precondition(lambda self: self.outbox)
    @rule(pick=st.integers(0), how=st.sampled_from(["delivered", "failed", "dead"]))
    def send(self, pick, how):
        async def call():
            replies = await self.store.undelivered()
            reply = replies[pick % len(replies)]
            if how == "delivered":
                self.store.delivered(reply.lane, reply.id)
            elif how == "failed":
                reply.attempts += 1
                self.store.failed(reply, "no answer", 1.0)
            else:
                self.store.dead(reply, "gone")
            return reply

        reply = self.wait(call())
        if how == "failed":
            *rest, attempts = self.outbox[reply.id]
            self.outbox[reply.id] = (*rest, attempts + 1)
        else:
            del self.outbox[reply.id]
            self.dead += how == "dead"

    @rule(talker=st.sampled_from(TALKERS))
    def load(self, talker):
        state, messages, _ = self.wait(self.store.load(lane_of(talker)))
        lines = self.lines[talker]
        assert len(messages) >= min(len(lines), LEAST_HISTORY)
        assert [message.text for message in messages] == lines[len(lines) - len(messages) :]
        if talker in self.states:
            assert state == self.states[talker]
        else:
            assert state is None or (state.subject, state.data) == ("", "{}")

    @rule(
        talker=st.sampled_from(TALKERS),
        pick=st.integers(0, 3),
        asks=st.booleans(),
        deadline=st.sampled_from([None, 1.0, 2.0, 3.5]),
        ended=st.booleans(),
    )
    def note(self, talker, pick, asks, deadline, ended):
        number = 1 + pick + 10 * TALKERS.index(talker)
        if ended and number not in self.dialogs:
            return
        _, entries = self.dialogs.pop(number, (None, []))
        entries = [*entries, *(entry(self.count, value=self.text()) for _ in range(1 + pick % 2))]
        noted = dialog(
            number, talker, asks=self.text() if asks else "", deadline=deadline, entries=len(entries), data=f"[{pick}]"
        )
        new = () if ended else tuple(entries[-(1 + pick % 2) :])
        if not ended:
            self.dialogs[number] = noted, entries
        self.submit(lambda: self.store.note(Step(noted, new, ended)), True)

    @rule(talker=st.sampled_from(TALKERS), limit=st.integers(1, 5))
    def dialogs_are_found(self, talker, limit):
        mine = [d for d, _ in self.dialogs.values() if d.address.talker == talker]
        assert list(self.wait(self.store.load(lane_of(talker))).dialogs) == mine
        assert sorted(d.id for d in self.wait(self.store.dialogs_of("c", talker))) == sorted(d.id for d in mine)
        for found, entries in self.dialogs.values():
            assert self.wait(self.store.entries(found.id)) == entries
            if found.question is not None:
                assert self.wait(self.store.dialog_of(found.question.id)) == found
        due = self.wait(self.store.due(limit))
        timed = sorted(d.deadline for d, _ in self.dialogs.values() if d.deadline is not None)
        assert [d.deadline for d in due] == timed[:limit]

    @rule(talker=st.sampled_from([*TALKERS, None]))
    def undelivered(self, talker):
        lane = None if talker is None else lane_of(talker)
        found = self.wait(self.store.undelivered(lane))
        assert [(r.id, r.key, r.lane, r.seq, r.n, r.message.text, r.attempts) for r in found] == [
            (number, *rest) for number, rest in sorted(self.outbox.items()) if lane is None or rest[1] == lane
        ]

    @rule(
        space=st.sampled_from("ab"),
        key=st.text(max_size=3),
        value=st.one_of(st.none(), st.text(max_size=5)),
        prefix=st.text(max_size=1),
    )
    def value(self, space, key, value, prefix):
        self.wait(self.store.put(space, key, value))
        if value is None:
            self.values.pop((space, key), None)
        else:
            self.values[space, key] = value
        assert self.wait(self.store.get(space, key)) == value
        for start in (prefix, key[:1]):
            expected = sorted(k for s, k in self.values if s == space and k.startswith(start))
            assert self.wait(self.store.keys(space, start)) == expected

    @precondition(lambda self: self.kind.survives)
    @rule(how=st.sampled_from(["restart", "crash"]))
    def start_again(self, how):
        async def again():
            await self.settle()
            if how == "crash":
                await self.kind.crash(self.store)
            else:
                await self.store.close()
            self.store = await self.kind.open()
            return await self.store.unfinished()

        receipts = self.wait(again())
        assert [(r.seq, r.lane, r.event.message, r.attempts, r.replied, r.archived) for r in receipts] == [
            (seq, u.receipt.lane, u.receipt.event.message, u.attempts, u.said, u.archived)
            for seq, u in self.undone.items()
        ]
        for receipt in receipts:
            self.undone[receipt.seq].receipt = receipt

    @precondition(lambda self: self.kind.survives)
    @rule(talker=st.sampled_from(TALKERS))
    def begin(self, talker):
        undone = self.head(talker)
        if undone is not None and undone.receipt.recovered:
            self.wait(self.store.begin(undone.receipt))
            undone.attempts += 1

    @precondition(lambda self: self.kind.survives)
    @rule(talker=st.sampled_from(TALKERS))
    def bury(self, talker):
        undone = self.head(talker)
        if undone is not None and undone.receipt.recovered:
            replies = self.replies(undone, 1)
            del self.undone[undone.receipt.seq]
            self.wait(self.store.bury(undone.receipt, "killed the process", replies))
            self.dead += 1

    @invariant()
    def the_dead_are_counted(self):
        if isinstance(self.store, SqliteStore):
            found = self.wait(self.store.run(lambda db: db.execute("SELECT count(*) FROM dead").fetchone()[0]))
            assert found == self.dead

    def teardown(self):
        async def end():
            await self.settle()
            await self.store.close()

        try:
            self.wait(end())
        finally:
            self.runner.close()
            self.top.cleanup()


@pytest.mark.parametrize("kind_class", [InMemory, Sqlite], ids=["memory", "sqlite"])
def test_any_order_of_operations_does_what_a_plain_model_does(kind_class):
    machine = type("Machine", (StoreMachine,), {"kind_class": kind_class})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
