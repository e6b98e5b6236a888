"""Options of the channels that are known but not built in yet, so that their keys are checked already.

When a channel is built its model moves to `zoozl/channels/<name>.py` as `class Options(ChannelOptions)`.
"""

from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from zoozl.settings import ChannelOptions, Port, Secret, Text, UrlPath


def _url(value: str) -> str:
    if not value.startswith(("https://", "http://")):
        raise PydanticCustomError("url", "must start with https:// (or http://)")
    return value


Url = Annotated[str, AfterValidator(_url)]


class Webhook(ChannelOptions):
    """A channel to which its platform posts."""

    port: Port | None = Field(default=None, description="Port the platform's requests arrive at.")
    path: UrlPath | None = Field(default=None, description="Path of the requests; the channel's own if absent.")
    base_url: Url | None = Field(default=None, description="Address of the platform's API, if not the usual.")


class Telegram(Webhook):
    """Telegram, by polling or (with a port) by webhook."""

    asks: ClassVar[tuple[str, ...]] = ("token",)

    token: Secret | None = Field(default=None, description="Token of the bot, from BotFather.")
    secret_token: Secret | None = Field(default=None, description="Secret header of the webhook's requests.")
    allowed_users: list[int] | None = Field(default=None, description="Telegram ids of those who may talk.")

    @property
    def is_on(self) -> bool:
        """True with a token."""
        return self.enabled and self.token is not None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.port is not None:
            self.require("port", "token", "secret_token")
        return self


class Whatsapp(Webhook):
    """WhatsApp, over the Cloud API."""

    verify_token: Secret | None = Field(default=None, description="Token Meta shows when it checks the url.")
    access_token: Secret | None = Field(default=None, description="Token the bot answers with.")
    phone_number_id: Text | None = Field(default=None, description="Id of the number that answers.")
    app_secret: Secret | None = Field(default=None, description="Secret that signs the requests.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.port is not None:
            self.require("port", "verify_token", "access_token", "phone_number_id", "app_secret")
        return self


class Wecom(Webhook):
    """WeCom (WeChat Work), as a self-built app."""

    corpid: Text | None = Field(default=None, description="Id of the company.")
    corpsecret: Secret | None = Field(default=None, description="Secret of the app.")
    agentid: Text | int | None = Field(default=None, description="Id of the app in the company.")
    token: Secret | None = Field(default=None, description="Token that signs the callbacks.")
    aes_key: Secret | None = Field(default=None, description="EncodingAESKey of the callbacks.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.port is not None:
            self.require("port", "corpid", "corpsecret", "agentid", "token", "aes_key")
        return self


class Feishu(Webhook):
    """Feishu (Lark), by callback (with a port) or long connection."""

    asks: ClassVar[tuple[str, ...]] = ("app_id",)

    app_id: Text | None = Field(default=None, description="Id of the app.")
    app_secret: Secret | None = Field(default=None, description="Secret of the app.")
    verification_token: Secret | None = Field(default=None, description="Token the callbacks carry.")
    encrypt_key: Secret | None = Field(default=None, description="Key the callbacks are encrypted with.")

    @property
    def is_on(self) -> bool:
        """True with an app id."""
        return self.enabled and self.app_id is not None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.port is not None:
            self.require("port", "app_id", "app_secret", "verification_token")
        elif self.app_id is not None:
            self.require("app_id", "app_secret")
        return self


class Dingtalk(Webhook):
    """DingTalk, by stream or (with a port) by HTTP."""

    asks: ClassVar[tuple[str, ...]] = ("app_key",)

    app_key: Text | None = Field(default=None, description="Key of the app (its client id).")
    app_secret: Secret | None = Field(default=None, description="Secret of the app.")
    robot_code: Text | None = Field(default=None, description="Code of the robot; the app key if absent.")

    @property
    def is_on(self) -> bool:
        """True with an app key."""
        return self.enabled and self.app_key is not None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.port is not None:
            self.require("port", "app_key", "app_secret")
        elif self.app_key is not None:
            self.require("app_key", "app_secret")
        return self


PLANNED: dict[str, type[ChannelOptions]] = {
    "telegram": Telegram,
    "whatsapp": Whatsapp,
    "wecom": Wecom,
    "feishu": Feishu,
    "dingtalk": Dingtalk,
}

# Another name of the same channel.
ALIASES = {"wechatwork": "wecom"}
