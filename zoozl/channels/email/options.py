"""What `[email]` may say."""

from __future__ import annotations

import ipaddress
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from zoozl.channels.access import AccessOptions
from zoozl.settings import Port, RoomOptions, Seconds, Secret, Switch, Text

IMPLICIT_TLS_PORT = 465


def _address(value: str) -> str:
    local, at, domain = value.rpartition("@")
    if not (local and at and domain) or any(c.isspace() for c in value):
        raise PydanticCustomError("address", "must be one mail address, like bot@example.com")
    return value


def _bot_address(value: str) -> str:
    if "+" in _address(value).rpartition("@")[0]:
        raise PydanticCustomError("address", "must be a mail address without +: what follows a + is the thread")
    return value


Address = Annotated[str, AfterValidator(_address)]
BotAddress = Annotated[str, AfterValidator(_bot_address)]


class Options(AccessOptions, RoomOptions):
    """E-mail: LMTP in, SMTP out."""

    files: ClassVar[tuple[str, ...]] = ("smtp_ca",)
    # A mail's author is the conversation; `scope` says otherwise although there is no room.
    direct_scope: ClassVar[bool] = True

    port: Port | None = Field(default=None, description="Port of the LMTP listener the mail server hands to.")
    address: BotAddress | None = Field(default=None, description="The bot's address: sender of the replies.")
    recipients: list[BotAddress] = Field(
        default=[], description="Further addresses that mail for the bot arrives at, aliases of the first one."
    )
    plus_tags: Switch = Field(
        default=True,
        description="Name the thread in the address to answer to (bot+...@), which the mail server must deliver.",
    )
    smtp_host: Text = Field(default="localhost", description="Mail server that takes the replies.")
    smtp_port: Port = Field(default=25, description="Port of that mail server.")
    smtp_tls: Literal["auto", "starttls", "implicit", "none"] = Field(
        default="auto",
        description="How it is talked to; auto: implicit TLS on port 465, none on this computer, else STARTTLS.",
    )
    smtp_user: Text | None = Field(default=None, description="User name for that mail server.")
    smtp_password: Secret | None = Field(default=None, description="Password for that mail server.")
    smtp_ca: Text | None = Field(
        default=None, description="PEM file with the authority its certificate is from, if not a public one."
    )
    smtp_timeout: Seconds = Field(default=30.0, description="Seconds that one step of sending may take.")
    bounce_address: Address | None = Field(
        default=None, description="Envelope sender of the replies, for reports only; the empty one (<>) if absent."
    )
    authserv_id: Text | None = Field(
        default=None,
        description="Name that the own mail server gives itself in Authentication-Results; without it nobody is known.",
    )
    secret: Secret | None = Field(
        default=None, description="Key that threads are signed with; made by itself and kept in the store if absent."
    )
    subject: Text = Field(default="A message for you", description="Subject of mails that answer none.")
    read_subject: Literal["first", "never"] = Field(
        default="first", description="Whether the subject of a mail that answers none is part of its text."
    )
    limit_10_minutes: Annotated[int, Field(ge=0)] = Field(
        default=10, description="Mails of one sender that are answered in 10 minutes, against loops; 0 is any number."
    )
    limit_day: Annotated[int, Field(ge=0)] = Field(default=50, description="The same in a day.")
    max_bytes: Annotated[int, Field(ge=10_000, le=1 << 30)] = Field(
        default=25 << 20, description="Largest mail that is taken, and that is sent."
    )
    max_connections: Annotated[int, Field(ge=1)] = Field(default=200, description="LMTP connections at a time.")
    timeout: Seconds = Field(default=300.0, description="Seconds after which a silent LMTP connection is closed.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.port is not None:
            self.require("port", "address")
        if self.smtp_user is not None:
            self.require("smtp_user", "smtp_password")
        if self.smtp_password is not None:
            self.require("smtp_password", "smtp_user")
            if self.enabled and self.smtp_tls == "none":
                raise PydanticCustomError("smtp_tls", "smtp_tls: a password is never sent without TLS")
        if self.enabled and self.authserv_id is None and (self.access == "closed" or self.roles):
            text = "needs authserv_id beside it: anybody can write an address into From"
            raise PydanticCustomError("authserv_id", f"{'roles' if self.roles else 'closed'} {text}")
        if self.scope == "room" or self.scopes:
            raise PydanticCustomError("scope", "scope: e-mail has no rooms: user, thread or user_in_thread")
        return self

    @property
    def tls(self) -> Literal["starttls", "implicit", "none"]:
        """How the connection to the submission server is encrypted."""
        if self.smtp_tls != "auto":
            return self.smtp_tls
        if self.smtp_port == IMPLICIT_TLS_PORT:
            return "implicit"
        return "none" if _is_here(self.smtp_host) and self.smtp_user is None else "starttls"


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
