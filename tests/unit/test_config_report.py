"""The merged configuration as `zoozl config` shows it: every value with its origin, and no secret."""

import pytest

from zoozl import config
from zoozl.config.report import masked, rows, select, without_passwords


def shown(found):
    return {".".join(map(str, row.path)): (row.value, row.origin) for row in found}


@pytest.fixture
def merged(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chatbot.toml").write_text(
        'author = "A"\nwebsocket_port = 1\nstore = "sqlite:///s.db"\n'
        '[slack]\nport = 2\nbot_token = "xoxb-hunter2"\nsigning_secret = "hunter2"\n'
        '[retention]\ndedup = {email = "3d"}\n'
        '[weather]\nurl = "https://me:hunter2@example.com/x"\napi_key = "hunter2"\nmax_tokens = 7\n'
        '[weather.deep]\nPASSWORDS = ["hunter2"]\n'
    )
    (tmp_path / ".env").write_text("# mine\nZOOZL_AUTHOR=B\nZOOZL_HOST=::1\n")
    environ = {"ZOOZL_AUTHOR": "C", "ZOOZL_RETENTION__DEDUP__DEFAULT": "1d", "ZOOZL_WEATHER__TOKEN": "hunter2"}
    return config.load("chatbot.toml", environ, force_bind=True)


def test_each_value_tells_where_it_was_set(merged):
    found = shown(rows(merged))
    assert found["author"] == ("C", "environment ZOOZL_AUTHOR")
    assert found["host"] == ("::1", ".env:3")
    assert found["websocket.port"] == (1, "chatbot.toml:2")
    assert found["slack.port"] == (2, "chatbot.toml:5")
    assert found["force_bind"] == (True, "--force-bind")
    assert found["lane_depth"] == (100, "default")
    assert found["threshold"] == (None, "default")
    assert found["retention.outbox"] == ("7d", "default")
    value, origin = found["retention.dedup"]
    assert value == {"email": "3d", "default": "1d"}
    assert sorted(origin.split(", ")) == ["chatbot.toml:9", "environment ZOOZL_RETENTION__DEDUP__DEFAULT"]


def test_no_secret_is_shown(merged):
    found = rows(merged)
    assert "hunter2" not in repr(found)
    values = {name: value for name, (value, _) in shown(found).items()}
    assert values["slack.bot_token"] == values["slack.signing_secret"] == "***"
    assert values["slack.app_token"] is None
    assert values["weather.url"] == "https://me:***@example.com/x"
    assert values["weather.api_key"] == values["weather.token"] == "***"
    assert values["weather.deep.PASSWORDS"] == ["***"]
    assert values["weather.max_tokens"] == 7


def test_a_key_or_a_table_is_selected(merged):
    assert list(shown(select(rows(merged), "author"))) == ["author"]
    assert list(shown(select(rows(merged), "weather.deep"))) == ["weather.deep.PASSWORDS"]
    assert select(rows(merged), "auth") == []


def test_a_channel_nobody_mentioned_is_shown_on_demand(merged):
    assert "email.smtp_port" not in shown(rows(merged))
    assert shown(rows(merged, also="email"))["email.smtp_port"] == (25, "default")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgres://u:p@h/d", "postgres://u:***@h/d"),
        ("postgres://u:p@ss/wo:rd@h/d", "postgres://u:***@h/d"),
        ("postgres://:p@h", "postgres://:***@h"),
        ("https://token@h/x", "https://***@h/x"),
        ("https://h/x?a=1&access_token=t&b=2", "https://h/x?a=1&access_token=***&b=2"),
        ("https://h/x?password=p#f", "https://h/x?password=***#f"),
        ("https://h:8080/@me", "https://h:***@me"),
        ("https://h/@me", "https://h/@me"),
        ("me@example.com", "me@example.com"),
        ("sqlite:////var/lib/a.db", "sqlite:////var/lib/a.db"),
    ],
)
def test_passwords_in_addresses_are_masked(text, expected):
    assert without_passwords(text) == expected


def test_an_empty_secret_is_no_secret():
    assert masked("", None, "password") == ""
    assert masked(None, None, "password") is None
