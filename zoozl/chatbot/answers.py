"""What a turn says: collected, recorded before its end when it takes long, and committed with it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zoozl.chatbot import disk
from zoozl.chatbot.message import Message
from zoozl.chatbot.ports import Done, Outcome, Receipt, Reply, State, Step, Store
from zoozl.errors import StoreError, Unstorable

if TYPE_CHECKING:
    from zoozl.chatbot.question import Question
    from zoozl.chatbot.services import Services

MOST = 1_000
"""Answers of one turn."""
MASK = "●●●"


class Answers:
    """The answers of one turn, in their order."""

    def __init__(self, services: Services, receipt: Receipt, messages: list[Message]) -> None:
        """`messages` are what was said lately, as the plugins are told."""
        self._services = services
        self._receipt = receipt
        self._messages = messages
        self._said: list[Message] = []
        # A re-run turn says its first ones again; those were recorded before the crash.
        self._recorded = receipt.replied
        self.gathered: Sequence[Reply] = receipt.gathered
        """Those that are recorded, and wait for the end of the turn: the channel sends all together."""
        self.secret = False
        """The text of the event is a secret."""
        self.also: Sequence[Receipt] = ()
        """Messages that were merged with the turn's own."""
        self.envelope: Mapping[str, Any] | None = None
        """What the channel needs in order to answer, if the event does not have it."""
        self._early: Sequence[tuple[list[Reply], list[Message], asyncio.Future[None]]] = ()

    def add(self, message: str | Message, question: Question | None = None) -> None:
        """Take one, which may put a question. Raises TypeError."""
        composed = self._services.outbox.compose(message)
        if question is not None:
            composed.question = question
        self._said.append(composed)

    def __len__(self) -> int:
        return len(self._said)

    @property
    def repeats(self) -> bool:
        """Whether what is said next was recorded before a crash, so that the talker has it."""
        return len(self._said) < self._recorded

    def flush(self) -> bool:
        """Record and send those that were not; False if there are none."""
        if len(self._said) <= self._recorded:
            return False
        replies, lines = self._unrecorded()
        done = self._services.store.record(replies, lines)
        self._recorded += len(replies)
        if done is not None:
            self._early = [*self._early, (replies, lines, done)]
        if self._services.outbox.gathers(self._receipt.event.address.channel):
            self.gathered = [*self.gathered, *replies]
        else:
            self._services.outbox.deliver_soon(self._receipt.lane, replies, done)
        return True

    async def commit(
        self, state: State | None, marked: Sequence[Message], steps: Sequence[Step], closes: tuple[str, ...]
    ) -> None:
        """End the event with these and all that the turn leaves behind, then send them.

        `closes` are the ids of the questions that are no longer open.
        """
        receipt, store = self._receipt, self._services.store
        held: list[Reply] = []
        if self._early:
            held, held_lines = await self._held()
        replies, lines = self._unrecorded()
        if closes and replies:
            replies[0].message.closes = closes
        if held:
            replies, lines = held + replies, held_lines + lines
        outcome = Outcome(receipt, state, lines, replies, marked, steps, self.also, self.secret)
        done = store.commit(outcome)
        if self.gathered:
            replies = [*(reply for reply in self.gathered if reply not in held), *replies]
        if (done is None or await committed(store, outcome, done)) and replies:
            await self._services.outbox.deliver(receipt.lane, replies, None)

    async def _held(self) -> tuple[list[Reply], list[Message]]:
        """Those that could not be recorded early: they went nowhere, and go with the rest."""
        held: list[Reply] = []
        lines: list[Message] = []
        for early, said, recorded in self._early:
            try:
                await recorded
            except StoreError:
                held, lines = held + early, lines + said
        # All numbers are given now: somebody may have been told something with a higher one meanwhile.
        _number_anew(self._services.store, held)
        return held, lines

    def _unrecorded(self) -> tuple[list[Reply], list[Message]]:
        """Replies that were not recorded yet, and the lines that they add to the history."""
        first = self._recorded
        # A copy: a plugin in a thread may be adding to it.
        said = self._said[first:]
        receipt, store = self._receipt, self._services.store
        event = receipt.event
        replies: list[Reply] = []
        if said:
            envelope = event.message.envelope or self.envelope
            if envelope is not None:
                for message in said:
                    message.envelope = message.envelope or envelope
            kept = self._services.outbox.keeps(event.address)
            for n, message in enumerate(said, first):
                replies.append(
                    Reply(store.next_number(), receipt.seq, n, receipt.lane, event.address, message, 0, kept)
                )
        # The talker's own line comes before the first answer, once.
        if event.kind == "message" and not receipt.archived:
            receipt.archived = True
            own = self._masked(event.message) if self.secret else event.message
            return replies, [own, *(other.event.message for other in self.also), *said]
        return replies, said

    def _masked(self, message: Message) -> Message:
        masked = Message(MASK, message.author, message.timestamp, message.id)
        # For the plugins that are told what was said lately, too.
        self._messages[:] = [masked if m is message else m for m in self._messages]
        return masked


def _number_anew(store: Store, replies: Sequence[Reply]) -> None:
    """Replies that nobody has seen come after all that was said meanwhile: ids grow in the order of sending."""
    for reply in replies:
        reply.id = store.next_number()


async def committed(store: Store, outcome: Outcome, first: Done) -> bool:
    """Wait for the end of a turn to be on disk, however long the disk takes to come back.

    `first` is the first try. False if the event was never accepted. Raises Unstorable.
    """
    try:
        if first is not None:
            await first
    except Unstorable:
        raise
    except StoreError:
        if outcome.receipt.failed:
            return False
    else:
        return True

    async def again() -> bool:
        # The plugin has run: running it again for a full disk would do everything twice.
        _number_anew(store, outcome.replies)
        done = store.commit(outcome)
        try:
            if done is not None:
                await done
        except StoreError:
            if outcome.receipt.failed:
                return False
            raise
        return True

    return await disk.insist(f"the end of turn {outcome.receipt.seq}", again, refused=True)
