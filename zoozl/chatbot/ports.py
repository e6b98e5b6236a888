"""What the core needs from the outside: stores, an embedder, senders."""

from __future__ import annotations

from asyncio import Future, get_running_loop, shield
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from zoozl.chatbot.conversation import new_uuid
from zoozl.chatbot.message import Address, Event, Message
from zoozl.chatbot.question import Question
from zoozl.errors import StoreError

if TYPE_CHECKING:
    # For annotations only: the port is open sooner if numpy is imported by the embedder, in its thread.
    import numpy as np
    import numpy.typing as npt

    Vectors: TypeAlias = npt.NDArray[np.float32]

Done = Future[None] | None
"""When something is on disk: a future, or None for "already"."""


class Receipt:
    """An event that was handed to the inbox; its place in the order is taken when it is made.

    What most receipts never need is a default of the class: one is made for every message.
    """

    pending: bool = False
    """Not on disk yet."""
    waiting: Future[None] | None = None
    """Who waits for that; made by `acknowledged`."""
    settled: Callable[[StoreError | None], None] | None = None
    """Told when it is on disk, or that it never will be; for channels that do not wait."""
    attempts: int = 0
    """Starts of its turn that a crash cut short."""
    replied: int = 0
    """Replies of its turn that were recorded before such a crash; they are not sent again."""
    archived: bool = False
    """Its message is in the history already."""
    at: float = 0.0
    """When it came, in seconds since the epoch by the bot's clock."""
    error: StoreError | None = None
    gathered: Sequence[Reply] = ()
    """Replies of its turn that are recorded, for a channel that sends all replies of a turn together at its end."""
    cut: bool = False
    """It is a cancel that ended a running turn on arrival."""

    def __init__(self, seq: int, lane: str, event: Event) -> None:
        self.seq = seq
        self.lane = lane
        self.event = event
        self.duplicate = False
        self.known: Done = None
        """Done when `duplicate` is decided."""
        self.recovered = False
        """A crash left it undone: its turn may have begun before."""
        self.failed = False
        """It could not be accepted after all: what its turn did must leave no trace."""

    async def acknowledged(self) -> bool:
        """Wait until the event (of a duplicate, the first one) is durable; True if it is new.

        Raises StoreError: then nothing was accepted.
        """
        if self.pending:
            if self.waiting is None:
                self.waiting = get_running_loop().create_future()
            await shield(self.waiting)
        if self.error is not None:
            raise self.error
        return not self.duplicate

    def settle(self, error: StoreError | None) -> None:
        """It is on disk, or it will never be."""
        self.pending = False
        self.error = error
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result(None)
        if self.settled is not None:
            self.settled(error)


@dataclass(slots=True, frozen=True)
class State:
    """What is kept of a conversation between two turns, apart from its messages. `data` is JSON."""

    uuid: str = field(default_factory=new_uuid)
    talker: str = ""
    subject: str = ""
    greeted: bool = False
    data: str = "{}"


class Reply:
    """A message on its way out. `key` is stable: a reply that is sent again has the same.

    `id` grows in the order of sending: a client that has seen one has seen all before it. `n` counts the replies
    of the turn `seq`.
    """

    retry_after: float | None = None
    """What the platform asked for at the last try, in seconds."""

    def __init__(
        self,
        id: int,  # noqa: A002 - the field's standard name
        seq: int,
        n: int,
        lane: str,
        address: Address,
        message: Message,
        attempts: int = 0,
        kept: bool = True,
    ) -> None:
        """`kept` is False if nobody could be given it later: it is in the history, and never in the outbox's table."""
        self.id = id
        self.seq = seq
        self.n = n
        self.lane = lane
        self.address = address
        self.message = message
        self.attempts = attempts
        self.kept = kept

    @property
    def key(self) -> str:
        """Idempotency key for the channel."""
        return str(self.id)


class Entry(NamedTuple):
    """One thing that happened in a dialog: asked, answered, a step's result ... `value` is JSON."""

    seq: int
    """The turn in which it happened."""
    kind: str
    value: Any


# These two are not frozen: they are made at every turn of a dialog, and that takes three times as long.
@dataclass(slots=True)
class Dialog:
    """A run of `consume` that goes on over several messages."""

    id: int
    """The number of the event that began it."""
    lane: str
    plugin: str
    alias: str
    address: Address
    start: str
    """Entry 0, as JSON: the message that began it, and what the plugin was given with it."""
    data: str = "{}"
    question: Question | None = None
    """The open one; None while it sleeps."""
    deadline: float | None = None
    """When it goes on by itself, in seconds since the epoch."""
    entries: int = 0
    """How many are in the journal."""


@dataclass(slots=True)
class Step:
    """What a turn changes of a dialog: as it is now, and the entries that came to its journal."""

    dialog: Dialog
    entries: tuple[Entry, ...] = ()
    ended: bool = False


class Loaded(NamedTuple):
    """A conversation as it is kept; `messages` is the caller's own."""

    state: State | None
    messages: list[Message]
    dialogs: tuple[Dialog, ...] = ()


@dataclass(slots=True)
class Outcome:
    """All that a turn leaves behind; it is committed as one."""

    receipt: Receipt
    state: State | None
    """None: as it was."""
    messages: list[Message]
    replies: list[Reply]
    """Those not recorded yet."""
    marked: Sequence[Message] = ()
    """Earlier messages whose files a plugin marked as consumed."""
    steps: Sequence[Step] = ()
    """Dialogs that began, went on or ended."""
    also: Sequence[Receipt] = ()
    """Further events that this turn has dealt with."""
    secret: bool = False
    """The event's text must not stay anywhere: it is overwritten, in the inbox too."""

    def all_replies(self) -> list[Reply]:
        """What goes out when it is on disk."""
        gathered = self.receipt.gathered
        return [*gathered, *self.replies] if gathered else self.replies


Settled = Callable[[Outcome, StoreError | None], None]
"""Told that a turn is on disk, or that it is not and never will be."""


class Inbox(Protocol):
    """Events, from acceptance to done."""

    def accept(self, event: Event, lane: str) -> Receipt:
        """Take an event, once for all of its keys, in the order of the calls."""
        ...

    def commit(self, outcome: Outcome) -> Done:
        """End a turn: state, messages, replies and "this event is done" in one step."""
        ...

    def commit_soon(self, outcome: Outcome, settled: Settled) -> bool:
        """The same for who does not wait for it: True if it is on disk already, else `settled` is called later."""
        ...

    def edit(self, receipt: Receipt) -> Done:
        """The message of an event whose turn has not begun is another one now: `receipt.event` has it."""
        ...

    async def unfinished(self) -> list[Receipt]:
        """At the start, before anything is accepted: what a crash left undone, in order."""
        ...

    async def begin(self, receipt: Receipt) -> None:
        """Count one more attempt at a recovered event, durably, before its turn starts."""
        ...

    async def bury(self, receipt: Receipt, error: str, replies: Sequence[Reply]) -> None:
        """Give up an event: it becomes a dead letter, and `replies` tell the talker."""
        ...


class OutboxStore(Protocol):
    """Replies, from recorded to delivered."""

    def next_number(self) -> int:
        """A number greater than all that were given: an id for a reply, and its `seq` if it answers no event."""
        ...

    async def undelivered(self, lane: str | None = None, without: Collection[str] = ()) -> list[Reply]:
        """What is recorded and not delivered, in the order of `id`: of one lane, or of all `without` some channels."""
        ...

    def record(self, replies: Sequence[Reply], messages: Sequence[Message]) -> Done:
        """Keep replies (and their lines of the history) before their turn has ended, or without a turn."""
        ...

    def delivered(self, lane: str, number: int) -> None:
        """The channel has the reply of this id."""
        ...

    def failed(self, reply: Reply, error: str, retry_at: float) -> None:
        """A try failed; the next is due at `retry_at` (seconds since the epoch)."""
        ...

    def dead(self, reply: Reply, error: str) -> None:
        """No further try will be made."""
        ...


class Archive(Protocol):
    """Conversations and their messages."""

    async def load(self, lane: str) -> Loaded:
        """The state of a conversation, its latest messages, oldest first, and its dialogs, oldest question first."""
        ...

    async def history(self, lane: str, skip: int, limit: int) -> tuple[list[Message], int]:
        """Up to `limit` messages before the `skip` latest ones, oldest first; and how many there are in all."""
        ...


class Journal(Protocol):
    """Dialogs, and what happened in them."""

    def note(self, step: Step) -> Done:
        """Keep entries before their turn has ended."""
        ...

    async def entries(self, dialog: int) -> list[Entry]:
        """Everything that happened in a dialog, in order."""
        ...

    async def due(self, limit: int) -> list[Dialog]:
        """The dialogs with the earliest deadlines, the earliest first."""
        ...

    async def dialog_of(self, question: str) -> Dialog | None:
        """The dialog in which a question is open."""
        ...

    async def dialogs_of(self, channel: str, talker: str) -> list[Dialog]:
        """All dialogs that somebody began, in any room of a channel."""
        ...

    async def knows(self, lane: str) -> bool:
        """Whether there is a conversation; cheap."""
        ...


class KeyValue(Protocol):
    """Small JSON texts by namespace and key.

    A store whose values outlive the process has `durable = True`.
    """

    async def get(self, space: str, key: str) -> str | None:
        """The value, or None."""
        ...

    async def put(self, space: str, key: str, value: str | None) -> None:
        """Keep a value durably; None removes the key."""
        ...

    async def keys(self, space: str, prefix: str) -> list[str]:
        """All keys of a space that begin with `prefix`, sorted."""
        ...


class Store(Inbox, OutboxStore, Archive, Journal, KeyValue, Protocol):
    """All of it; one object may well do everything, so that a turn is one transaction."""

    async def close(self) -> None:
        """Write what is pending and let go of everything."""
        ...


class Embedder(Protocol):
    """Text to vectors.

    It may have as well: `about`, what is shown at the start; `load()`, which reads the model before the first text;
    `batches = True` if many texts in one call are cheaper than in many (as with an endpoint; no vector may change by
    it); `close()`. The method `configured(model, table, folder, environ)` of its class makes one that takes a model,
    for "NAME:MODEL" (see `registry.embedder`).
    """

    @property
    def name(self) -> str:
        """Identifies model and version: vectors of different names are not comparable. Final when it is loaded."""
        ...

    def embed(self, texts: Sequence[str], /) -> Vectors:
        """`(n, d) float32` of unit length, blocking, from any thread; a text's vector never depends on the others.

        Raises EmbeddingError when it cannot, Unembeddable when only these texts are to blame.
        """
        ...


class Sender(Protocol):
    """The outgoing side of a channel.

    It may have as well: `send_nowait(address, message, key) -> bool | None`, the same as `send` where nothing has to
    be waited for, and None where `send` has to do it; `keeps(address) -> bool`, False for a talker who is gone for good
    with the connection, so that nothing is kept for later; `resumes = True` if it calls `Chatbot.resume` for every
    talker who arrives, so that nothing need be sent to them before; `shows`, the names of what it can show ("choices",
    "forms"), or `shows_to(address, what) -> bool` if that differs; `typing(address, on)`, the bot is at work, called
    after 300 ms, every four seconds and at the end; `stream(address, key, text)`, to be awaited, how far an answer has
    grown; `history(address, limit)` and `direct(address)`, to be awaited, the place's own messages and where to talk
    alone. Forms and growing answers end in ordinary replies: `Message.question`, `.stream` and `.closes`.

    With `gathers = True` it gets all replies of a turn together, when the turn has ended or waits for an answer:
    `send_all(address, messages, key)`, to be awaited, which is otherwise as `send`; `key` is that of the first one.
    """

    async def send(self, address: Address, message: Message, key: str) -> bool | None:
        """Deliver within a minute; False means that `Chatbot.confirm` will tell when it has arrived.

        Raises DeliveryError (with the platform's `retry_after`), Away or Undeliverable.

        `key` is the reply's idempotency key: the same again means the same reply again.
        """
        ...
