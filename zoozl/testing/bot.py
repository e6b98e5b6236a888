"""Bot: talk to a bot in memory, as several talkers in several rooms, restart it and let time pass."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from zoozl import registry
from zoozl.chatbot import Interface, InterfaceRoot, Message
from zoozl.chatbot.clock import Clock, VirtualClock
from zoozl.chatbot.core import Chatbot
from zoozl.chatbot.extensions import load_again
from zoozl.chatbot.message import Address, Event
from zoozl.chatbot.ports import Embedder, Store
from zoozl.chatbot.question import Answer, Kind, Question, plain
from zoozl.chatbot.services import Report
from zoozl.chatbot.vault import Cipher
from zoozl.testing.replay import Replays

CHANNEL = "test"
DEFAULT_TALKER = "tester"
JUST_NOW = 60.0
LOOKED_AT = 1_000

_shared: dict[str, Any] = {}


def bundled_embedder() -> Embedder:
    """The bundled model, loaded once for all tests of a process."""
    if "minilm" not in _shared:
        _shared["minilm"] = registry.find("embedders", "minilm")()
    return _shared["minilm"]  # type: ignore[no-any-return]


def throwaway_cipher() -> Cipher:
    """Seals what plugins keep in the vault; made once for all tests of a process, so that a restarted bot has it."""
    if "cipher" not in _shared:
        from zoozl.cipher import FernetCipher, new_key

        _shared["cipher"] = FernetCipher([new_key()])
    return _shared["cipher"]  # type: ignore[no-any-return]


def buttons(question: Question) -> dict[str, str]:
    """The values of a question's buttons, by their labels."""
    if question.kind is Kind.CONFIRM:
        return {"Yes": "yes", "No": "no"}
    return {choice.label: choice.value for choice in question.choices}


def button_value(question: Question, label: str) -> str | None:
    """The value of the button that reads `label`, or has it as its value."""
    wanted = plain(label)
    return next((value for name, value in buttons(question).items() if wanted in (plain(name), plain(value))), None)


class Bot:
    """A bot of your plugins with a memory store and the bundled model: `async with Bot(MyPlugin) as bot`.

    Between any two messages it is restarted: plugins are closed and made anew, and dialogs begin again from their
    journals; NotDeterministic is raised (by what gives replies) when a dialog then does something else than it did.
    Its clock stands still until `pass_time`.
    """

    def __init__(
        self,
        *extensions: str | type[Interface],
        conf: Mapping[str, Any] | None = None,
        embedder: Embedder | None = None,
        store: Store | None = None,
        vault: bool = True,
        restarts: bool = True,
        **settings: Any,
    ) -> None:
        """Extensions by module name, or Interface classes as they are.

        `conf` is what plugins see as `context.conf`; with `vault=False` the vault has no key; with `restarts=False`
        it is restarted by `restart()` only; `settings` go to `zoozl.chatbot.core.Chatbot`. Raises ExtensionError.
        """

        def build(**options: Any) -> Chatbot:
            root = InterfaceRoot(
                {**(conf or {}), "extensions": list(extensions)},
                embedder=embedder or bundled_embedder(),
                store=store,
                cipher=throwaway_cipher() if vault else None,
            )
            root.load()
            return Chatbot(root, **{**settings, **options})

        self._set_up(build, restarts, settings.get("clock"))

    @classmethod
    def of(cls, build: Callable[..., Chatbot], *, restarts: bool = True, clock: Clock | None = None) -> Self:
        """Around what `build` makes: a Chatbot, given the options that the harness needs. Raises what `build` does."""
        bot = cls.__new__(cls)
        bot._set_up(build, restarts, clock)
        return bot

    def _set_up(self, build: Callable[..., Chatbot], restarts: bool, clock: Clock | None) -> None:
        self.clock = clock if clock is not None else VirtualClock()
        """A VirtualClock, unless another was given."""
        self._restarts = restarts
        self._replays = Replays()
        self.chatbot = build(clock=self.clock, senders={CHANNEL: self}, new_run=self._replays.run)
        self.reports: list[Report] = []
        """How each message was routed, and how its turn ended."""
        self.chatbot.observe(self.reports.append)
        self._sent: list[tuple[Address, Message]] = []
        self._questions: list[tuple[Address, Question]] = []
        self._last: dict[str, Event] = {}
        self._used = False

    async def send(self, address: Address, message: Message, key: str) -> None:
        """The bot's own channel."""
        self._sent.append((address, message))
        if message.question is not None:
            self._questions.append((address, message.question))

    async def __aenter__(self) -> Self:
        """Start."""
        await self.chatbot.start()
        return self

    async def __aexit__(self, kind: object, exc: object, trace: object) -> None:
        """Stop. Raises NotDeterministic if nobody has heard of that yet."""
        await self.chatbot.drain(1.0)
        if exc is None:
            self._replays.check()

    # What comes to the bot

    def at(self, talker: str = DEFAULT_TALKER, *, room: str = "", thread: str = "", account: str = "") -> Place:
        """Somebody somewhere: `bot.at("anna", room="kitchen").say("hello")`."""
        return Place(self, Address(CHANNEL, account, room, thread, talker))

    def event(
        self, message: str | Message, talker: str = DEFAULT_TALKER, *, keys: tuple[str, ...] = (), **address: str
    ) -> Event:
        """A message on its way, for `deliver`. `address` takes room, thread, account."""
        now = self.clock.time()
        if isinstance(message, str):
            message = Message(message, sent=now)
        elif isinstance(self.clock, VirtualClock) and abs(time.time() - message.timestamp) < JUST_NOW:
            # Made a moment ago, by the computer's clock.
            message = Message(message.parts, message.author, now, message.id)
        keys = keys or (f"test:{secrets.token_hex(8)}",)
        return Event(Address(CHANNEL, talker=talker, **address), message, keys)

    async def deliver(self, *events: Event) -> bool:
        """Hand events to the bot in this order, not waiting for answers; False if the last was a duplicate.

        In another order than they were made, or one of them twice, they are what an unreliable platform delivers.
        """
        if self._restarts and self._used and not self.chatbot.busy:
            await self.restart()
        self._used = True
        fresh = True
        for event in events:
            self._last[event.address.talker] = event
            fresh = await self.chatbot.receive(event).acknowledged()
        return fresh

    async def post(
        self, message: str | Message, talker: str = DEFAULT_TALKER, *, keys: tuple[str, ...] = (), **address: str
    ) -> bool:
        """Send without waiting for answers; False if it was a duplicate. `address` takes room, thread, account."""
        return await self.deliver(self.event(message, talker, keys=keys, **address))

    async def say(self, message: str | Message, talker: str = DEFAULT_TALKER, **address: Any) -> list[str]:
        """Send, wait until all is done, and give the texts of the answers to this talker."""
        await self.post(message, talker, **address)
        return await self.replies(talker)

    async def tap(self, label: str, talker: str = DEFAULT_TALKER, **address: str) -> list[str]:
        """Tap the latest button of this name that this talker sees, its question open or not; the answers.

        Buttons of a confirmation are Yes and No. Raises AssertionError if there is no such button.
        """
        await self.deliver(self.button(label, talker, **address))
        return await self.replies(talker)

    def button(self, label: str, talker: str = DEFAULT_TALKER, **address: str) -> Event:
        """That tap on its way, for `deliver`. Raises AssertionError if there is no such button."""
        seen = list(self._seen(talker, address))
        if not seen:
            raise AssertionError(f"{talker} has not been asked anything")
        for where, question in seen:
            if (value := button_value(question, label)) is not None:
                event = self.event(label, talker)
                return replace(event, address=replace(where, talker=talker), answer=Answer(question.id, value))
        _, latest = seen[0]
        there = ", ".join(f"[{name}]" for name in buttons(latest)) or "no buttons"
        raise AssertionError(f"there is no button [{label}]; the question {latest.prompt!r} has {there}")

    def _seen(self, talker: str, place: Mapping[str, str]) -> Iterator[tuple[Address, Question]]:
        """The questions that a talker sees, the latest first; in a room everybody sees everybody's."""
        for where, question in reversed(self._questions):
            here = all(getattr(where, name) == value for name, value in place.items())
            if here and (where.talker == talker or (where.room and (place or not question.talker))):
                yield where, question

    async def duplicate(self, talker: str = DEFAULT_TALKER) -> list[str]:
        """The talker's last message arrives once more, as after a platform's retry; the answers: none, or it is wrong.

        Raises AssertionError if this talker has not said anything.
        """
        if talker not in self._last:
            raise AssertionError(f"{talker} has not said anything")
        await self.deliver(self._last[talker])
        return await self.replies(talker)

    async def connect(self, talker: str = DEFAULT_TALKER) -> list[str]:
        """Arrive, as a websocket does; the greeting."""
        await self.deliver(replace(self.event(Message(), talker), keys=(), kind="connect"))
        return await self.replies(talker)

    # What happens to it

    async def restart(self) -> None:
        """Wait until all is done; then close the plugins, make them anew, and let dialogs begin from their journals.

        What is in the store stays, what a plugin had in memory is gone. Modules are not imported again.
        """
        chatbot, root = self.chatbot, self.chatbot.root
        await chatbot.idle()
        await chatbot.detach_dialogs()
        load_again(root)
        router = chatbot.router_for(root.plugins)
        router.take_over(chatbot.router)
        chatbot.swap(root.plugins, router)

    async def pass_time(self, seconds: float) -> None:
        """Let time go by on the bot's clock, from one deadline to the next, and wait until all is done."""
        clock = self.clock
        if not isinstance(clock, VirtualClock):
            raise RuntimeError("pass_time() needs a bot with a VirtualClock, as it has if no clock is given")
        await self.chatbot.idle()
        end = clock.time() + seconds
        while True:
            if self._restarts and self._used:
                await self.restart()
            due = [d.deadline for d in await self.chatbot.root.store.due(LOOKED_AT) if d.deadline is not None]
            clock.advance(min([end, *(at for at in due if at > clock.time())]) - clock.time())
            await self.chatbot.look_at_deadlines()
            await self.chatbot.idle()
            if clock.time() >= end:
                break
        self._replays.check()

    # What comes from it

    async def replies(self, talker: str = DEFAULT_TALKER) -> list[str]:
        """The texts that came for this talker since the last look, when all is done. Raises NotDeterministic."""
        return [message.text for message in await self.messages(talker)]

    async def messages(self, talker: str = DEFAULT_TALKER) -> list[Message]:
        """The same as `replies`, as Messages with author and files."""
        return [message for _, message in await self.sent(lambda to: to.talker == talker)]

    async def sent(self, which: Callable[[Address], bool] = lambda _: True) -> list[tuple[Address, Message]]:
        """What was sent to some addresses since the last look, when all is done. Raises NotDeterministic."""
        await self.chatbot.idle()
        self._replays.check()
        found = [(to, message) for to, message in self._sent if which(to)]
        self._sent = [(to, message) for to, message in self._sent if not which(to)]
        return found

    @property
    def _replies(self) -> list[tuple[str, Message]]:
        """What has been sent so far and nobody has looked at, by talker."""
        return [(to.talker, message) for to, message in self._sent]


@dataclass(frozen=True, slots=True)
class Place:
    """Somebody in a room, a thread, or by themselves: the calls of Bot without saying who and where each time."""

    bot: Bot
    address: Address

    @property
    def _where(self) -> dict[str, str]:
        return {"account": self.address.account, "room": self.address.room, "thread": self.address.thread}

    async def post(self, message: str | Message, *, keys: tuple[str, ...] = ()) -> bool:
        """See Bot.post."""
        return await self.bot.post(message, self.address.talker, keys=keys, **self._where)

    async def say(self, message: str | Message, *, keys: tuple[str, ...] = ()) -> list[str]:
        """Send, wait until all is done, and give the texts of the answers to this address."""
        await self.post(message, keys=keys)
        return await self.replies()

    async def tap(self, label: str) -> list[str]:
        """Tap a button of the latest question here; see Bot.tap."""
        await self.bot.deliver(self.bot.button(label, self.address.talker, **self._where))
        return await self.replies()

    async def replies(self) -> list[str]:
        """The texts that came to this address since the last look, when all is done. Raises NotDeterministic."""
        return [message.text for _, message in await self.bot.sent(lambda to: to == self.address)]
