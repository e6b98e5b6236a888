"""What `[websocket]` may say."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from zoozl.channels.websocket import origins, page
from zoozl.settings import Seconds, Secret, Text, UrlPath

# RFC 7518, section 3.2: a key for HS256 has at least as many bits as its hash.
SHORTEST_SECRET = 32


def _long_enough(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value().encode()) < SHORTEST_SECRET:
        raise PydanticCustomError(
            "secret", "must have at least 32 bytes: make one with `openssl rand -hex 32` or the like"
        )
    return value


def _origin(value: str) -> str:
    if value != "*" and origins.normalized(value) is None:
        raise PydanticCustomError("origin", 'must be an origin like https://www.example.com without a path, or "*"')
    return value


class Options(page.PageOptions):
    """`[websocket]`: the listener for websocket clients and the chat page."""

    files: ClassVar[tuple[str, ...]] = ("tls_certificate", "tls_key", "auth_public_key")

    path: UrlPath = Field("/", description="Path of the websocket and of the page.")
    origins: list[Annotated[str, AfterValidator(_origin)]] = Field(
        [],
        description="Other sites whose pages may connect, like https://www.example.com; "
        '"*" is all of them. Pages from the host itself and programs that are no browsers always may.',
    )
    tls_certificate: Text | None = Field(None, description="PEM file with the certificate and its chain.")
    tls_key: Text | None = Field(None, description="PEM file with the private key of the certificate.")
    auth_secret: Annotated[Secret, AfterValidator(_long_enough)] | None = Field(
        None, description="Secret of at least 32 bytes that tokens are signed with (HS256)."
    )
    auth_public_key: Text | None = Field(
        None, description="PEM file with the public key tokens are signed for (RSA: RS256, Ed25519: EdDSA)."
    )
    auth_claim: Text = Field("sub", description="Claim of a token that names the talker.")
    auth_roles_claim: Text = Field("roles", description="Claim of a token that lists the talker's roles.")
    auth_audience: Text | None = Field(None, description="Audience (`aud`) that a token must be for.")
    auth_issuer: Text | None = Field(None, description="Issuer (`iss`) that a token must come from.")
    rate: int | None = Field(
        None, ge=1, description="Messages that a talker may send in `rate_period` seconds; any number if absent."
    )
    rate_period: Seconds = Field(10.0, description="Seconds that `rate` is about.")
    idle_timeout: Seconds = Field(
        86_400.0, description="Seconds without a message in either direction after which a connection is closed."
    )
    max_connections: int = Field(10_000, ge=1, description="Connections at a time; more are refused.")
    max_frame_bytes: int = Field(4 << 20, ge=1024, description="Longest frame that is read, in bytes.")
    max_partial_bytes: int = Field(
        64 << 20, ge=1 << 20, description="Bytes of unfinished frames in all connections together."
    )
    max_backlog_bytes: int = Field(
        256 << 10, ge=16 << 10, description="Bytes that may wait for a client that reads slowly before it is cut off."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.tls_certificate is not None:
            self.require("tls_certificate", "tls_key")
        if self.tls_key is not None:
            self.require("tls_key", "tls_certificate")
        if self.auth_secret is not None and self.auth_public_key is not None:
            raise PydanticCustomError("auth", "auth_secret and auth_public_key: only one of them can be set")
        return self

    @property
    def takes_tokens(self) -> bool:
        """Whether there is a key that tokens can be checked with."""
        return self.auth_secret is not None or self.auth_public_key is not None
