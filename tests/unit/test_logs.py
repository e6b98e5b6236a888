"""Log lines: their form, their turn, and no secret in them."""

import base64
import io
import json
import logging
import sys
import threading
import urllib.parse
import warnings

import pytest

from zoozl import config, logs, redaction
from zoozl.chatbot.trace import turn_id
from zoozl.errors import ConfigError
from zoozl.redaction import Redaction, is_secret_name, named_secrets, secrets_of_url

TOKEN = "xoxb-7/3+tökén\"1'"


@pytest.fixture
def stream():
    """What a logger of its own writes, with `TOKEN` known."""
    made = logs._Stream(io.StringIO())
    made.addFilter(logs.with_turn)
    logger = logging.getLogger("test-logs")
    logger.propagate = False
    logger.setLevel(1)
    logger.handlers[:] = [made]
    made.logger = logger
    redaction.remember([TOKEN])
    yield made
    logger.handlers.clear()


def lines(stream):
    return [json.loads(line) for line in stream.stream.getvalue().splitlines()]


def fall():
    try:
        raise ValueError(f"inner {TOKEN}")
    except ValueError as exc:
        raise RuntimeError("outer", [TOKEN]) from exc


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_secret_is_nowhere_in_a_record(stream, style):
    stream.setFormatter(logs.FORMATS[style]())
    log = stream.logger
    log.info("as it is %s", TOKEN)
    log.info("in the message " + TOKEN.replace("%", "%%"))
    log.info("in things %s %r %s", {"a": TOKEN}, [TOKEN], TOKEN.encode())
    log.info("mapped %(key)s", {"key": TOKEN})
    log.info("more", extra={"password": TOKEN, "nested": {"x": [TOKEN]}})
    log.info("stack", stack_info=True, extra={"y": TOKEN})
    try:
        fall()
    except RuntimeError:
        log.exception("fell")
    log.info("url https://x.example/%s?token=%s", urllib.parse.quote(TOKEN), urllib.parse.quote_plus(TOKEN))
    log.info("basic %s", base64.b64encode(f"user:{TOKEN}".encode()).decode())
    text = stream.stream.getvalue()
    assert text.count("***") >= 10
    assert "Traceback" in text
    for piece in (TOKEN, "tökén", "t\\xf6k", "t\\u00f6k", "t%C3%B6k", "7/3+", "eG94Yi"):
        assert piece not in text
    if style == "json":
        assert all(isinstance(line, dict) for line in lines(stream))


def test_json_is_one_object_a_line(stream):
    stream.setFormatter(logs.JsonFormat())
    stream.logger.warning("two\nlines \ud800 %s", "ü", extra={"alias": "x"})
    turn = turn_id.set(7)
    try:
        fall()
    except RuntimeError:
        stream.logger.error("fell", exc_info=True)
    turn_id.reset(turn)
    first, second = lines(stream)
    assert first["message"] == "two\nlines \ud800 ü"
    assert (first["level"], first["logger"], first["turn"], first["extra"]) == (
        "WARNING",
        "test-logs",
        None,
        {"alias": "x"},
    )
    assert first["ts"].endswith("+00:00")
    assert first["ts"][10] == "T"
    assert second["turn"] == 7
    assert "RuntimeError" in second["exc"]
    assert "exc" not in first


def test_text_has_the_turn(stream):
    stream.setFormatter(logs.TextFormat())
    stream.logger.info("outside")
    stream.logger.info("inside", extra={"turn": 12})
    assert [line.split(" [")[1] for line in stream.stream.getvalue().splitlines()] == ["-] outside", "12] inside"]


def test_a_line_that_cannot_be_formatted_says_where_and_shows_no_argument(stream):
    stream.setFormatter(logs.TextFormat())
    stream.handle(logging.makeLogRecord({"msg": "%d", "args": (TOKEN,), "pathname": "mine.py", "lineno": 3}))
    text = stream.stream.getvalue()
    assert "mine.py, line 3" in text
    assert "TypeError" in text
    assert TOKEN not in text


def test_a_file_that_was_moved_away_is_opened_anew(tmp_path):
    made = logs.handler(str(tmp_path / "a.log"))
    record = logging.makeLogRecord({"msg": "first"})
    made.handle(record)
    (tmp_path / "a.log").rename(tmp_path / "a.log.1")
    made.handle(logging.makeLogRecord({"msg": "second \ud800"}))
    made.close()
    assert "first" in (tmp_path / "a.log.1").read_text()
    assert "second" in (tmp_path / "a.log").read_text()


def test_a_file_that_cannot_be_opened_anew_ends_nothing(tmp_path, capsys):
    (tmp_path / "logs").mkdir()
    made = logs.handler(str(tmp_path / "logs" / "a.log"))
    (tmp_path / "logs").rename(tmp_path / "gone")
    made.handle(logging.makeLogRecord({"msg": "x", "pathname": "mine.py", "lineno": 3}))
    assert "a log line of mine.py, line 3, is lost: FileNotFoundError" in capsys.readouterr().err
    (tmp_path / "gone").rename(tmp_path / "logs")
    made.handle(logging.makeLogRecord({"msg": "back"}))
    made.close()
    assert "back" in (tmp_path / "logs" / "a.log").read_text()


def test_a_file_that_cannot_be_opened_is_a_mistake_with_its_key(tmp_path):
    conf = config.from_dict({"websocket_port": 0, "log_file": str(tmp_path / "nowhere" / "a.log")}, {})
    with pytest.raises(ConfigError, match=r"log_file: cannot be written: No such file"):
        logs.configure(conf)


@pytest.mark.parametrize(
    ("environ", "level", "file", "style"),
    [
        ({}, "INFO", "STDERR", "text"),
        (
            {"ZOOZL_LOG_LEVEL": "trace", "ZOOZL_LOG_FILE": "stdout", "ZOOZL_LOG_FORMAT": "JSON"},
            "TRACE",
            "STDOUT",
            "json",
        ),
        ({"AILINGBOT_LOG_LEVEL": "SUCCESS", "AILINGBOT_LOG_FILE": "a.log"}, "SUCCESS", "a.log", "text"),
        ({"AILINGBOT_LOG__LEVEL": "error", "AILINGBOT_LOG__FILE": "stderr"}, "ERROR", "STDERR", "text"),
    ],
)
def test_the_keys_and_their_variables(environ, level, file, style):
    settings = config.from_dict({"websocket_port": 0}, environ).settings
    assert (settings.log_level, settings.log_file, settings.log_format) == (level, file, style)


def test_the_command_line_goes_first(tmp_path):
    file = tmp_path / "chatbot.toml"
    file.write_text("websocket_port = 0\nlog_level = 'ERROR'\n")
    given = {"log_level": "debug", "log_format": "json"}
    settings = config.load(file, {"ZOOZL_LOG_FORMAT": "text"}, options=given).settings
    assert (settings.log_level, settings.log_format) == ("DEBUG", "json")
    with pytest.raises(ConfigError, match=r"^--log-level: must be"):
        config.load(file, {}, options={"log_level": "loud"})
    with pytest.raises(ConfigError, match=r"--log-format: must be 'text' or 'json'"):
        config.load(file, {}, options={"log_format": "xml"})


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The process logs to a file, as JSON."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    for where, name in ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(where, name, getattr(where, name))
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    made = logs.handler(str(tmp_path / "a.log"), "json")
    logs.install(made, "TRACE")
    yield tmp_path / "a.log"
    logging.captureWarnings(False)
    made.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_what_nobody_caught_is_logged_and_cleaned(installed):
    redaction.remember([TOKEN])
    thread = threading.Thread(target=fall, name="mine")
    thread.start()
    thread.join()

    class Falls:
        def __del__(self):
            raise ValueError(TOKEN)

    Falls()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn(f"old {TOKEN}", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(False)
    logging.log(25, "well done")
    logging.log(5, "tiny")
    text = installed.read_text()
    assert TOKEN not in text
    assert "tök" not in json.dumps([json.loads(line) for line in text.splitlines()], ensure_ascii=False)
    found = [(line["level"], line["logger"]) for line in map(json.loads, text.splitlines())]
    assert found == [
        ("ERROR", "zoozl.logs"),
        ("ERROR", "zoozl.logs"),
        ("WARNING", "py.warnings"),
        ("SUCCESS", "root"),
        ("TRACE", "root"),
    ]


def test_the_last_traceback_of_the_program_is_clean(capsys):
    redaction.remember([TOKEN])
    try:
        fall()
    except RuntimeError as exc:
        redaction._show_last(type(exc), exc, exc.__traceback__)
    shown = capsys.readouterr().err
    assert "RuntimeError: ('outer', ['***'])" in shown
    assert "inner ***" in shown


def test_secrets_by_their_name():
    secret = "token API_KEY SMTP_PWD bot_token botToken smtp_password APIKEY password2 client_secret keys Secret-Key"
    harmless = "PWD OLDPWD api_key_env auth_public_key keyboard tokenizer monkey key_file author port"
    assert all(map(is_secret_name, secret.split()))
    assert not any(map(is_secret_name, harmless.split()))
    conf = {
        "author": "me",
        "mine": {"api_key": "k1", "secrets": {"a": ["k2", {"b": "k3"}]}, "url": "https://u:p%40ss@host/?token=k4&x=1"},
    }
    assert set(named_secrets(conf)) == {"k1", "k2", "k3", "p%40ss", "p@ss", "k4"}
    assert list(secrets_of_url("http://[broken:x@y")) == []


def test_short_texts_are_no_secrets_and_nothing_known_costs_nothing():
    empty = Redaction()
    text = "x" * 50
    assert empty.clean(text) is text
    empty.remember(["", "abc", "short"])
    assert empty.clean("abc short") == "abc short"


def test_long_and_many_lined_secrets_are_found_in_pieces():
    known = Redaction()
    long = "".join(chr(97 + n % 26) for n in range(60)) + "0123456789"
    key = "-----BEGIN KEY-----\nMIIabcdefghijklmnop\nQRSTUVWXYZ0123456789\n-----END KEY-----"
    known.remember([long, key, "prefix-and-more", "prefix-and"])
    shown = f"input_value='{long[:24]}...{long[-24:]}'"
    assert long[:16] not in known.clean(shown)
    assert long[-16:] not in known.clean(shown)
    assert known.clean("  QRSTUVWXYZ0123456789") == "  ***"
    assert known.clean("-----BEGIN KEY-----") == "-----BEGIN KEY-----"
    assert known.clean("prefix-and-more prefix-and") == "*** ***"


@pytest.mark.parametrize("before", ["", "u", "us", "use"])
@pytest.mark.parametrize("after", ["", "x", "xy"])
def test_base64_is_seen_wherever_the_secret_stands_in_it(before, after):
    known = Redaction()
    known.remember([TOKEN])
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(f"{before}{TOKEN}{after}".encode()).decode()
        cleaned = known.clean(text)
        assert "***" in cleaned
        assert len(cleaned) <= 3 + 4 + 4
