"""What all turns share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoozl.chatbot.clock import Clock
from zoozl.chatbot.dialogs import Dialogs
from zoozl.chatbot.message import Address, Event
from zoozl.chatbot.outbox import Outbox
from zoozl.chatbot.ports import Receipt, Settled, Store
from zoozl.chatbot.router import Route, Router
from zoozl.chatbot.watch import Watch
from zoozl.chatbot.workers import Workers

if TYPE_CHECKING:
    from zoozl.chatbot.run import Ending, Run
    from zoozl.chatbot.turn import Turn


@dataclass(slots=True)
class Report:
    """What happened to one event, for `--debug`, tests and metrics."""

    receipt: Receipt
    route: Route
    ending: Ending
    seconds: float


@dataclass(slots=True)
class Services:
    """What all turns share."""

    store: Store
    router: Router
    outbox: Outbox
    workers: Workers
    watch: Watch
    dialogs: Dialogs
    clock: Clock
    timeout: float
    idle: float
    """Seconds after which a dialog ends in which nothing happens."""
    observers: list[Callable[[Report], None]]
    # Kept, because asking for the running loop is a system call (getpid) before Python 3.12.
    loop: asyncio.AbstractEventLoop
    lane_of: Callable[[Address], str]
    receive: Callable[[Event], Any]
    """Take another event, as if it had come from a channel."""
    go_on_without: Callable[[Turn], None]
    """Give the turn's lane to somebody else: its plugin does not end."""
    hand_over: Callable[[Turn], None]
    """The same: its plugin waits for an answer."""
    queued: Callable[[Turn], list[Receipt]]
    """Take messages of the same talker that wait in the lane already."""
    new_run: Callable[..., Run]
    hold: Callable[[str], None]
    """Let a lane wait until the turn under way is on disk."""
    settled: Settled
    """Told then."""
