"""What a plugin holds during a turn: the conversation, and the way to answer."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from zoozl.chatbot import asking
from zoozl.chatbot.conversation import Conversation
from zoozl.chatbot.identity import Identity
from zoozl.chatbot.message import Address, Message, MessagePart
from zoozl.chatbot.question import Choices, Field, Form, Kind, Question, to_choices
from zoozl.chatbot.stream import Stream

if TYPE_CHECKING:
    from zoozl.chatbot.run import Run


# Members of an Enum are looked up at some cost, for every question.
TEXT, CHOICE = Kind.TEXT, Kind.CHOICE


class Package:
    """One message for one plugin.

    `callback(text_or_message)` answers; it may be called any number of times, from the event loop or from a
    thread, until the turn has ended. Raises TypeError for anything but a str or a Message.
    """

    answered_by = ""
    """Who gave the last answer, an id like `talker`; another one only after `participants="anyone"`."""
    finished = False
    _seen: Sequence[tuple[Message, MessagePart, bool]] = ()

    def __init__(
        self,
        conversation: Conversation,
        callback: Callable[[str | Message], None],
        address: Address | None = None,
        message: Message | None = None,
        matched: bool = False,
        identity: Identity | None = None,
        arguments: Any = None,
        run: Run | None = None,
    ) -> None:
        self.conversation = conversation
        self.callback = callback
        self.address = address if address is not None else Address("", talker=conversation.talker)
        """Where this message came from; keep it to `context.tell(address, ...)` something later."""
        self._message = message if message is not None else _latest(conversation)
        self.matched = matched
        """Whether the message called for this plugin; False if it only falls back to it."""
        self.identity = identity
        """Who the talker has proved to be, with `claims` and `roles`; None when nobody proved anything."""
        self.arguments = arguments
        """What was written after the command, as the plugin's `arguments` declare; None if it was not called by one."""
        self._run = run

    @property
    def talker(self) -> str:
        """Who speaks."""
        return self.conversation.talker

    @property
    def last_message(self) -> Message | None:
        """The talker's message that this turn is about; None when greeting on connect."""
        return self._message

    @property
    def last_message_text(self) -> str:
        """Its text, or ""."""
        return self._message.text if self._message is not None else ""

    def get_attachments(self, msg_count: int = 1, consumed: bool | None = None) -> list[MessagePart]:
        """Files of the talker's last `msg_count` messages, oldest first.

        `consumed` selects by the parts' mark of that name; None takes all.
        """
        if msg_count < 1:
            return []
        said = [m for m in self.conversation.messages if not m.from_bot]
        files = [(message, part) for message in said[-msg_count:] for part in message.files]
        self._seen = [*self._seen, *((message, part, part.consumed) for message, part in files)]
        return [part for _, part in files if consumed is None or part.consumed == consumed]

    def marked(self) -> list[Message]:
        """Messages with files whose `consumed` mark was changed through this package."""
        return [message for message, part, before in self._seen if part.consumed != before]

    def unmark(self) -> None:
        """Set these marks back to what they were."""
        for _, part, before in reversed(self._seen):
            part.consumed = before

    def ask(
        self,
        text: str,
        *,
        choices: Choices | None = None,
        validate: asking.Validate | None = None,
        timeout: float | None = None,
        default: Any = asking.MISSING,
        secret: bool = False,
        literal: bool = False,
        participants: Literal["talker", "anyone"] = "talker",
    ) -> Coroutine[Any, Any, Any]:
        """Ask, and wait for the answer; to be awaited, in an `async def consume` only. With "" it only waits.

        Gives the answer's text, or with `choices` the value of the one that was meant (by button, number, label or
        a near spelling). `validate(answer)` may raise ValueError with the reason or return False, and the talker
        tries again; what else it returns (True and None aside) becomes the answer, and must be JSON. After `timeout`
        seconds, `default` is given, or AskTimeout raised. `secret` answers are encrypted and stay out of the history.
        With `literal` everything is an answer, "cancel" too. With `participants="anyone"` everybody in the room may
        answer; `answered_by` is who did. Raises DialogEnded when the talker cancels or the dialog gets too old,
        RuntimeError in a `def consume`, VaultError for a secret without a vault key, DataError.
        """
        run = self._asking()
        offered = to_choices(choices) if choices is not None else ()
        talker = "" if participants == "anyone" else self.address.talker
        # By position: with names it takes twice as long, for every question.
        question = Question("", text, CHOICE if offered else TEXT, offered, (), None, literal, secret, talker)
        if secret:
            run.need_vault()
        return asking.ask(run, question, timeout, validate, default)

    async def confirm(
        self,
        text: str,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - of the question, not of this call
        default: bool = False,
    ) -> bool:
        """Ask for yes or no; `default` if no answer comes within `timeout` seconds."""
        run = self._asking()
        question = Question("", text, Kind.CONFIRM, talker=self.address.talker)
        answer: str = await asking.ask(run, question, timeout, None, "yes" if default else "no")
        return answer == "yes"

    def choose(self, text: str, choices: Choices, **options: Any) -> Coroutine[Any, Any, Any]:
        """The same as `ask(text, choices=choices, ...)`."""
        return self.ask(text, choices=choices, **options)

    def form(
        self,
        title: str,
        fields: Form | Sequence[Field],
        *,
        validate: Mapping[str, asking.Validate] | None = None,
        timeout: float | None = None,
    ) -> Coroutine[Any, Any, dict[str, Any]]:
        """Several answers by name, every one a text: from a form where the channel has them, else asked one by one.

        `validate` has functions by the names of fields, which do what `validate` of `ask` does; what was left out is
        not given to them. Raises ValueError if one is for no field, and what `ask` raises.
        """
        run = self._asking()
        given = list(fields.fields if isinstance(fields, Form) else fields)
        if not given:
            raise ValueError("a form needs a field")
        if strange := (validate or {}).keys() - {one.name for one in given}:
            raise ValueError(f"the form has no field called {min(strange)!r} to validate")
        if any(one.type == "password" for one in given):
            run.need_vault()
        return asking.form(run, title, given, timeout, validate or {})

    def step(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        """What `call(*args, **kwargs)` gives, which must be JSON; done once, however often the dialog starts again.

        The result is durable before this returns. A kill between the effect and that runs `call` again: a parameter
        `key` that is left free gets the same text each time, for whatever must not happen twice. It may be async.
        What `call` raises is raised here, and again when the dialog starts again: the same class, with arguments and
        attributes as JSON makes them. Raises DataError for a result that is not JSON.
        """
        run = self._asking("step")

        def once(key: str) -> Any:
            return call(*args, **kwargs, key=key) if asking.takes_key(call, args, kwargs) else call(*args, **kwargs)

        return run.once(asking.name_of(call), once)

    async def sleep(self, seconds: float) -> None:
        """Go on after so many seconds, also over a restart. Other messages are not kept waiting meanwhile."""
        run = self._asking("sleep")
        if run.is_over:
            await run.linger()
        entry = run.recorded("sleep")
        if entry is None:
            entry = run.record("sleep", run.now() + seconds)
        if run.recorded("woke") is None:
            await run.wait(None, entry.value)
            run.record("woke", None)

    def now(self) -> datetime:
        """The time (UTC), the same when the dialog starts again."""
        return datetime.fromtimestamp(self._memo("now", lambda run: run.now()), UTC)

    def random(self) -> float:
        """A number from 0.0 up to 1.0, the same when the dialog starts again. Not for secrets."""
        number: float = self._memo("random", lambda _: random.random())  # noqa: S311 - so it says
        return number

    def _memo(self, kind: str, make: Callable[[Run], float]) -> Any:
        run = self._asking(kind)
        entry = run.recorded(kind)
        return (entry if entry is not None else run.record(kind, make(run))).value

    def stream(self) -> Stream:
        """An answer that grows: `async with package.stream() as out: await out.write("more")`.

        Where the channel can show it, it grows before the talker's eyes; elsewhere it comes as one message at the end.
        """
        return Stream(self._asking("stream"))

    async def history(self, limit: int = 50) -> list[Message]:
        """Up to `limit` messages of this place, oldest first: what the platform has if it tells, else what was kept."""
        return await self._asking("history").history(limit)

    def _asking(self, what: str = "ask") -> Run:
        if self._run is None:
            raise RuntimeError(f"package.{what}() works while a bot handles a message, not on a package made by hand")
        if self._run.on_thread:
            raise RuntimeError(
                f"package.{what}() needs an async consume: write `async def consume(self, context, package)`"
            )
        return self._run

    def heard(self, message: Message, talker: str) -> None:
        """An answer has come: it is the last message now."""
        self._message, self.answered_by = message, talker

    def pass_on(self, alias: str, message: Message | None) -> None:
        """Give a message to the plugin of an alias, "" for the fallback, afterwards. For the core's own dialogs."""
        self._asking("pass_on").passes_on = alias, message

    def finish(self) -> None:
        """End the subject with this turn: the next message is routed afresh and `data` is emptied."""
        self.finished = True


def _latest(conversation: Conversation) -> Message | None:
    return next((m for m in reversed(conversation.messages) if not m.from_bot), None)
