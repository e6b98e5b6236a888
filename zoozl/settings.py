"""The root keys of the configuration, and the base of every channel's options."""

import logging
import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

# A key of the vault: 32 bytes in base64, as Fernet has them.
VAULT_KEY = r"[A-Za-z0-9_-]{43}="
# Tables that are named already, for what is not built in yet.
RESERVED = ("jobs", "admin", "llm", "rooms")
HOUR = 3600.0
DAY = 24 * HOUR
# Levels that the standard library has no names for.
LEVELS = {"TRACE": 5, "SUCCESS": 25}


def _not_blank(value: str) -> str:
    if not value.strip():
        raise PydanticCustomError("blank", "must not be empty")
    return value


def _not_blank_secret(value: SecretStr) -> SecretStr:
    _not_blank(value.get_secret_value())
    return value


def _vault_key(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip()
    if not re.fullmatch(VAULT_KEY, text):
        raise PydanticCustomError("vault_key", "is no key of the vault: `zoozl vault new-key` makes one")
    return SecretStr(text)


def _module_name(value: str) -> str:
    if value.endswith(".py") or "/" in value or "\\" in value:
        raise PydanticCustomError("module", "is a file: write the module's name (my_plugin, not my_plugin.py)")
    if not all(part.isidentifier() for part in value.split(".")):
        raise PydanticCustomError("module", "is not the name of a Python module")
    return value


def _url_path(value: str) -> str:
    if not re.fullmatch(r"/[\w.~!$&'()*+,;=:@%/-]*", value, re.ASCII):
        raise PydanticCustomError("path", "must be the path of a URL: start with /, without {}, ?, # and blanks")
    return value


def _log_level(value: object) -> str | int:
    """A level's name in upper case, or its number."""
    if isinstance(value, str):
        name = value.strip().upper()
        if name in logging.getLevelNamesMapping() or name in LEVELS:
            return name
        value = int(name) if re.fullmatch("[0-9]{1,9}", name) else None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise PydanticCustomError(
            "log_level", "must be TRACE, DEBUG, INFO, SUCCESS, WARNING, ERROR, CRITICAL or a number"
        )
    return value


def _log_file(value: str) -> str:
    name = value.strip()
    return name.upper() if name.upper() in ("STDOUT", "STDERR") else name


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _fallback(value: str) -> str:
    if value.startswith("plugin:") and not value.removeprefix("plugin:").strip():
        raise PydanticCustomError("fallback", "must name a plugin after plugin:")
    return value


def _embedder(value: object) -> object:
    """A name, or an object that only `zoozl.server.start(conf)` can hand over."""
    if value is None or isinstance(value, bool | int | float | list | dict):
        raise PydanticCustomError("embedder", "must be the name of an embedder")
    return _not_blank(value) if isinstance(value, str) else value


def _callback(value: object) -> object:
    if not callable(value):
        raise PydanticCustomError("callback", "must be a function, given in Python by zoozl.server.start(conf)")
    return value


def _base_url(value: str) -> str:
    # Neither a password nor a key belongs into an address: addresses are shown at the start and in errors.
    if not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s?#@]*)?", value):
        raise PydanticCustomError(
            "base_url", "must begin with http:// or https:// and a host, without user, password, ? and #"
        )
    return value.rstrip("/")


def _variable(value: str) -> str:
    if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", value):
        raise PydanticCustomError(
            "variable", "must be the name of an environment variable in capitals, not the key itself"
        )
    return value


def _age(value: object) -> object:
    """Seconds of a time like "30d", None for "never"."""
    if value == "never":
        return None
    found = re.fullmatch(r"([0-9]{1,9})\s*([smhdw])", value.strip()) if isinstance(value, str) else None
    if found is None or not int(found[1]):
        raise PydanticCustomError("age", 'must be a time like "30d", "48h" or "30m", or "never"')
    return float(found[1]) * {"s": 1, "m": 60, "h": HOUR, "d": DAY, "w": 7 * DAY}[found[2]]


def _spelled_age(value: float | None) -> str:
    """The shortest time like "30d" for a number of seconds."""
    if value is None:
        return "never"
    units = {"d": DAY, "h": HOUR, "m": 60.0, "s": 1.0}
    unit = next((unit for unit in units if value % units[unit] == 0), "s")
    return f"{value / units[unit]:.0f}{unit}"


def _dedup(value: object) -> object:
    return value if isinstance(value, dict) else {"default": value}


Text = Annotated[str, AfterValidator(_not_blank)]
Secret = Annotated[SecretStr, AfterValidator(_not_blank_secret)]
VaultKey = Annotated[SecretStr, AfterValidator(_vault_key)]
Port = Annotated[int, Field(strict=True, ge=0, le=65535)]
Seconds = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
UrlPath = Annotated[str, AfterValidator(_url_path)]
Switch = Annotated[bool, Field(strict=True)]
ModuleName = Annotated[str, AfterValidator(_module_name)]
AGE_SCHEMA = {"type": "string", "pattern": r"^(never|\s*[0-9]{1,9}\s*[smhdw]\s*)$", "title": "age"}
Age = Annotated[
    float | None,
    BeforeValidator(_age),
    PlainSerializer(_spelled_age, return_type=str, when_used="json"),
    WithJsonSchema(AGE_SCHEMA),
]


Scope = Literal["user", "room", "thread", "user_in_thread"]


class Settings(BaseModel):
    """The keys at the top of the file, before the first table."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    extensions: list[ModuleName] = Field(
        default=[], description="Python modules that hold plugins, as importable names."
    )
    author: str = Field(default="", description="Name the bot's replies carry.")
    host: Text = Field(
        default="127.0.0.1",
        description="Address the servers listen on; 0.0.0.0 for every interface, as in a container.",
    )
    force_bind: Switch = Field(
        default=False, description="Share the ports with another process that does so too (SO_REUSEPORT)."
    )
    log_level: Annotated[str | int, BeforeValidator(_log_level)] = Field(
        default="INFO", description="Least important level that is logged: a name in any case, or a number."
    )
    log_file: Annotated[Text, AfterValidator(_log_file)] = Field(
        default="STDERR", description="Where log lines go: STDERR, STDOUT, or a file, which may be rotated."
    )
    log_format: Annotated[Literal["text", "json"], BeforeValidator(_lower)] = Field(
        default="text", description="How log lines look: text for people, json for programs (an object a line)."
    )
    auth_required: Switch = Field(
        default=False, description="Answer nobody who has not proved an identity to the channel."
    )
    fallback: Annotated[Text, AfterValidator(_fallback)] = Field(
        default="help",
        description="What answers when nothing matches: help, another alias, or plugin:NAME.",
    )
    threshold: Annotated[float, Field(strict=True, ge=0, le=1)] | None = Field(
        default=None,
        description="What a message must score to be meant for a plugin: 0.5 is where the aliases themselves put it,"
        " more is stricter, 1 is by the letter.",
    )
    did_you_mean: Switch = Field(
        default=False, description="Ask the talker what is meant when two plugins are alike near to a message."
    )
    background: Text | None = Field(
        default=None,
        description="File with sentences that mean no plugin, one a line, for other languages or trades; zoozl's own"
        " if absent.",
    )
    embedder: Annotated[str | object, AfterValidator(_embedder), WithJsonSchema({"type": "string"})] = Field(
        default="minilm",
        description="What makes vectors: minilm (bundled), sentence:MODEL, openai:MODEL or package.module:Class.",
    )
    operation_callback: Annotated[Any, AfterValidator(_callback)] = Field(
        default=None, description="Function called for websocket operations; only given from Python."
    )
    store: Text | None = Field(
        default=None,
        repr=False,
        description="Where conversations are kept: sqlite:///FILE, memory:, or nothing for zoozl.db here.",
    )
    memory_path: Text | None = Field(
        default=None, repr=False, description="Older name of the place where conversations are kept."
    )
    turn_timeout: Seconds = Field(default=60.0, description="Seconds a plugin may take to handle one message.")
    shutdown_timeout: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] = Field(
        default=10.0, description="Seconds that running turns get to finish when the server stops."
    )
    worker_threads: Annotated[int, Field(strict=True, ge=2, le=256)] = Field(
        default=8, description="Threads for plugins whose consume is not async."
    )
    lane_depth: Annotated[int, Field(strict=True, ge=1)] = Field(
        default=100, description="Messages that may wait in one conversation before more are refused."
    )


class Retention(BaseModel):
    """`[retention]`: how old things get in the store.

    In seconds here; None is for ever.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    conversation: Age = Field(default=None, description="Conversations with their messages, after the last message.")
    outbox: Age = Field(
        default=7 * DAY, description="Replies for talkers who do not come back; then they are dead letters."
    )
    dead: Age = Field(default=30 * DAY, description="Dead letters.")
    unrouted: Age = Field(default=30 * DAY, description="Texts that `[routing] learn` keeps.")
    dedup: Annotated[
        dict[str, Age],
        BeforeValidator(_dedup),
        WithJsonSchema({"anyOf": [AGE_SCHEMA, {"type": "object", "additionalProperties": AGE_SCHEMA}]}),
    ] = Field(
        default={"default": 2 * DAY},
        description="How long a repeated event is known as such, by channel; `default` is for the others.",
    )

    @field_validator("dedup", mode="after")
    @classmethod
    def _with_default(cls, value: dict[str, float | None]) -> dict[str, float | None]:
        return {"default": 2 * DAY, **value}


class Routing(BaseModel):
    """`[routing]`: what the bot may learn from its talkers."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    learn: Switch = Field(
        default=False,
        description="Keep the texts, not the talkers, of direct messages that no plugin was found for, for"
        " `zoozl routes suggest`.",
    )


class OpenAI(BaseModel):
    """`[openai]`: the endpoint that `embedder = "openai:MODEL"` asks, OpenAI's or one that speaks like it."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    base_url: Annotated[str, AfterValidator(_base_url)] = Field(
        default="https://api.openai.com/v1", description="Address that /embeddings is added to."
    )
    api_key_env: Annotated[str, AfterValidator(_variable)] = Field(
        default="OPENAI_API_KEY", description="Environment variable (or line of .env) that holds the key."
    )
    timeout: Seconds = Field(default=10.0, description="Seconds one request may take, with its second and third try.")
    dimensions: Annotated[int, Field(strict=True, ge=1, le=65536)] | None = Field(
        default=None, description="Length of the vectors, for models that can shorten them; the model's own if absent."
    )
    batch_size: Annotated[int, Field(strict=True, ge=1, le=2048)] = Field(
        default=256, description="Most texts in one request."
    )


class Sentence(BaseModel):
    """`[sentence]`: how `embedder = "sentence:MODEL"` runs its model."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    device: Text = Field(default="cpu", description="Where it computes, as torch names it: cpu, cuda, mps ...")
    threads: Annotated[int, Field(strict=True, ge=1, le=256)] = Field(
        default=1, description="Threads for one text, on the CPU."
    )
    revision: Text | None = Field(default=None, description="Version of a model of the hub: a commit, tag or branch.")


class VaultKeys(BaseModel):
    """`[vault]`: the keys under which plugins' secrets of talkers (`context.vault`) are kept."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    key: VaultKey | None = Field(
        default=None, description="What `zoozl vault new-key` printed; best from the environment, ZOOZL_VAULT__KEY."
    )
    key_file: Text | None = Field(
        default=None, description="Instead, a file with keys, one a line, the first one in use; chmod 600."
    )
    old_keys: list[VaultKey] = Field(
        default=[], description="Keys that were in use before, until `zoozl vault rotate` is done; they only open."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.key is not None and self.key_file is not None:
            raise PydanticCustomError("vault", "key and key_file: only one of them can be set")
        if self.old_keys and self.key is None and self.key_file is None:
            missing = [("key", "key_file")]
            raise PydanticCustomError("requires", "old_keys needs a key", {"because": "old_keys", "missing": missing})
        return self


class HealthOptions(BaseModel):
    """`[health]`: `/livez`, `/readyz` and `/metrics`, for probes and for Prometheus."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    port: Port | None = Field(default=None, description="Port they are served on, which a channel may have as well.")
    host: Text = Field(default="127.0.0.1", description="Address they are served on; they tell much: not to everybody.")


class Dialogs(BaseModel):
    """`[conversation]`: dialogs that wait for an answer."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    ttl: Age = Field(
        default=DAY, description="A dialog or subject in which nothing is said for so long ends by itself."
    )
    kept: Annotated[int, Field(strict=True, ge=1)] = Field(
        default=1_000, description="Dialogs that wait in memory; the others begin again from their journals."
    )


# Tables of zoozl's own, by name.
TABLES: dict[str, type[BaseModel]] = {
    "retention": Retention,
    "routing": Routing,
    "conversation": Dialogs,
    "health": HealthOptions,
    "openai": OpenAI,
    "sentence": Sentence,
    "vault": VaultKeys,
}


class ChannelOptions(BaseModel):
    """What every channel can be told; a channel's `Options` adds its own keys."""

    # defer_build: most channels are off, and their validators would cost more at the start than all the rest.
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, defer_build=True)

    enabled: Switch = Field(default=True, description="false switches the channel off and keeps its settings.")
    # What `zoozl init` asks for; what `require` then misses it asks for as well.
    asks: ClassVar[tuple[str, ...]] = ("port",)
    # Options that name files, relative to the configuration's folder; a channel gets them absolute.
    files: ClassVar[tuple[str, ...]] = ()

    port: Port | None = Field(default=None, description="Port it listens on; the channel is off without.")
    host: Text | None = Field(default=None, description="Address it listens on; the root host if absent.")
    type: Text | None = Field(
        default=None, description="Channel class as package.module:Class, for a channel of your own."
    )

    @field_validator("*", mode="wrap")
    @classmethod
    def _nothing_is_guessed(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        # `port = true` would be port 1, and `enabled = "no"` is not what it looks like in Python.
        result = handler(value)
        if isinstance(value, bool | str) and type(result) in (int, float):
            raise PydanticCustomError("int_type", "Input should be a number")
        if type(result) is bool and type(value) is not bool:
            raise PydanticCustomError("bool_type", "Input should be a valid boolean")
        return result

    @property
    def is_on(self) -> bool:
        """True when it has its port (or what starts it instead) and is not switched off."""
        return self.enabled and self.port is not None

    def beside(self, folder: Path) -> Self:
        """The same options, with the files they name as absolute paths, which are relative to `folder`."""
        named = {name: getattr(self, name) for name in self.files}
        found = {name: str(folder / file) for name, file in named.items() if file is not None}
        return self.model_copy(update=found) if found else self

    def require(self, because: str, *wanted: str | tuple[str, ...]) -> None:
        """Raise unless each wanted option is set; of a tuple one is enough. `because` is what calls for them.

        For the validators of subclasses. A channel that is switched off may be half configured.
        """
        if not self.enabled:
            return
        groups = [(names,) if isinstance(names, str) else names for names in wanted]
        missing = [names for names in groups if all(getattr(self, name) is None for name in names)]
        if missing:
            text = " and ".join(" or ".join(names) for names in missing)
            raise PydanticCustomError(
                "requires", "{because} needs {text}", {"because": because, "missing": missing, "text": text}
            )


class RoomOptions(ChannelOptions):
    """What channels with rooms can be told besides."""

    scope: Scope | None = Field(
        default=None,
        description="Whose conversation a message in a room belongs to: user, room, thread or user_in_thread.",
    )
    scopes: dict[str, Scope] = Field(default={}, description="The same for single rooms, by their ids.")
