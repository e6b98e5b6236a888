"""What `[mattermost]` may say."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from zoozl.channels.access import AccessOptions
from zoozl.settings import DAY, RoomOptions, Seconds, Secret, Switch, Text, UrlPath


def _site(value: str) -> str:
    if not value.startswith(("https://", "http://")):
        raise PydanticCustomError("url", "must start with https:// (or http://)")
    if not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s?#@]*)?", value):
        raise PydanticCustomError("url", "must be an address with a host, without user, password, ? and #")
    return value.rstrip("/")


Site = Annotated[str, AfterValidator(_site)]


class Options(AccessOptions, RoomOptions):
    """Mattermost, over its websocket and REST API."""

    asks: ClassVar[tuple[str, ...]] = ("url",)

    url: Site | None = Field(default=None, description="Address of the Mattermost site; it may end in a path.")
    token: Secret | None = Field(default=None, description="Access token of the bot account.")
    botname: Text | None = Field(
        default=None, description="Another name the bot is mentioned by, like @ai-bot, beside its user name."
    )
    reply_in_thread: Switch = Field(
        default=True, description="Answer in a thread under the message, in rooms; false: in the room itself."
    )
    answer_bots: Switch = Field(default=False, description="Answer posts of other bots and of webhooks, too.")
    backfill: Seconds = Field(
        default=DAY,
        description="Posts that came while the bot was away are fetched if they are not older than that, in seconds.",
    )
    max_file_bytes: int = Field(
        default=10 << 20, ge=0, description="Bytes of files that are taken with one message; more are left out."
    )
    callback_url: Site | None = Field(
        default=None,
        description="Address at which the Mattermost server reaches `port`, for buttons and forms; "
        "without it choices are a numbered list.",
    )
    path: UrlPath = Field(default="/mattermost", description="Path below which buttons, forms and commands arrive.")
    command_tokens: list[Secret] = Field(default=[], description="Tokens of the slash commands that lead here.")
    heartbeat: Seconds = Field(default=30.0, description="Seconds between two pings to the server.")
    reconnect_delay: Seconds = Field(
        default=1.0, description="Seconds before a lost connection is tried again; doubles up to a minute."
    )

    @property
    def is_on(self) -> bool:
        """True with a url."""
        return self.enabled and self.url is not None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.url is not None:
            self.require("url", "token")
        if self.callback_url is not None:
            self.require("callback_url", "port")
        if self.command_tokens:
            self.require("command_tokens", "port")
        return self
