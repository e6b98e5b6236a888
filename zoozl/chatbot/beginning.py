"""What `consume` is given: at first, and whenever a dialog runs again from its journal."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoozl.chatbot import commands
from zoozl.chatbot.conversation import Conversation
from zoozl.chatbot.identity import Identity
from zoozl.chatbot.interface import Plugin
from zoozl.chatbot.message import Message, MessagePart
from zoozl.chatbot.package import Package
from zoozl.chatbot.run import Unfit

if TYPE_CHECKING:
    from zoozl.chatbot.ports import Dialog
    from zoozl.chatbot.run import Run
    from zoozl.chatbot.turn import Turn


@dataclass(frozen=True, slots=True)
class Start:
    """Entry 0 of a dialog: what `consume` is given whenever it runs again."""

    message: Message | None
    data: str
    ongoing: bool
    matched: bool
    identity: Identity | None
    drawn: dict[str, Any] | None


def dump_start(run: Run) -> str:
    """What a run was begun with, as JSON."""
    package, message = run.package, run.message
    assert package is not None
    packed: dict[str, Any] = {
        "data": run.before,
        "ongoing": package.conversation.ongoing,
        "matched": package.matched,
    }
    if message is not None:
        # Files stay with the history: a journal is small.
        packed["message"] = {
            "text": message.text,
            "author": message.author,
            "sent": message.timestamp,
            "id": message.id,
        }
        if message.envelope is not None:
            packed["message"]["envelope"] = message.envelope
        packed["files"] = [[part.media_type, part.filename] for part in message.files]
    if package.identity is not None:
        identity = package.identity
        packed["identity"] = [identity.talker, dict(identity.claims), sorted(identity.roles)]
    if run.drawn is not None:
        packed["drawn"] = run.drawn
    return json.dumps(packed)


def load_start(text: str) -> Start:
    """The reverse of `dump_start`; files come without their bytes."""
    packed = json.loads(text)
    message = identity = None
    if "message" in packed:
        given = packed["message"]
        files = [MessagePart(media_type=kind, filename=name) for kind, name in packed["files"]]
        parts = [MessagePart(given["text"]), *files] if files else given["text"]
        message = Message(parts, given["author"], given["sent"], given["id"])
        message.envelope = given.get("envelope")
    if "identity" in packed:
        talker, claims, roles = packed["identity"]
        identity = Identity(talker, claims, frozenset(roles))
    return Start(message, packed["data"], packed["ongoing"], packed["matched"], identity, packed.get("drawn"))


def parsed(plugin: Plugin, message: Message) -> tuple[Any, dict[str, Any]]:
    """The arguments in a command, and what of them was left to chance. Raises UsageError, and what validators raise."""
    assert plugin.arguments is not None
    line = commands.split(message.text)[1]
    arguments = plugin.arguments.parse(line)
    return arguments, plugin.arguments.drawn(line, arguments)


def once_more(turn: Turn, run: Run, dialog: Dialog) -> None:
    """Give a run the package that its dialog began with. Raises Unfit."""
    if run.journal is None or len(run.journal) != dialog.entries:
        raise Unfit("has lost a part of its journal")
    start = load_start(dialog.start)
    run.before = start.data
    run.drawn = start.drawn
    arguments = None
    if start.drawn is not None and run.plugin.arguments is not None and start.message is not None:
        try:
            arguments = run.plugin.arguments.parse(commands.split(start.message.text)[1], start.drawn)
        except Exception as exc:  # the edge: validators are the plugin's
            raise Unfit("no longer takes the arguments that it began with") from exc
    conversation = Conversation(
        turn.state.uuid, turn.state.talker, start.ongoing, dialog.alias, turn.messages, json.loads(start.data)
    )
    run.package = Package(
        conversation,
        run.say,
        address=dialog.address,
        message=start.message,
        matched=start.matched,
        identity=turn.receipt.event.identity or start.identity,
        arguments=arguments,
        run=run,
    )
