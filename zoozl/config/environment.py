"""Settings from environment variables and from `.env`: `ZOOZL_SLACK__PORT=3000` is `[slack] port = 3000`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli
from dotenv.parser import parse_stream

from zoozl.config.sections import kinds
from zoozl.errors import ConfigError

# From the weakest: the prefix of AilingBot is understood as well, ours wins.
PREFIXES = ("AILINGBOT_", "ZOOZL_")
RESERVED = ("ZOOZL_TEST_", "ZOOZL_FAILPOINT")
# Names that bots for Mattermost have always read; weaker than those with a prefix.
PLAIN = {f"MATTERMOST_{key}": f"AILINGBOT_MATTERMOST__{key}" for key in ("URL", "TOKEN", "BOTNAME")}

# How switches are written in environments.
SWITCH = {
    **dict.fromkeys(("1", "true", "yes", "on", "y", "t"), True),
    **dict.fromkeys(("0", "false", "no", "off", "n", "f"), False),
}


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable that sets something; `where` is the line of `.env`, empty for the environment."""

    name: str
    text: str
    where: str = ""

    @property
    def path(self) -> list[str]:
        """Its levels in lower case: prefix cut off, split at double underscores, single ones kept."""
        return PLAIN.get(self.name.upper(), self.name).lower().partition("_")[2].split("__")


def variables(environ: Mapping[str, str], prefix: str, where: Mapping[str, str] | None = None) -> list[Variable]:
    """The variables with `prefix`, in any case, that are settings; sorted by name."""
    found = []
    for name in sorted(environ):
        upper = name.upper()
        if upper.startswith(prefix) and upper != "ZOOZL_CONF" and not upper.startswith(RESERVED):
            found.append(Variable(name, environ[name], (where or {}).get(name, "")))
    return found


def plain(environ: Mapping[str, str], where: Mapping[str, str] | None = None) -> list[Variable]:
    """The variables among PLAIN; sorted by name."""
    return [Variable(name, environ[name], (where or {}).get(name, "")) for name in sorted(environ) if name in PLAIN]


def read_dotenv(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The variables of a `.env` file and the line of each; both empty when there is none.

    Values are taken as they stand: `${...}` in a secret is part of the secret.
    """
    values: dict[str, str] = {}
    where: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig") as stream:
            bindings = list(parse_stream(stream))
    except (FileNotFoundError, NotADirectoryError):
        return values, where
    except UnicodeDecodeError:
        raise ConfigError(f"{path.name}: is not UTF-8 text") from None
    except OSError as exc:
        # A folder called .env is often a virtual environment, and none of our business.
        if path.is_dir():
            return values, where
        raise ConfigError(f"{path.name}: cannot be read: {exc.strerror}") from exc
    for binding in bindings:
        written = binding.original.string.lstrip()
        blank = binding.original.string[: -len(written) or None].count("\n")
        place = f"{path.name}:{binding.original.line + blank}"
        name = (binding.key or written.partition("=")[0].removeprefix("export")).strip()
        ours = name.upper().startswith(PREFIXES)
        if ours and binding.error:
            raise ConfigError(f"{place}: {name}: cannot be read; is a quote missing?")
        if ours and binding.value is None:
            raise ConfigError(f"{place}: {name}: has no value; write {name}=...")
        if binding.key is not None and binding.value is not None:
            values[binding.key] = binding.value
            where[binding.key] = place
    return values, where


def typed(text: str, annotation: Any, current: object = None) -> Any:
    """The value that `text` stands for: read as TOML, else the text itself.

    `annotation` is the type of the key if that is known, else `current` (the value it has so far) tells: text
    stays text where text is wanted, however much it looks like a number, and a list may be written with commas.
    """
    value = _parsed(text)
    wanted = {type(current)} if annotation is None else set(kinds(annotation))
    if bool in wanted and str not in wanted:
        return SWITCH.get(text.strip().lower(), value)
    if list in wanted and not isinstance(value, list) and not ({str, dict} & wanted or text.startswith("[")):
        pieces = [piece.strip() for piece in (value if isinstance(value, str) else text).split(",")]
        numbers = isinstance(current, list) and current and not any(isinstance(v, str) for v in current)
        read = _parsed if annotation is None and numbers else _text
        return [read(piece) for piece in pieces if piece]
    if str in wanted and type(value) not in wanted:
        return text
    return value


def _text(piece: str) -> str:
    value = _parsed(piece)
    return value if isinstance(value, str) else piece


def _parsed(text: str) -> Any:
    try:
        table = tomli.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return table["value"] if len(table) == 1 else text
