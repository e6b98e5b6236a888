"""The text of a new configuration: every key with what it does, defaults commented out, secrets in `.env`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from zoozl.config.environment import typed
from zoozl.config.schema import Option, options, summary
from zoozl.config.writing import written
from zoozl.settings import ChannelOptions, Settings

# Another name of `store`, and a key for those who bring a channel of their own.
LEFT_OUT = {"memory_path", "type"}
FIRST_PORT = 1601
HEADER = """\
# Configuration of zoozl. Start the bot with: zoozl --conf {file}
#
# What is commented out shows the default; "..." stands where there is none. Any key can come from the environment
# or from the file .env beside this one instead: ZOOZL_AUTHOR=Robo, ZOOZL_WEBSOCKET__PORT=8080. Secrets belong there.
# `zoozl config --conf {file}` shows what is in effect, also of tables that are not here, like [health] or [vault].
"""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A channel that the new configuration has, with the values of some of its options."""

    name: str
    model: type[ChannelOptions]
    values: Mapping[str, Any] = field(default_factory=dict)

    def missing(self) -> list[tuple[str, ...]]:
        """Options that must be set as well, of each tuple one."""
        try:
            self.model.model_validate(self.values)
        except ValidationError as exc:
            wanted = [error["ctx"]["missing"] for error in exc.errors() if error["type"] == "requires"]
            return [(group,) if isinstance(group, str) else tuple(group) for groups in wanted for group in groups]
        return []

    def refused(self, option: str) -> str | None:
        """Why the value of `option` cannot be taken."""
        try:
            self.model.model_validate(self.values)
        except ValidationError as exc:
            reasons = [error["msg"] for error in exc.errors(include_input=False) if error["loc"][:1] == (option,)]
            return reasons[0].replace("Input should be", "must be", 1) if reasons else None
        return None

    def is_on(self) -> bool:
        """Whether a server would open it as it is."""
        return not self.missing() and self.model.model_validate(self.values).is_on

    def variables(self) -> dict[str, str]:
        """Its secrets by the name of the variable that sets each."""
        secret = {option.name for option in options(self.model) if option.secret}
        return {variable(self.name, name): str(value) for name, value in self.values.items() if name in secret}


def variable(table: str, option: str) -> str:
    """The variable that sets an option."""
    return f"ZOOZL_{table}__{option}".upper()


def starter(file: str, extensions: Sequence[str], author: str, channels: Sequence[Chosen]) -> str:
    """The text of `file`. A channel that would not be on is written switched off, with what it lacks."""
    text = [HEADER.format(file=file)]
    given = {"extensions": list(extensions), "author": author}
    text += [_option(option, given) for option in options(Settings) if option.name not in LEFT_OUT]
    for chosen in channels:
        text.append(_channel(chosen))
    return "\n".join(text)


def dotenv(variables: Mapping[str, str]) -> str:
    """The lines of `.env` that set these."""
    return "".join(f"{name}={_quoted(value)}\n" for name, value in variables.items())


def _quoted(value: str) -> str:
    # What looks like quoted TOML would be read as what is in the quotes.
    text = value if typed(value, str) == value else written(value)
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _option(option: Option, given: Mapping[str, Any]) -> str:
    value = given.get(option.name, option.default)
    line = f"{option.name} = {'...' if value is None else written(value)}"
    return f"# {option.about}\n{line if option.name in given else f'# {line}'}\n"


def _channel(chosen: Chosen) -> str:
    about = summary(chosen.model)
    lines = [f"# {about}\n[{chosen.name}]" if about else f"[{chosen.name}]"]
    values = dict(chosen.values)
    if not chosen.is_on():
        lacks = " and ".join(" or ".join(group) for group in chosen.missing() or [chosen.model.asks])
        lines.append(f"# It is off until you set {lacks} and take this line away:\nenabled = false\n")
    for option in options(chosen.model):
        if option.name in LEFT_OUT or (option.name == "enabled" and not chosen.is_on()):
            continue
        if option.secret:
            state = "is in .env" if option.name in values else "belongs into .env"
            lines.append(f"# {option.about}\n# {option.name} {state}: {variable(chosen.name, option.name)}=...\n")
        else:
            lines.append(_option(option, values))
    return "\n".join(lines)
