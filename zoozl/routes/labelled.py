"""Messages with the plugin that each should go to, read from a table or from a transcript."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from zoozl.errors import ZoozlError

OUT_OF_SCOPE = ("", "-")
LONGEST = 64 << 20
HEADER = ("text", "plugin")
# In a transcript, a comment above what a talker says.
_LABEL = re.compile(r"#\s*->\s*(.*)")


class LabelError(ZoozlError):
    """A file of labelled messages cannot be used; the text begins with its name and the line."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A message. `label` names a plugin, by its name or one of its aliases; "" is none."""

    line: int
    text: str
    label: str


def read(path: Path) -> list[Labelled]:
    """The messages in a `.chat` file, else of a table. Raises LabelError, also for a file without any."""
    try:
        with path.open("rb") as file:
            data = file.read(LONGEST + 1)
        if len(data) > LONGEST:
            raise LabelError(f"{path}: is longer than {LONGEST >> 20} MB")
        text = data.decode("utf-8-sig")
    except OSError as exc:
        raise LabelError(f"{path}: cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise LabelError(f"{path}: is not UTF-8: {exc}") from exc
    found = of_chat(text, str(path)) if path.suffix == ".chat" else of_table(text, str(path))
    if not found:
        raise LabelError(f"{path}: has no labelled message")
    return found


def of_table(text: str, name: str) -> list[Labelled]:
    """Lines of message, tab, plugin; blank lines and those that begin with "# " are skipped. Raises LabelError."""
    found: list[Labelled] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("# "):
            continue
        cells = line.split("\t")
        if len(cells) != 2:
            raise LabelError(f'{name}:{number}: must be a message, a tab, and a plugin (or "-" for none)')
        message, label = (cell.strip() for cell in cells)
        if not found and (message.lower(), label.lower()) == HEADER:
            continue
        found.append(Labelled(number, message, "" if label in OUT_OF_SCOPE else label))
    return found


def of_chat(text: str, name: str) -> list[Labelled]:
    """What talkers say right below a comment "# -> PLUGIN"; the rest is not looked at. Raises LabelError."""
    from zoozl.testing.transcript import Said, TranscriptError, parse

    try:
        said = [step for step in parse(text, name) if isinstance(step, Said)]
    except TranscriptError as exc:
        raise LabelError(str(exc)) from exc
    labels = {n: m[1].strip() for n, line in enumerate(text.splitlines(), 1) if (m := _LABEL.fullmatch(line))}
    found = []
    for step in said:
        label = labels.pop(step.line - 1, None)
        if label is not None and not step.tap:
            found.append(Labelled(step.line, step.text, "" if label in OUT_OF_SCOPE else label))
    if labels:
        raise LabelError(f"{name}:{min(labels)}: a label stands right above what a talker says")
    return found


def resolved(messages: list[Labelled], name: str, find: Callable[[str], str | None]) -> list[Labelled]:
    """The same with the names of plugins as labels; `find` gives the name that a label means.

    Raises LabelError that tells of all labels which mean none.
    """
    found: list[Labelled] = []
    wrong: dict[str, int] = {}
    for message in messages:
        plugin = find(message.label) if message.label else ""
        if plugin is None:
            wrong.setdefault(message.label, message.line)
        else:
            found.append(Labelled(message.line, message.text, plugin))
    if wrong:
        lines = (f"{name}:{line}: there is no plugin or alias {label!r}" for label, line in list(wrong.items())[:10])
        raise LabelError("\n".join(lines))
    return found
