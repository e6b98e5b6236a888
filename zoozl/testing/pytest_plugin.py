"""What pytest gets when zoozl is installed: the fixture `chatbot`, and transcripts as tests where they are wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

# pytest loads this module at every start, also where nobody tests a bot: what is heavy is imported when it is used.
if TYPE_CHECKING:
    from zoozl.chatbot import Interface
    from zoozl.testing.sync_bot import SyncBot

CONF = "chatbot.toml"


@pytest.fixture
def chatbot() -> Iterator[Callable[..., SyncBot]]:
    """Makes bots: `chatbot("my_module")` or `chatbot(MyPlugin, conf={...})`, closed when the test ends.

    For tests that are not async; an async test uses `async with zoozl.testing.Bot(...)`.
    """
    from zoozl.testing.bot import Bot
    from zoozl.testing.sync_bot import SyncBot

    bots: list[SyncBot] = []
    with asyncio.Runner() as runner:

        def make(*extensions: str | type[Interface], **options: Any) -> SyncBot:
            bots.append(SyncBot(runner, Bot(*extensions, **options)))
            return bots[-1]

        yield make
        for bot in bots:
            bot.close()


def pytest_addoption(parser: pytest.Parser) -> None:
    """One line in pytest's own configuration."""
    parser.addini("zoozl_conf", "configuration of zoozl; *.chat files are tests of its bot", default="")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Transcripts, where there is a configuration for them: the option zoozl_conf, or chatbot.toml beside them."""
    if file_path.suffix != ".chat":
        return None
    named = str(parent.config.getini("zoozl_conf"))
    conf = parent.config.rootpath / named if named else file_path.parent / CONF
    if not named and not conf.is_file():
        return None
    collector: ChatFile = ChatFile.from_parent(parent, path=file_path)
    collector.conf = conf
    return collector


class ChatFile(pytest.File):
    """A transcript."""

    conf: Path

    def collect(self) -> Iterator[pytest.Item]:
        """One test."""
        item: ChatItem = ChatItem.from_parent(self, name="conversation")
        item.conf = self.conf
        yield item


class ChatItem(pytest.Item):
    """Its conversation."""

    conf: Path

    def runtest(self) -> None:
        """Hold it. Raises TranscriptError, Difference, ConfigError."""
        from zoozl.testing.play import play_file

        play_file(self.path, self.conf)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """What differs, without a traceback, if that is what happened."""
        from zoozl.errors import ConfigError
        from zoozl.testing.transcript import Difference, TranscriptError

        if isinstance(excinfo.value, Difference | TranscriptError | ConfigError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where it is."""
        return self.path, 0, self.path.name
