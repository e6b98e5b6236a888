"""Where things are in Slack: direct channels by person, threads the bot is in, and where a command was given."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from zoozl.chatbot.lru import LRU
from zoozl.chatbot.message import Address

REMEMBERED = 10_000
# An address whose thread begins so is that of a slash command: the answer is shown in the channel, to its talker only.
ASIDE = "/"
# Slack's limits for a response_url: so many answers in so many seconds; a little less, for those on their way.
MOST_ANSWERS, ANSWER_TIME = 5, 29 * 60.0
RESPONSE_HOST = "hooks.slack.com"


@dataclass(slots=True)
class ResponseUrl:
    """An address that takes a few answers to a slash command or a tap."""

    url: str
    until: float
    left: int = MOST_ANSWERS


def may_respond(url: str, base: str) -> bool:
    """Whether answers may be posted there: Slack's host, or that of a Web API of one's own."""
    try:
        parts, own = urlsplit(url), urlsplit(base)
        if (parts.scheme, parts.netloc) == (own.scheme, own.netloc):
            return True
        return parts.scheme == "https" and parts.netloc == RESPONSE_HOST
    except ValueError:
        return False


class Places:
    """What was seen lately. All of it can be found out again, or done without."""

    def __init__(self) -> None:
        self._direct: LRU[str] = LRU(REMEMBERED)
        self._threads: LRU[bool] = LRU(REMEMBERED)
        self._urls: LRU[ResponseUrl] = LRU(REMEMBERED)

    def note_direct(self, talker: str, channel: str) -> None:
        """The direct conversation with a person is in this channel."""
        self._direct.put(talker, channel)

    def direct(self, talker: str) -> str | None:
        """That channel, if it is known."""
        return self._direct.get(talker)

    def note_thread(self, address: Address) -> None:
        """The bot is in this thread."""
        self._threads.put(f"{address.room}:{address.thread}", True)

    def in_thread(self, address: Address) -> bool:
        """Whether it is."""
        return self._threads.get(f"{address.room}:{address.thread}") is not None

    def note_url(self, address: Address, url: str, now: float) -> None:
        """Answers to this address may go there for a while."""
        self._urls.put(f"{address.talker}:{address.thread}", ResponseUrl(url, now + ANSWER_TIME))

    def take_url(self, address: Address, now: float) -> str | None:
        """Where the next answer to this address may go, None if nowhere any more."""
        found = self._urls.get(f"{address.talker}:{address.thread}")
        if found is None or not found.left or now >= found.until:
            return None
        found.left -= 1
        return found.url
