"""Talk to a bot in memory, in tests of your plugins. pytest has the fixture `chatbot` as soon as zoozl is installed.

def test_my_plugin(chatbot):
    bot = chatbot("my_plugin_module")
    assert bot.say("could you call my plugin?") == ["Hello this is my plugin response"]
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoozl.testing.bot import CHANNEL, DEFAULT_TALKER, Bot, Place, bundled_embedder, throwaway_cipher
    from zoozl.testing.replay import NotDeterministic
    from zoozl.testing.sync_bot import SyncBot, SyncPlace

try:
    from zoozl.testing.pytest_plugin import chatbot, pytest_addoption, pytest_collect_file
except ModuleNotFoundError as exc:  # `zoozl test` works without pytest
    if exc.name != "pytest":
        raise

__all__ = [
    "CHANNEL",
    "DEFAULT_TALKER",
    "Bot",
    "NotDeterministic",
    "Place",
    "SyncBot",
    "SyncPlace",
    "bundled_embedder",
    "chatbot",
    "pytest_addoption",
    "pytest_collect_file",
    "throwaway_cipher",
]

# Imported when they are used: pytest loads this package at every start.
_HOMES = {
    "CHANNEL": "bot",
    "DEFAULT_TALKER": "bot",
    "Bot": "bot",
    "NotDeterministic": "replay",
    "Place": "bot",
    "SyncBot": "sync_bot",
    "SyncPlace": "sync_bot",
    "bundled_embedder": "bot",
    "throwaway_cipher": "bot",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
