"""Sentences that mean no plugin in particular: what aliases are told apart from."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from zoozl.errors import ConfigError

FILE = Path(__file__).with_name("background.txt")
# With fewer, their mean is about them and not about language, and the tail that thresholds stand on is a guess.
FEWEST = 20
MOST = 2_000
LONGEST = 500


@cache
def sentences(file: Path = FILE) -> tuple[str, ...]:
    """The lines of `file` that are neither empty nor comments, in UTF-8. Raises ConfigError."""
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"background sentences cannot be read from {file}: {exc}") from exc
    lines = (line.strip() for line in text.splitlines())
    found = tuple(dict.fromkeys(line[:LONGEST] for line in lines if line and not line.startswith("#")))
    if not FEWEST <= len(found) <= MOST:
        raise ConfigError(f"{file} has {len(found)} background sentences; {FEWEST} to {MOST} are needed, about 200 do")
    return found
