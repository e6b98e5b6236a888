"""Where log lines go and what they look like: text or JSON, with the turn that they belong to and without secrets."""

from __future__ import annotations

import json
import logging
import logging.handlers
import sys
import threading
import traceback
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any

from zoozl import redaction
from zoozl.chatbot.trace import turn_id
from zoozl.redaction import clean
from zoozl.settings import LEVELS

if TYPE_CHECKING:
    from zoozl.config import Config
    from zoozl.errors import ConfigError

log = logging.getLogger(__name__)

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "turn"}


class TextFormat(logging.Formatter):
    """A line for people: time, level, logger, turn, message; then the traceback."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-8s %(name)s [%(turn)s] %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter; what comes out is cleaned, wherever in the record a secret was."""
        return clean(super().format(record))


class JsonFormat(logging.Formatter):
    """An object a line: `ts` (ISO 8601, UTC), `level`, `logger`, `message`, `turn`; `exc`, `stack`, `extra` if any."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter. Every text in it is cleaned before it is encoded."""
        line: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": clean(record.getMessage()),
            "turn": None if (turn := getattr(record, "turn", "-")) == "-" else turn,
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["exc"] = clean(self.formatException(record.exc_info))
        elif record.exc_text:
            line["exc"] = clean(record.exc_text)
        if record.stack_info:
            line["stack"] = clean(record.stack_info)
        # Whatever a plugin adds: as text, because nothing is known about it.
        if extra := {key: clean(str(value)) for key, value in vars(record).items() if key not in _STANDARD}:
            line["extra"] = extra
        return json.dumps(line)


FORMATS = {"text": TextFormat, "json": JsonFormat}


def with_turn(record: logging.LogRecord) -> bool:
    """A logging filter: give a record its turn, unless whoever logged it did."""
    if not hasattr(record, "turn"):
        record.turn = turn_id.get() or "-"
    return True


def lost(record: logging.LogRecord) -> str:
    """One line on a record that cannot be written; called while its exception is handled."""
    why = "".join(traceback.format_exception_only(sys.exception())).strip()
    # The standard library would show the arguments here, and with them what may be in them.
    return clean(f"a log line of {record.pathname}, line {record.lineno}, is lost: {why}")


class _Stream(logging.StreamHandler[Any]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is the standard library's
        _complain(lost(record), self.stream)


class _File(logging.handlers.WatchedFileHandler):
    """Opens the file anew when it was moved away. Never raises: a full disk must not end a conversation."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - see above
        _complain(lost(record), sys.stderr)


def _complain(text: str, stream: IO[str] | None) -> None:
    try:
        if stream is not None:
            print(text, file=stream)
    except (OSError, ValueError):
        pass  # nobody reads that either


def handler(file: str = "STDERR", style: str = "text") -> logging.Handler:
    """A handler that writes to STDERR, STDOUT or the file of that path. Raises OSError if it cannot be opened."""
    made: logging.Handler
    if file in ("STDERR", "STDOUT"):
        made = _Stream(sys.stderr if file == "STDERR" else sys.stdout)
    else:
        made = _File(file, encoding="utf-8", errors="backslashreplace")
    made.addFilter(with_turn)
    made.setFormatter(FORMATS[style]())
    return made


def install(made: logging.Handler, level: str | int) -> None:
    """Let `made` have all that is logged from `level` on, and nobody else.

    Warnings, and exceptions that nobody caught in a thread or a finalizer, are logged as well.
    """
    for name, number in LEVELS.items():
        logging.addLevelName(number, name)
    root = logging.getLogger()
    root.handlers[:] = [made]
    root.setLevel(level.upper() if isinstance(level, str) else level)
    logging.captureWarnings(True)
    redaction.guard()
    threading.excepthook = _log_thread
    sys.unraisablehook = _log_unraisable


def configure(config: Config, level: str | int | None = None) -> None:
    """Log as the configuration says, from `level` on if that is given. Raises ConfigError."""
    settings = config.settings
    file = settings.log_file
    if file not in ("STDERR", "STDOUT"):
        file = str(config.folder / file)
    try:
        made = handler(file, settings.log_format)
    except (OSError, ValueError) as exc:  # ValueError: a path with a null byte
        raise _refused(config, exc) from exc
    install(made, settings.log_level if level is None else level)


def _refused(config: Config, exc: OSError | ValueError) -> ConfigError:
    return config.error("log_file", f"cannot be written: {getattr(exc, 'strerror', None) or exc}")


def _log_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit or args.exc_value is None:
        return
    name = args.thread.name if args.thread is not None else "?"
    exc_info = (args.exc_type, args.exc_value, args.exc_traceback)
    log.error("thread %s ended with an exception that nobody caught", name, exc_info=exc_info)


def _log_unraisable(args: sys.UnraisableHookArgs) -> None:
    exc_info = (args.exc_type, args.exc_value, args.exc_traceback) if args.exc_value is not None else None
    log.error("%s: %r", args.err_msg or "an exception that nobody could catch", args.object, exc_info=exc_info)
