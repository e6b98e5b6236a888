"""What `[slack]` may say."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from zoozl.channels.access import AccessOptions
from zoozl.settings import Port, RoomOptions, Secret, Switch, Text, UrlPath

API = "https://slack.com/api/"
PATH = "/slack"
# Slack's events name people and rooms by id only.
BY_ID = re.compile(r"[A-Z0-9*?]+")


def _url(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s?#@]*)?", value):
        raise PydanticCustomError("url", "must be an address like https://example.com/api, without ? and #")
    return value


def _command(value: str) -> str:
    if not re.fullmatch(r"/[a-z0-9_-]{1,31}", value):
        raise PydanticCustomError("command", "must be a slash command in lower case, like /zoozl")
    return value


class Options(AccessOptions, RoomOptions):
    """Slack, over the Events API (with a port) or Socket Mode (with an xapp- token)."""

    asks: ClassVar[tuple[str, ...]] = ("app_token",)

    port: Port | None = Field(default=None, description="Port Slack's requests arrive at; none for Socket Mode.")
    path: UrlPath | None = Field(default=None, description=f"Path of the requests; {PATH} and / if absent.")
    base_url: Annotated[Text, AfterValidator(_url)] | None = Field(
        default=None, description=f"Address of Slack's Web API, if not {API}"
    )
    app_token: Secret | None = Field(
        default=None, description="xapp- token for Socket Mode; an xoxb- bot token is accepted here too."
    )
    bot_token: Secret | None = Field(default=None, description="xoxb- token the bot answers with.")
    signing_secret: Secret | None = Field(default=None, description="Secret that signs Slack's requests.")
    reply_in_thread: Switch = Field(
        default=True, description="In rooms, answer in a thread under the message; false answers in the room."
    )
    follow_threads: Switch = Field(
        default=True, description="In threads where the bot has answered, take messages that do not mention it."
    )
    command: Annotated[Text, AfterValidator(_command)] = Field(
        default="/zoozl", description="Slash command whose text is the message; others are part of the message."
    )
    allow_bots: list[Text] = Field(default=[], description="Ids (B...) of other bots that are answered.")
    max_file_bytes: Annotated[int, Field(ge=0, le=1 << 30)] = Field(
        default=20 << 20, description="Largest file that is fetched from a message; 0 fetches none."
    )
    file_types: list[Text] = Field(default=["*"], description='Media types of files that are fetched, like "image/*".')
    room_rate: Annotated[float, Field(ge=0, le=1_000, allow_inf_nan=False)] = Field(
        default=1.0, description="Posts a second in one channel, in the long run; 0 for any number."
    )
    streaming: Literal["auto", "edit", "off"] = Field(
        default="auto",
        description="How answers grow: by Slack's own streams where there are any, by edits, or not at all.",
    )

    @property
    def socket_mode(self) -> bool:
        """True when the app token is one for Socket Mode."""
        return self.app_token is not None and self.app_token.get_secret_value().startswith("xapp-")

    @property
    def is_on(self) -> bool:
        """True with a port or a Socket Mode token."""
        return self.enabled and (self.port is not None or self.socket_mode)

    @property
    def token(self) -> str:
        """The bot's token. The original zoozl called it `slack_app_token`."""
        given = self.bot_token or (None if self.socket_mode else self.app_token)
        return given.get_secret_value() if given is not None else ""

    @model_validator(mode="after")
    def _by_id(self) -> Self:
        lists = {name: getattr(self, name) for name in ("allow", "deny", "allow_rooms", "deny_rooms")}
        lists |= {f"roles.{role}": people for role, people in self.roles.items()}
        for name, patterns in lists.items():
            if wrong := [pattern for pattern in patterns if not BY_ID.fullmatch(pattern)]:
                text = "{name}: {wrong} is no id: Slack's are like U012AB3CD for people and C012AB3CD for rooms"
                raise PydanticCustomError("slack_id", text, {"name": name, "wrong": wrong[0]})
        return self

    @model_validator(mode="after")
    def _complete(self) -> Self:
        # An xapp- token cannot post answers.
        bot: str | tuple[str, ...] = "bot_token" if self.socket_mode else ("app_token", "bot_token")
        if self.port is not None:
            self.require("port", "signing_secret", bot)
        elif self.socket_mode:
            self.require("app_token", "bot_token")
        return self
