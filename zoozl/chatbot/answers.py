"""What a turn says: collected, recorded before its end when it takes long, and committed with it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zoozl.chatbot import disk
from zoozl.chatbot.message import Message
from zoozl.chatbot.ports import Outcome, Receipt, Reply, State, Step, Store
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
            # They wait for the end of the turn.
            self._receipt.gathered = [*self._receipt.gathered, *replies]
        else:
            self._services.outbox.deliver_soon(self._receipt.lane, replies, done)
        return True

    def commit(
        self, state: State | None, marked: Sequence[Message], steps: Sequence[Step], closes: tuple[str, ...]
    ) -> Coroutine[Any, Any, None] | None:
        """End the event with these and all that the turn leaves behind, then send them.

        `closes` are the ids of the questions that are no longer open. What is given is to be awaited by the task
        of the lane. None: there is nothing to wait for, all is done, or the lane is held and needs no task to go on.
        """
        if self._early:
            return self._commit_with_early(state, marked, steps, closes)
        replies, lines = self._unrecorded(closes)
        return self._commit(Outcome(self._receipt, state, lines, replies, marked, steps, self.also, self.secret))

    async def _commit_with_early(
        self, state: State | None, marked: Sequence[Message], steps: Sequence[Step], closes: tuple[str, ...]
    ) -> None:
        receipt = self._receipt
        held, held_lines = await self._held()
        if held:
            receipt.gathered = [reply for reply in receipt.gathered if reply not in held]
        replies, lines = self._unrecorded(closes)
        replies, lines = held + replies, held_lines + lines
        rest = self._commit(Outcome(receipt, state, lines, replies, marked, steps, self.also, self.secret))
        if rest is not None:
            await rest

    def _commit(self, outcome: Outcome) -> Coroutine[Any, Any, None] | None:
        services, lane, replies = self._services, outcome.receipt.lane, outcome.all_replies()
        if not services.outbox.reserve(lane, replies):
            return commit_behind(services, outcome)
        try:
            if not services.store.commit_soon(outcome, services.settled):
                # Nothing of the turn is kept meanwhile but what it leaves behind: with many talkers, memory that is
                # used again soon is still in the processor's cache.
                services.hold(lane)
                return None
        except BaseException:
            services.outbox.withdraw(lane, replies)
            raise
        if outcome.steps:
            services.dialogs.release(outcome.steps)
        return services.outbox.deliver(lane, replies)

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

    def _unrecorded(self, closes: tuple[str, ...] = ()) -> tuple[list[Reply], list[Message]]:
        """Replies that were not recorded yet, the first with what it `closes`, and the lines that the history gets."""
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
            if closes:
                said[0].closes = closes
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


async def commit_behind(services: Services, outcome: Outcome) -> None:
    """End a turn, and send what it says behind what is on its way in its lane, however long the disk takes.

    Raises Unstorable.
    """
    try:
        await _commit(services, outcome)
    except StoreError as exc:
        await commit_again(services, outcome, exc)
    finally:
        services.dialogs.release(outcome.steps)


async def commit_again(services: Services, outcome: Outcome, error: StoreError) -> None:
    """The same after a first try that ended with `error`. Nothing is sent if the event was never accepted."""
    if isinstance(error, Unstorable):
        raise error
    if outcome.receipt.failed:
        return

    async def again() -> None:
        # The plugin has run: running it again for a full disk would do everything twice.
        _number_anew(services.store, outcome.replies)
        try:
            await _commit(services, outcome)
        except StoreError:
            if not outcome.receipt.failed:
                raise

    await disk.insist(f"the end of turn {outcome.receipt.seq}", again, refused=True)


async def _commit(services: Services, outcome: Outcome) -> None:
    done = services.store.commit(outcome)
    # Their place is taken with their numbers; if they are not recorded, they are not sent.
    services.outbox.deliver_soon(outcome.receipt.lane, outcome.all_replies(), done)
    if done is not None:
        await done
