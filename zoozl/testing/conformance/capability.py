"""What a channel may be able to do, in the order of the table that is made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class Capability(Enum):
    """One row of the table; every one of them has its tests in the suite."""

    ANSWER = "Messages are answered"
    DUPLICATE = "What is delivered again is answered once, after a restart too"
    DURABLE = "Acknowledged when it is stored, not before; what cannot be stored is refused for now"
    ORDER = "Answers come in the order of the messages"
    SLOW = "A slow plugin holds up neither the acknowledgement nor others"
    FAILURE = "A plugin that fails: an apology, and the next message is answered"
    RESTART = "What was acknowledged before a restart is answered after it, once"
    FULL = "Too many messages at once: none lost, none doubled"
    REFUSE = "... those there is no room for are refused, to be delivered again"
    EDIT = "An edited message starts nothing and changes no answer"
    ROOMS = "Rooms: answered when it is meant, and only then"
    THREADS = "Threads: an answer stays in its thread, each thread is a conversation"
    FILES_IN = "Files from people, up to a limit"
    FILES_OUT = "Files from the bot"
    SPLIT = "A long answer comes in parts, code blocks whole in each"
    PACE = "Asked to slow down, it waits as long as it is told"
    RETRY = "A platform that fails for a moment gets the answer later, once"
    ONCE = "... once, too, where it had the answer already and could not say so"
    MIDDLE = "A long answer that is stopped in the middle goes on there: no part lost or doubled, nothing overtakes"
    STREAM = "An answer grows before one's eyes, and its end arrives once, whatever breaks"
    WORDS = "Choices can be answered in words"
    BUTTONS = "Choices are buttons; a second tap changes nothing"
    FORM_WORDS = "Forms can be answered in words"
    FORMS = "Forms are the platform's own; what is wrong in one is told, and nobody else can fill it in"
    COMMANDS = "The platform's own slash commands, answered once, where they were given"
    TYPING = "Shows that the bot is at work"
    RECONNECT = "Comes back by itself when the connection breaks"
    GAP = "... and answers what was said meanwhile"
    OVERSIZED = "What is too large is refused, and nothing else suffers"
    MALFORMED = "What makes no sense is passed over"
    FORGED = "What is forged moves nothing"
    LOOPS = "Nothing that machines say is answered, its own words included"
    SECRETS = "No secret of the channel's is logged"


# The method of a driver that a capability takes. Those without one can be seen by delivering and listening.
METHODS = {
    Capability.EDIT: "edit",
    Capability.PACE: "slow_down",
    Capability.RETRY: "fail_once",
    Capability.ONCE: "lose_receipt",
    Capability.STREAM: "fail_growth",
    Capability.BUTTONS: "tap",
    Capability.FORMS: "open_form",
    Capability.COMMANDS: "command",
    Capability.TYPING: "typed",
    Capability.RECONNECT: "cut",
    Capability.OVERSIZED: "oversize",
    Capability.MALFORMED: "garbage",
    Capability.FORGED: "forge",
    Capability.LOOPS: "machines",
}
# Without these it is no channel of zoozl's: a driver cannot say that they are absent.
NEEDED = frozenset(
    {
        Capability.ANSWER,
        Capability.ORDER,
        Capability.SLOW,
        Capability.FAILURE,
        Capability.FULL,
        Capability.WORDS,
        Capability.FORM_WORDS,
        Capability.MALFORMED,
        Capability.SECRETS,
    }
)


@dataclass(frozen=True, slots=True)
class Limit:
    """How much fits."""

    amount: int
    unit: str
    """As the table has it: "characters", "bytes of a file", "bytes of a mail" ..."""
    option: str = ""
    """The option of the channel that sets it; `amount` is its default then."""
    size: Callable[[str], int] = len
    """Measures a text in the unit."""
