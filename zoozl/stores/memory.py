"""The memory store: everything in this process, bounded, gone with it."""

from __future__ import annotations

import heapq
import itertools
from collections import OrderedDict, deque
from collections.abc import Collection, Sequence

from zoozl.chatbot.message import Event, Message
from zoozl.chatbot.ports import Dialog, Done, Entry, Loaded, Outcome, Receipt, Reply, Settled, State, Step
from zoozl.stores.jsontext import dump_entries, load_entries

WINDOW = 20
LARGE = 2_000
LEAST_HEAP = 1_000


class Store:
    """Keeps the latest conversations and keys; the oldest go when there are too many."""

    def __init__(
        self,
        *,
        conversations: int = 10_000,
        messages: int = WINDOW,
        keys: int = 100_000,
        large_bytes: int = 64 << 20,
        first: int = 1,
    ) -> None:
        """At most so many conversations, messages in each, remembered event keys.

        `large_bytes` bounds what long messages and files take together; short ones are bounded by their number.
        `first` is the first number that it gives: a client that comes back after a restart has seen those of before.
        """
        self._most_conversations = conversations
        self._most_messages = messages
        self._most_keys = keys
        self._most_large_bytes = large_bytes
        self._large_bytes = 0
        # What each conversation ever got of them: not reduced as they leave its window, only as it is forgotten.
        self._large: dict[str, int] = {}
        self._seq = itertools.count(first)
        self._states: OrderedDict[str, State] = OrderedDict()
        self._messages: dict[str, deque[Message]] = {}
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._outbox: dict[str, dict[int, Reply]] = {}
        self._values: dict[str, dict[str, str]] = {}
        self._dialogs: dict[int, Dialog] = {}
        # As text, as a file would have it: objects would keep the garbage collector busy.
        self._journals: dict[int, list[str]] = {}
        # The ids of a lane's dialogs, in the order in which they asked.
        self._open: dict[str, dict[int, None]] = {}
        self._questions: dict[str, int] = {}
        # A heap of (deadline, id), also of those that are over or have another one by now.
        self._deadlines: list[tuple[float, int]] = []
        self.dead_letters: deque[tuple[Reply, str]] = deque(maxlen=1_000)

    def accept(self, event: Event, lane: str) -> Receipt:
        """See Inbox."""
        receipt = Receipt(next(self._seq), lane, event)
        if event.keys:
            keys = [(event.address.channel, key) for key in event.keys]
            receipt.duplicate = any(key in self._seen for key in keys)
            for key in keys:
                self._seen[key] = None
            while len(self._seen) > self._most_keys:
                self._seen.popitem(last=False)
        return receipt

    def commit(self, outcome: Outcome) -> Done:
        """See Inbox."""
        receipt = outcome.receipt
        # Before anything is changed: a value may be none that a journal can take.
        packed = [dump_entries(step.entries) for step in outcome.steps]
        if outcome.state is not None:
            self._states[receipt.lane] = outcome.state
        self._append(receipt.lane, receipt.event.address.talker, outcome.messages)
        self._send(outcome.replies)
        for step, entries in zip(outcome.steps, packed, strict=True):
            self._note(step, entries)
        return None

    def commit_soon(self, outcome: Outcome, settled: Settled) -> bool:
        """See Inbox."""
        self.commit(outcome)
        return True

    def _append(self, lane: str, talker: str, messages: Sequence[Message]) -> None:
        if lane not in self._states:
            self._states[lane] = State(talker=talker)
        self._states.move_to_end(lane)
        kept = self._messages.get(lane)
        if kept is None:
            kept = self._messages[lane] = deque(maxlen=self._most_messages)
        kept.extend(messages)
        if len(self._states) > self._most_conversations:
            self._forget_oldest()
        size = 0
        for message in messages:
            size += message.size()
        if size > LARGE:
            self._large[lane] = self._large.get(lane, 0) + size
            self._large_bytes += size
            while self._large_bytes > self._most_large_bytes and len(self._states) > 1:
                self._forget_oldest()

    def _forget_oldest(self) -> None:
        lane, _ = self._states.popitem(last=False)
        self._messages.pop(lane, None)
        self._outbox.pop(lane, None)
        for number in list(self._open.get(lane, ())):
            self.note(Step(self._dialogs[number], ended=True))
        self._large_bytes -= self._large.pop(lane, 0)

    def edit(self, receipt: Receipt) -> Done:
        """See Inbox: the receipt is all there is."""
        return None

    async def unfinished(self) -> list[Receipt]:
        """See Inbox: nothing outlives the process."""
        return []

    async def begin(self, receipt: Receipt) -> None:
        """See Inbox."""

    async def bury(self, receipt: Receipt, error: str, replies: Sequence[Reply]) -> None:
        """See Inbox."""
        for number in list(self._open.get(receipt.lane, ())):
            if any(entry.seq == receipt.seq for entry in self._entries(number)):
                self.note(Step(self._dialogs[number], ended=True))
        self._send(replies)

    def next_number(self) -> int:
        """See OutboxStore."""
        return next(self._seq)

    def record(self, replies: Sequence[Reply], messages: Sequence[Message]) -> Done:
        """See OutboxStore."""
        if replies:
            self._append(replies[0].lane, replies[0].address.talker, messages)
            self._send(replies)
        return None

    def _send(self, replies: Sequence[Reply]) -> None:
        for reply in replies:
            if reply.kept:
                self._outbox.setdefault(reply.lane, {})[reply.id] = reply

    async def undelivered(self, lane: str | None = None, without: Collection[str] = ()) -> list[Reply]:
        """See OutboxStore."""
        lanes = self._outbox.values() if lane is None else [self._outbox.get(lane, {})]
        found = (r for replies in lanes for r in replies.values() if r.address.channel not in without)
        return sorted(found, key=lambda reply: reply.id)

    def delivered(self, lane: str, number: int) -> None:
        """See OutboxStore."""
        waiting = self._outbox.get(lane)
        if waiting is not None:
            waiting.pop(number, None)
            if not waiting:
                del self._outbox[lane]

    def failed(self, reply: Reply, error: str, retry_at: float) -> None:
        """See OutboxStore."""

    def dead(self, reply: Reply, error: str) -> None:
        """See OutboxStore."""
        self.delivered(reply.lane, reply.id)
        self.dead_letters.append((reply, error))

    async def load(self, lane: str) -> Loaded:
        """See Archive."""
        state, messages = self._states.get(lane), list(self._messages.get(lane, ()))
        found = self._open.get(lane)
        return Loaded(state, messages, tuple(map(self._dialogs.__getitem__, found)) if found else ())

    def note(self, step: Step) -> Done:
        """See Journal."""
        self._note(step, dump_entries(step.entries))
        return None

    def _note(self, step: Step, entries: str) -> None:
        dialog = step.dialog
        number, lane, question, deadline = dialog.id, dialog.lane, dialog.question, dialog.deadline
        asking = self._open.setdefault(lane, {})
        asking.pop(number, None)
        before = self._dialogs.pop(number, None)
        if before is not None and before.question is not None:
            self._questions.pop(before.question.id, None)
        if step.ended:
            self._journals.pop(number, None)
            if not asking:
                del self._open[lane]
            return
        asking[number] = None
        self._dialogs[number] = dialog
        if question is not None:
            self._questions[question.id] = number
        if deadline is not None and (before is None or before.deadline != deadline):
            self._ring_at(deadline, number)
        journal = self._journals.setdefault(number, [])
        if step.entries:
            journal.append(entries)

    def _ring_at(self, deadline: float, number: int) -> None:
        heapq.heappush(self._deadlines, (deadline, number))
        if len(self._deadlines) > 2 * len(self._dialogs) + LEAST_HEAP:
            self._deadlines = [(d.deadline, d.id) for d in self._dialogs.values() if d.deadline is not None]
            heapq.heapify(self._deadlines)

    async def entries(self, dialog: int) -> list[Entry]:
        """See Journal."""
        return self._entries(dialog)

    def _entries(self, dialog: int) -> list[Entry]:
        return [entry for packed in self._journals.get(dialog, ()) for entry in load_entries(packed)]

    async def due(self, limit: int) -> list[Dialog]:
        """See Journal."""
        found: dict[int, float] = {}
        while self._deadlines and len(found) < limit:
            deadline, number = heapq.heappop(self._deadlines)
            dialog = self._dialogs.get(number)
            if dialog is not None and dialog.deadline == deadline:
                found[number] = deadline
        for number, deadline in found.items():
            heapq.heappush(self._deadlines, (deadline, number))
        return [self._dialogs[number] for number in found]

    async def dialog_of(self, question: str) -> Dialog | None:
        """See Journal."""
        number = self._questions.get(question)
        return self._dialogs[number] if number is not None else None

    async def dialogs_of(self, channel: str, talker: str) -> list[Dialog]:
        """See Journal."""
        return [d for d in self._dialogs.values() if (d.address.channel, d.address.talker) == (channel, talker)]

    async def knows(self, lane: str) -> bool:
        """See Journal."""
        return lane in self._states

    async def history(self, lane: str, skip: int, limit: int) -> tuple[list[Message], int]:
        """See Archive: only what is kept."""
        kept = list(self._messages.get(lane, ()))
        end = max(len(kept) - skip, 0)
        return kept[max(end - limit, 0) : end], len(kept)

    async def get(self, space: str, key: str) -> str | None:
        """See KeyValue."""
        return self._values.get(space, {}).get(key)

    async def put(self, space: str, key: str, value: str | None) -> None:
        """See KeyValue."""
        if value is None:
            self._values.get(space, {}).pop(key, None)
        else:
            self._values.setdefault(space, {})[key] = value

    async def keys(self, space: str, prefix: str) -> list[str]:
        """See KeyValue."""
        return sorted(key for key in self._values.get(space, {}) if key.startswith(prefix))

    async def close(self) -> None:
        """See Store."""
