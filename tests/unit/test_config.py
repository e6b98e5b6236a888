"""The configuration: precedence, forms of a key, and a clear error for each mistake."""

import hashlib
import logging
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from zoozl import registry
from zoozl.channels.planned import PLANNED
from zoozl.chatbot.context import BUNDLED
from zoozl.config import Config, extend_import_path, from_dict, load
from zoozl.config.sections import Sections
from zoozl.errors import ConfigError
from zoozl.settings import ChannelOptions, Settings

ROOT = Path(__file__).parents[2]
SECRET = "xoxb-Tr0ub4dor-and-3"
ON = "websocket_port = 1601\n"

Read = Callable[..., Config]


@pytest.fixture(autouse=True)
def _inside_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def read() -> Read:
    """Load a text as chatbot.toml with these variables and this .env; the file is named as in errors."""

    def read(text: str, environ: dict[str, str] | None = None, dotenv: str = "", **options: bool) -> Config:
        Path("chatbot.toml").write_bytes(text.encode())
        Path(".env").write_bytes(dotenv.encode())
        return load("chatbot.toml", environ or {}, **options)

    return read


def mistake(read: Read, *args: object) -> str:
    with pytest.raises(ConfigError) as caught:
        read(*args)
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert SECRET not in shown
    assert "pydantic" not in shown
    return str(caught.value)


# Sources and their order


def test_without_a_file_the_bundled_plugins_run_on_a_websocket() -> None:
    conf = load(environ={})
    assert conf.path is None
    assert conf.folder == Path.cwd()
    assert conf.settings.extensions == list(BUNDLED)
    assert conf.channels["websocket"].port == 1601
    assert conf.conf["websocket_port"] == 1601
    assert conf.origin("websocket_port") == conf.origin("extensions") == "default"


def test_without_a_file_the_environment_still_applies() -> None:
    conf = load(environ={"ZOOZL_WEBSOCKET_PORT": "0", "ZOOZL_AUTHOR": "Robo", "ZOOZL_EXTENSIONS": "mine"})
    assert conf.channels["websocket"].port == 0
    assert (conf.settings.author, conf.settings.extensions) == ("Robo", ["mine"])


def test_with_a_file_nothing_is_loaded_that_it_does_not_name(read: Read) -> None:
    assert read(ON).settings.extensions == []


def test_zoozl_conf_names_the_file() -> None:
    Path("other.toml").write_text(ON + 'author = "Other"')
    assert load(environ={"ZOOZL_CONF": "other.toml"}).settings.author == "Other"
    assert load("other.toml", {"ZOOZL_CONF": "missing.toml"}).settings.author == "Other"
    with pytest.raises(ConfigError, match=r"^ZOOZL_CONF: missing\.toml: there is no such file$"):
        load(environ={"ZOOZL_CONF": "missing.toml"})


def test_the_stronger_source_wins(read: Read) -> None:
    text, dotenv = ON + 'author = "toml"', "ZOOZL_AUTHOR=dotenv\n"
    assert read(ON).origin("author") == "default"
    assert read(text).settings.author == "toml"
    assert read(text).origin("author") == "chatbot.toml:2"
    assert read(text, {}, dotenv).settings.author == "dotenv"
    assert read(text, {}, "\n# c\n" + dotenv).origin("author") == ".env:3"
    both = read(text, {"ZOOZL_AUTHOR": "environment"}, dotenv)
    assert both.settings.author == both.conf["author"] == "environment"
    assert both.origin("author") == "ZOOZL_AUTHOR"


def test_the_command_line_wins_over_all(read: Read) -> None:
    conf = read(ON + "force_bind = false", {"ZOOZL_FORCE_BIND": "false"}, force_bind=True)
    assert conf.settings.force_bind is True
    assert conf.origin("force_bind") == "--force-bind"


def test_a_variable_changes_one_key_of_a_table_and_leaves_the_others(read: Read) -> None:
    conf = read("[websocket]\nport = 1\npath = '/a'", {"ZOOZL_WEBSOCKET__PORT": "2"})
    assert conf.conf["websocket"] == {"port": 2, "path": "/a"}
    assert read("[websocket]\nport = 1", {"ZOOZL_WEBSOCKET_PORT": "3"}).channels["websocket"].port == 3
    assert read(ON, {"ZOOZL_WEBSOCKET": "{port = 4}"}).channels["websocket"].port == 4


def test_a_mapping_is_a_configuration_and_may_hold_objects() -> None:
    embedder, callback = object(), print
    conf = from_dict({"websocket_port": 1601, "embedder": embedder, "operation_callback": callback, "store": None}, {})
    assert conf.settings.embedder is conf.conf["embedder"] is embedder
    assert conf.settings.operation_callback is callback
    assert conf.origin("embedder") == "conf"
    assert from_dict({"websocket": {"port": 1}}, {"ZOOZL_WEBSOCKET_PORT": "2"}).channels["websocket"].port == 2


def test_a_mapping_is_not_changed() -> None:
    given = {"websocket": {"port": 1}, "mine": {"list": [1]}}
    from_dict(given, {"ZOOZL_MINE__KEY": "1"})
    assert given == {"websocket": {"port": 1}, "mine": {"list": [1]}}


def test_a_string_with_the_wrong_content_is_not_blamed_for_being_a_string() -> None:
    with pytest.raises(ConfigError) as caught:
        from_dict({"log_format": "xml", "websocket": {"accent": "red"}}, {})
    assert str(caught.value).splitlines() == [
        "log_format: must be 'text' or 'json'",
        "websocket.accent: must be a colour like #2563eb",
    ]


@pytest.mark.parametrize(
    ("conf", "text"),
    [
        ({"websocket_port": "x"}, "websocket_port: must be"),
        ({"websocket": {"prot": 1}}, "websocket.prot: unknown key"),
        ({3: 4}, "[3]: keys must be strings"),
        ({"extensions": ["a", "slack"]}, "extensions[1]: the extension has the name of the table [slack]"),
        ({}, "configuration: no channel is on"),
    ],
)
def test_a_mistake_in_a_mapping_names_the_key(conf: dict, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_dict(conf, {})
    assert str(caught.value).startswith(text)


# Variables


@pytest.mark.parametrize(
    ("name", "value", "key", "expected"),
    [
        ("ZOOZL_AUTHOR", "007", "author", "007"),
        ("ZOOZL_AUTHOR", "12345", "author", "12345"),
        ("ZOOZL_AUTHOR", "true", "author", "true"),
        ("ZOOZL_AUTHOR", "", "author", ""),
        ("ZOOZL_AUTHOR", '"quoted"', "author", "quoted"),
        ("ZOOZL_AUTHOR", "1\nstore = 'x'", "author", "1\nstore = 'x'"),
        ("ZOOZL_AUTHOR", "9" * 5000, "author", "9" * 5000),
        ("zoozl_author", "lower", "author", "lower"),
        ("Zoozl_Log_Level", "debug", "log_level", "DEBUG"),
        ("ZOOZL_LOG_LEVEL", "15", "log_level", 15),
        ("ZOOZL_THRESHOLD", "0.5", "threshold", 0.5),
        ("ZOOZL_THRESHOLD", "1", "threshold", 1.0),
        ("ZOOZL_AUTH_REQUIRED", "true", "auth_required", True),
        ("ZOOZL_AUTH_REQUIRED", "True", "auth_required", True),
        ("ZOOZL_FORCE_BIND", "0", "force_bind", False),
        ("ZOOZL_FORCE_BIND", "yes", "force_bind", True),
        ("ZOOZL_FORCE_BIND", " OFF ", "force_bind", False),
        ("ZOOZL_EXTENSIONS", "one, two.three ,", "extensions", ["one", "two.three"]),
        ("ZOOZL_EXTENSIONS", "one", "extensions", ["one"]),
        ("ZOOZL_EXTENSIONS", '["one", "two"]', "extensions", ["one", "two"]),
        ("ZOOZL_EXTENSIONS", "", "extensions", []),
        ("AILINGBOT_AUTHOR", "Ailing", "author", "Ailing"),
        ("AILINGBOT_LOG_LEVEL", "warning", "log_level", "WARNING"),
        ("AILINGBOT_LOG__LEVEL", "warning", "log_level", "WARNING"),
    ],
)
def test_a_variable_is_read_as_its_key_wants_it(read: Read, name: str, value: str, key: str, expected: object) -> None:
    conf = read(ON, {name: value})
    assert getattr(conf.settings, key) == expected
    assert type(conf.conf[key]) is type(expected)
    assert conf.origin(key) == name


@pytest.mark.parametrize("number", ["12345", "007", "1e5", "{x = 1}", "5 # no comment", "${HOME}"])
def test_a_secret_that_looks_like_a_value_stays_text(read: Read, number: str) -> None:
    assert read(ON, {"ZOOZL_SLACK__BOT_TOKEN": number}).conf["slack_bot_token"] == number
    assert read(ON, {}, f"ZOOZL_SLACK_BOT_TOKEN='{number}'").conf["slack"]["bot_token"] == number


@pytest.mark.parametrize(
    ("value", "expected"),
    [("5", 5), ("five", "five"), ("[1, 2]", [1, 2]), ("a, b", "a, b"), ("{a = 1}", {"a": 1}), ("true", True)],
)
def test_a_variable_for_a_plugin_is_read_as_toml_or_else_as_text(read: Read, value: str, expected: object) -> None:
    assert read(ON, {"ZOOZL_MY_PLUGIN__SOME_KEY": value}).conf["my_plugin"]["some_key"] == expected


def test_the_value_in_the_file_tells_how_to_read_a_variable_for_a_plugin(read: Read) -> None:
    text = ON + "[My]\nToken = 'a'\nIds = [1]\nnames = ['x']\nsub = {_type = 'y'}"
    environ = {
        "ZOOZL_MY__TOKEN": "12345",
        "zoozl_my__ids": "2, 3",
        "ZOOZL_MY__NAMES": "7,b",
        "ZOOZL_MY__SUB___TYPE": "1",
    }
    conf = read(text, environ)
    assert conf.conf["My"] == {"Token": "12345", "Ids": [2, 3], "names": ["7", "b"], "sub": {"_type": "1"}}
    assert conf.origin("My.sub._type") == "ZOOZL_MY__SUB___TYPE"


def test_reserved_and_foreign_variables_are_left_alone(read: Read) -> None:
    conf = read(
        ON, {"ZOOZL_TEST_X": "1", "ZOOZL_FAILPOINT_Y": "1", "ZOOZL_FAILPOINTS": "1", "ZOOZLE": "1", "PATH": "x"}
    )
    assert conf.warnings == ()


def test_our_prefix_wins_over_the_other(read: Read) -> None:
    conf = read(ON, {"AILINGBOT_AUTHOR": "other"}, "ZOOZL_AUTHOR=ours")
    assert conf.settings.author == "ours"


@pytest.mark.parametrize(
    "name",
    ["AILINGBOT_LANG", "AILINGBOT_POLICY__LLM___TYPE", "AILINGBOT_SLACK__OAUTH_TOKEN", "AILINGBOT_UVICORN__PORT"],
)
def test_an_unknown_key_under_the_other_prefix_only_warns(read: Read, name: str) -> None:
    conf = read(ON, {name: SECRET})
    assert len(conf.warnings) == 1
    assert conf.warnings[0].startswith(f"{name}: ")
    assert SECRET not in str(conf.warnings)
    assert conf.check_tables([]) == []


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        ({"ZOOZL_AUTHR": "x"}, "ZOOZL_AUTHR: unknown key; did you mean author?"),
        ({"ZOOZL_WEBSOCKET_PORT": "many"}, "ZOOZL_WEBSOCKET_PORT: must be a valid integer, is a string"),
        ({"ZOOZL_WEBSOCKET_PORT": ""}, "ZOOZL_WEBSOCKET_PORT: must be a valid integer, is an empty string"),
        ({"ZOOZL_WEBSOCKET__PROT": "1"}, "ZOOZL_WEBSOCKET__PROT: unknown key in [websocket]; did you mean port?"),
        ({"ZOOZL_WEBSOCKET": "yes"}, "ZOOZL_WEBSOCKET: is a channel, which has keys of its own"),
        ({"ZOOZL_EXTENSIONS": "[one]"}, "ZOOZL_EXTENSIONS: must be a valid list, is a string"),
        ({"ZOOZL_EXTENSIONS": "one,two.py"}, "ZOOZL_EXTENSIONS[1]: is a file"),
        ({"ZOOZL___X": "1"}, "ZOOZL___X: names no key"),
        ({"ZOOZL_": "1"}, "ZOOZL_: names no key"),
        ({"ZOOZL_TURN_TIMEOUT": "-1"}, "ZOOZL_TURN_TIMEOUT: must be greater than 0, is -1"),
        ({"ZOOZL_SLACK__PORT": "1"}, "ZOOZL_SLACK__PORT: needs ZOOZL_SLACK__SIGNING_SECRET"),
        ({"zoozl_slack_port": "1"}, "zoozl_slack_port: needs zoozl_slack_signing_secret"),
        ({"ZOOZL_AUTHOR": "a", "zoozl_author": "b"}, "zoozl_author: is the same key as ZOOZL_AUTHOR"),
        ({"ZOOZL_EMAIL_PORT": "1", "ZOOZL_EMAIL__PORT": "2"}, "ZOOZL_EMAIL__PORT: is the same key as ZOOZL_EMAIL_PORT"),
    ],
)
def test_a_mistake_in_a_variable_names_it(read: Read, environ: dict[str, str], text: str) -> None:
    assert text in mistake(read, ON, environ)


@pytest.mark.parametrize(
    ("dotenv", "text"),
    [
        ("\n\nZOOZL_AUTHR=x", ".env:3: ZOOZL_AUTHR: unknown key; did you mean author?"),
        ("A=1\nexport ZOOZL_THRESHOLD=2\n", ".env:2: ZOOZL_THRESHOLD: must be less than or equal to 1, is 2"),
        ("ZOOZL_AUTHOR\n", ".env:1: ZOOZL_AUTHOR: has no value"),
        (f"# c\n\nZOOZL_SLACK_BOT_TOKEN='{SECRET}\n", ".env:3: ZOOZL_SLACK_BOT_TOKEN: cannot be read; is a quote"),
    ],
)
def test_a_mistake_in_dotenv_names_line_and_variable(read: Read, dotenv: str, text: str) -> None:
    assert mistake(read, ON, {}, dotenv).startswith(text)


def test_what_dotenv_holds_for_others_is_none_of_our_business(read: Read) -> None:
    assert read(ON, {}, "OTHER='x\nFLAG\nZOOZL_AUTHOR=me\n").settings.author == "me"


def test_dotenv_in_another_encoding_is_refused() -> None:
    Path(".env").write_bytes("ZOOZL_AUTHOR=Zoë".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"^\.env: is not UTF-8 text"):
        load(environ={})


def test_a_folder_called_dotenv_is_ignored() -> None:
    Path(".env").mkdir()
    assert load(environ={}).settings.author == ""


# Forms of a key


def test_flat_and_table_form_are_the_same_key(read: Read) -> None:
    flat, table = read("websocket_port = 7"), read("[websocket]\nport = 7")
    assert flat.channels == table.channels
    assert flat.conf == table.conf
    assert flat.conf["websocket_port"] == flat.conf["websocket"]["port"] == 7
    assert read("websocket_port = 7\nwebsocket.port = 7").channels == flat.channels


def test_the_original_keys_are_understood(read: Read) -> None:
    conf = read(
        ON + "slack_port = 2\nslack_app_token = 'xoxb-1'\nslack_signing_secret = 's'\n"
        "email_port = 3\nemail_address = 'bot@example.com'\nemail_smtp_port = 26\n"
        "memory_path = 'sqlite://memory.db'\nlog_level = 'info'\nauth_required = false\nforce_bind = true\n"
        "[chatbot_fifa_extension]\ndatabase_path = 'x'\nadministrator = 'me'\n"
    ).conf
    assert conf["slack"] == {"port": 2, "app_token": "xoxb-1", "signing_secret": "s"}
    assert conf["slack_app_token"] == "xoxb-1"
    assert conf["email_smtp_port"] == conf["email"]["smtp_port"] == 26
    assert conf["memory_path"] == "sqlite://memory.db"
    assert conf["chatbot_fifa_extension"] == {"database_path": "x", "administrator": "me"}
    assert conf["log_level"] == "INFO"


def test_wecom_has_another_name(read: Read) -> None:
    assert read(ON + "wechatwork_corpid = 'c'\n[wechatwork]\nagentid = 5").conf["wecom"] == {
        "corpid": "c",
        "agentid": 5,
    }


def test_conf_holds_the_defaults_of_root_keys(read: Read) -> None:
    conf = read(ON).conf
    assert conf.keys() >= Settings.model_fields.keys()
    assert (conf["author"], conf["fallback"], conf["turn_timeout"]) == ("", "help", 60)


@pytest.mark.parametrize("given", ["debug", "Debug", " DEBUG ", "10", 10])
def test_a_log_level_is_a_name_in_any_case_or_a_number(given: str | int) -> None:
    level = from_dict({"websocket_port": 1, "log_level": given}, {}).settings.log_level
    assert logging.getLevelName(level) in (10, "DEBUG")


# Which channels are on


def test_a_channel_is_on_with_its_port_and_not_when_disabled(read: Read) -> None:
    assert read("websocket_port = 0").channels.keys() == {"websocket"}
    assert read("[websocket]\npath = '/'", need_channel=False).channels == {}
    assert read("[websocket]\nport = 1\nenabled = false", need_channel=False).channels == {}


@pytest.mark.parametrize(
    ("name", "options", "on"),
    [
        ("slack", {"port": 1, "bot_token": "b", "signing_secret": "s"}, True),
        ("slack", {"app_token": "xapp-1", "bot_token": "b"}, True),
        ("slack", {"app_token": "xoxb-1"}, False),
        ("email", {"port": 1, "address": "a@b"}, True),
        ("mattermost", {"url": "https://x", "token": "t"}, True),
        ("mattermost", {"token": "t"}, False),
        ("slack", {"port": 1, "enabled": False}, False),
        ("telegram", {"token": "t"}, True),
        ("feishu", {"app_id": "a", "app_secret": "s"}, True),
        ("dingtalk", {"app_key": "a", "app_secret": "s"}, True),
    ],
)
def test_what_switches_a_channel_on(name: str, options: dict, on: bool) -> None:
    assert Sections({}).options(name).model_validate(options).is_on is on


def test_a_planned_channel_is_checked_and_then_warned_about(read: Read) -> None:
    conf = read(ON + f"telegram_port = 3\ntelegram_token = '{SECRET}'\ntelegram_secret_token = '{SECRET}'")
    assert conf.channels.keys() == {"websocket"}
    assert conf.warnings == (
        "chatbot.toml:2: telegram_port, telegram_token, telegram_secret_token: the telegram channel is not built in yet; "
        "nothing will come from it",
    )
    assert SECRET not in repr(conf)
    assert conf.conf["telegram_token"] == SECRET


def test_a_key_of_a_planned_channel_that_is_off_is_warned_about_too(read: Read) -> None:
    assert "telegram_token" in read(ON + "telegram_token = 'x'").warnings[0]
    assert read(ON + "[telegram]\nenabled = false\nport = 3").warnings == ()


@pytest.mark.parametrize("name", ["jobs", "admin", "llm", "rooms"])
def test_a_table_for_later_is_accepted_with_a_warning(read: Read, name: str) -> None:
    conf = read(ON + f"\n[{name}]\nx = 1")
    assert conf.warnings == (f"chatbot.toml:3: {name}: is not built in yet; the table does nothing",)
    assert conf.conf[name] == {"x": 1}
    assert conf.check_tables([]) == []


def test_retention_is_in_seconds(read: Read) -> None:
    usual = read(ON).retention
    assert usual.model_dump() == {
        "conversation": None,
        "outbox": 7 * 86400,
        "dead": 30 * 86400,
        "unrouted": 30 * 86400,
        "dedup": {"default": 2 * 86400},
    }
    conf = read(
        ON + "[retention]\nconversation = '90d'\ndead = 'never'\ndedup = '72h'", {"ZOOZL_RETENTION__OUTBOX": "30m"}
    )
    assert conf.warnings == ()
    assert conf.retention.model_dump() == {
        "conversation": 90 * 86400,
        "outbox": 1800,
        "dead": None,
        "unrouted": 30 * 86400,
        "dedup": {"default": 3 * 86400},
    }
    assert read(ON + "[retention.dedup]\nemail = '7d'").retention.dedup == {"default": 2 * 86400, "email": 7 * 86400}
    assert conf.check_tables([]) == []


def test_a_channel_of_ones_own_is_named_by_its_class(read: Read) -> None:
    Path("my_channel_for_test.py").write_text(
        "from zoozl.settings import ChannelOptions\n"
        "class Options(ChannelOptions):\n    speed: int = 5\n"
        "class Channel:\n    def send(self): pass\n    def close(self): pass\n"
    )
    text = "[mine]\ntype = 'my_channel_for_test:Channel'\nport = 5\n"
    conf = read(text + "speed = 3")
    assert conf.channels["mine"].model_dump(include={"speed", "port"}) == {"speed": 3, "port": 5}
    assert conf.check_tables([]) == []
    assert read("mine_speed = 4\n" + text).conf["mine"]["speed"] == 4
    assert mistake(read, text + "sped = 3") == "chatbot.toml:4: mine.sped: unknown key in [mine]; did you mean speed?"
    assert mistake(read, "[mine]\ntype = 'no_such_module_for_test:Channel'").startswith(
        "chatbot.toml:2: mine.type: channel 'no_such_module_for_test:Channel' cannot be loaded: "
    )


@pytest.mark.parametrize(
    ("source", "cls", "text"),
    [
        ("class Channel(", "Channel", "cannot be loaded: SyntaxError: "),
        ("1 / 0", "Channel", "cannot be loaded: ZeroDivisionError: division by zero ("),
        ("raise ValueError('one\\ntwo')", "Channel", "cannot be loaded: ValueError: one two ("),
        ("raise SystemExit(4)", "Channel", "cannot be loaded: SystemExit: 4 ("),
        ("class Channel: pass", "Channel", "is no channel: it has no send() and no close()"),
        ("Channel = 5", "Channel", "is no class"),
        ("Channel = print", "Channel", "is no class"),
        ("Channel = print", "Chanel", "has no attribute 'Chanel'"),
        (
            "class Channel:\n    Options = dict\n    def send(self): pass\n    def close(self): pass",
            "Channel",
            "its Options must extend zoozl.settings.ChannelOptions",
        ),
    ],
)
def test_a_class_that_is_no_channel_is_refused_at_its_line(read: Read, source: str, cls: str, text: str) -> None:
    name = "bad_channel_" + hashlib.sha256(source.encode()).hexdigest()[:12]
    Path(f"{name}.py").write_text(source)
    found = mistake(read, f"author = 'x'\n[mine]\nport = 5\ntype = '{name}:{cls}'")
    assert found.startswith("chatbot.toml:4: mine.type: ")
    assert text in found
    assert "\n" not in found


# Mistakes in the file: place, key, reason, hint

MISTAKES = [
    # Unknown keys
    ("websocket_prot = 1601", "chatbot.toml:1: websocket_prot: unknown key; did you mean websocket_port?"),
    (ON + "\nAuthor = 'x'", "chatbot.toml:3: Author: unknown key; did you mean author?"),
    (ON + "extension = []", "chatbot.toml:2: extension: unknown key; did you mean extensions?"),
    (ON + "slack_tokn = 'x'", "chatbot.toml:2: slack_tokn: unknown key; did you mean slack_"),
    (ON + "port = 5", "chatbot.toml:2: port: unknown key; did you mean websocket_port?"),
    (ON + "zzz = 5", "chatbot.toml:2: zzz: unknown key; the nearest known key is "),
    (ON + "[websocket]\nprot = 1", "chatbot.toml:3: websocket.prot: unknown key in [websocket]; did you mean port?"),
    (ON + "[slack]\nslack_port = 1", "chatbot.toml:3: slack.slack_port: unknown key in [slack]; did you mean port?"),
    (ON + "[email]\nauthor = 'x'", "chatbot.toml:3: email.author: unknown key; author is a root key: write it above"),
    (ON + "slack = 5", "chatbot.toml:2: slack: is a channel, which has keys of its own: write [slack], or slack_port"),
    (ON + "retention = 5", "chatbot.toml:2: retention: is the name of a table: write [retention]"),
    (ON + "[retention]\ndaed = '1d'", "chatbot.toml:3: retention.daed: unknown key in [retention]; did you mean dead?"),
    (
        ON + "[retention]\ndead = 30",
        'chatbot.toml:3: retention.dead: must be a time like "30d", "48h" or "30m", or "never"',
    ),
    (ON + "[retention]\ndead = '0d'", "chatbot.toml:3: retention.dead: must be a time like"),
    (ON + "[retention]\ndedup = '2y'", "chatbot.toml:3: retention.dedup: must be a time like"),
    (
        ON + "[retention]\ndedup = {emial = '7d'}",
        "chatbot.toml:3: retention.dedup.emial: there is no channel of this name",
    ),
    (ON + "[retention]\ndedup = {email = 'x'}", "chatbot.toml:3: retention.dedup.email: must be a time like"),
    (ON + "jobs = 5", "chatbot.toml:2: jobs: is the name of a table: write [jobs]"),
    # Values
    ("websocket_port = '1601'", "chatbot.toml:1: websocket_port: must be a valid integer, is a string"),
    ("websocket_port = true", "chatbot.toml:1: websocket_port: must be a valid integer, is true"),
    ("websocket_port = 65536", "chatbot.toml:1: websocket_port: must be less than or equal to 65535, is 65536"),
    ("[websocket]\n\nport = -1", "chatbot.toml:3: websocket.port: must be greater than or equal to 0, is -1"),
    (ON + "email_port = '1'", "chatbot.toml:2: email_port: must be a valid integer, is a string"),
    (ON + "author = 5", "chatbot.toml:2: author: must be a valid string, is a number"),
    (ON + "[author]\nx = 1", "chatbot.toml:2: author: must be a valid string, is a table"),
    (ON + "host = ' '", "chatbot.toml:2: host: must not be empty"),
    (ON + "log_level = 'loud'", "chatbot.toml:2: log_level: must be TRACE, DEBUG, INFO,"),
    (ON + "log_level = true", "chatbot.toml:2: log_level: must be TRACE"),
    (ON + "fallback = 'plugin: '", "chatbot.toml:2: fallback: must name a plugin after plugin:"),
    (ON + "threshold = 1.5", "chatbot.toml:2: threshold: must be less than or equal to 1, is 1.5"),
    (ON + "threshold = nan", "chatbot.toml:2: threshold: must be"),
    (ON + "turn_timeout = 0", "chatbot.toml:2: turn_timeout: must be greater than 0, is 0"),
    (ON + "turn_timeout = inf", "chatbot.toml:2: turn_timeout: must be a finite number, is inf"),
    (ON + "shutdown_timeout = -1", "chatbot.toml:2: shutdown_timeout: must be greater than or equal to 0, is -1"),
    (ON + "worker_threads = 1", "chatbot.toml:2: worker_threads: must be greater than or equal to 2, is 1"),
    (ON + "lane_depth = 0", "chatbot.toml:2: lane_depth: must be greater than or equal to 1, is 0"),
    (ON + "embedder = 5", "chatbot.toml:2: embedder: must be the name of an embedder, is a number"),
    (ON + "operation_callback = 'f'", "chatbot.toml:2: operation_callback: must be a function, given in Python"),
    (ON + "auth_required = 'perhaps'", "chatbot.toml:2: auth_required: must be a valid boolean, is a string"),
    (ON + "auth_required = 'no'", "chatbot.toml:2: auth_required: must be a valid boolean, is a string"),
    (ON + "force_bind = 1", "chatbot.toml:2: force_bind: must be a valid boolean, is 1"),
    (ON + "[websocket]\nenabled = 'no'", "chatbot.toml:3: websocket.enabled: must be a valid boolean, is a string"),
    (ON + "[slack]\nenabled = 0", "chatbot.toml:3: slack.enabled: must be a valid boolean, is 0"),
    (ON + "websocket_page = 'yes'", "chatbot.toml:2: websocket_page: must be a valid boolean, is a string"),
    (
        ON + "[websocket]\npath = '/{'",
        "chatbot.toml:3: websocket.path: must be the path of a URL: start with /, without",
    ),
    (ON + "websocket_path = 'chat'", "chatbot.toml:2: websocket_path: must be the path of a URL"),
    (ON + "slack_path = '/a?b'", "chatbot.toml:2: slack_path: must be the path of a URL: start with /, without {}, ?"),
    (ON + "store = 2020-01-01", "chatbot.toml:2: store: must be a valid string, is a date or time"),
    # Extensions
    (ON + "extensions = 'one'", "chatbot.toml:2: extensions: must be a valid list, is a string"),
    (ON + "extensions = [\n'one',\n2]", "chatbot.toml:4: extensions[1]: must be a valid string, is a number"),
    (ON + "extensions = ['a.py']", "chatbot.toml:2: extensions[0]: is a file: write the module's name"),
    (ON + "extensions = ['a b']", "chatbot.toml:2: extensions[0]: is not the name of a Python module"),
    (
        ON + "extensions = ['ok',\n'slack']",
        "chatbot.toml:3: extensions[1]: the extension has the name of the table [slack]",
    ),
    (ON + "extensions = ['my.websocket']", "chatbot.toml:2: extensions[0]: the extension has the name of the table"),
    (
        ON + "extensions = ['zoozl.plugins.jobs']",
        "chatbot.toml:2: extensions[0]: the extension has the name of the table",
    ),
    # Secrets
    (ON + "slack_signing_secret = 12345", "chatbot.toml:2: slack_signing_secret: must be a valid string, is a number"),
    (ON + f"[slack]\nbot_token = ['{SECRET}']", "chatbot.toml:3: slack.bot_token: must be a valid string, is a list"),
    (ON + "slack_bot_token = ''", "chatbot.toml:2: slack_bot_token: must not be empty"),
    (ON + f"mattermost_url = '{SECRET}'", "chatbot.toml:2: mattermost_url: must start with https://"),
    (ON + f"email_address = '{SECRET}'", "chatbot.toml:2: email_address: must be one mail address"),
    # Keys that others call for
    (
        f"slack_bot_token = '{SECRET}'\nslack_port = 2",
        "chatbot.toml:2: slack_port: needs slack_signing_secret to be set",
    ),
    (
        ON + f"slack_port = 2\nslack_signing_secret = '{SECRET}'",
        "chatbot.toml:2: slack_port: needs slack_app_token or slack_b",
    ),
    (
        ON + f"[slack]\nsigning_secret = '{SECRET}'\nport = 2",
        "chatbot.toml:4: slack.port: needs slack.app_token or slack.bot_",
    ),
    (ON + "slack_app_token = 'xapp-1'", "chatbot.toml:2: slack_app_token: needs slack_bot_token to be set"),
    (ON + "\nemail_port = 2", "chatbot.toml:3: email_port: needs email_address to be set"),
    (ON + "mattermost_url = 'https://x'", "chatbot.toml:2: mattermost_url: needs mattermost_token to be set"),
    (ON + "whatsapp_port = 2", "chatbot.toml:2: whatsapp_port: needs whatsapp_verify_token, and whatsapp_access_token"),
    (ON + "wechatwork_port = 2", "chatbot.toml:2: wechatwork_port: needs wechatwork_corpid, and "),
    (ON + "feishu_app_id = 'x'", "chatbot.toml:2: feishu_app_id: needs feishu_app_secret to be set"),
    (ON + "dingtalk_app_key = 'x'", "chatbot.toml:2: dingtalk_app_key: needs dingtalk_app_secret to be set"),
    (ON + "telegram_port = 2", "chatbot.toml:2: telegram_port: needs telegram_token, and telegram_secret_token"),
    # Two forms
    (
        "websocket_port = 1\n[websocket]\nport = 2",
        "chatbot.toml:3: websocket.port: is the same key as chatbot.toml:1: websocket_port, with another value",
    ),
    # No channel
    ("author = 'x'", "chatbot.toml: no channel is on: set websocket_port, for example websocket_port = 1601"),
    ("", "chatbot.toml: no channel is on: set websocket_port"),
    ("[greeter]\nwebsocket_port = 1601", "chatbot.toml:2: greeter.websocket_port belongs above the first [table]"),
    ("[websockt]\nport = 1601", "chatbot.toml:1: websockt: unknown table, did you mean [websocket]?"),
    ("[websocket]\nport = 1\nenabled = false", "websocket is switched off by enabled = false"),
    ("telegram_token = 't'", "no channel is on: set websocket_port"),
    # Not TOML
    ("a = 1\nauthor = Bob", "chatbot.toml:2: author: invalid value in column 10 (text needs quotes around it)"),
    (ON + "x = [1\ny = 2", "chatbot.toml:3: unclosed array in column"),
    (ON + f"slack_bot_token = '{SECRET}", "chatbot.toml:2: slack_bot_token: "),
    (f'[my]\nkey = """\n{SECRET}=\\q\n"""', "chatbot.toml:3: unescaped '\\' in a string in column"),
    ("[websocket]\nport = 1\n[websocket]", "chatbot.toml:3: cannot declare websocket twice"),
    ("a = 1\nb = " + "9" * 5000, "chatbot.toml:2: a number has too many digits"),
    ("a = " + "[" * 5000, "chatbot.toml: is nested too deeply"),
]


@pytest.mark.parametrize(("text", "expected"), MISTAKES, ids=[expected[:60] for _, expected in MISTAKES])
def test_a_mistake_is_named_with_its_place_and_a_cure(read: Read, text: str, expected: str) -> None:
    found = mistake(read, text)
    assert expected in found
    assert found.startswith("chatbot.toml:")
    assert "\n" not in found


def test_all_mistakes_are_told_at_once(read: Read) -> None:
    lines = mistake(read, "websocket_prot = 1\nauthor = 2\nlane_depth = 0").splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["chatbot.toml:1", "chatbot.toml:2", "chatbot.toml:3"]


@pytest.mark.parametrize(
    "field", [name for name, field in Sections({}).options("slack").model_fields.items() if "Secret" in str(field)]
)
@pytest.mark.parametrize(
    "more", ["", "slack_port = true\n", "slack_prot = 1\n", "author = 5\n", "x = \n", "[slack]\nport = 'a'\n"]
)
def test_no_error_shows_a_secret(read: Read, field: str, more: str) -> None:
    assert mistake(read, f"slack_port = 70000\nslack_{field} = '{SECRET}'\n{more}")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (ON.encode() + b"\nauthor = '\xff'", "chatbot.toml:3: is not UTF-8 text; save the file as UTF-8"),
        (ON.encode("utf-16"), "chatbot.toml:1: is not UTF-8 text"),
    ],
)
def test_a_file_in_another_encoding_is_refused(content: bytes, text: str) -> None:
    Path("chatbot.toml").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load("chatbot.toml", {})
    assert str(caught.value).startswith(text)


def test_a_byte_order_mark_and_windows_line_ends_are_no_trouble(read: Read) -> None:
    assert read("\ufeff" + ON.replace("\n", "\r\n") + "author = 'x'\r\n").origin("author") == "chatbot.toml:2"


def test_a_file_that_cannot_be_read_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^missing\.toml: there is no such file$"):
        load("missing.toml", {})
    Path("folder").mkdir()
    with pytest.raises(ConfigError, match=r"^folder: is a folder"):
        load(Path("folder"), {})
    with pytest.raises(ConfigError, match="cannot be read"):
        load("a\0b", {})
    with pytest.raises(ConfigError, match="cannot be read"):
        load("x" * 5000, {})


# What the rest of zoozl asks


def test_an_error_points_at_where_the_key_was_set(read: Read) -> None:
    conf = read(
        ON + "extensions = ['a',\n'b']\n[mine]\nkey = 1\n['my.mod']\nk = 2", {"ZOOZL_HOST": "h"}, "ZOOZL_STORE=s"
    )
    assert str(conf.error("websocket_port", "is taken")) == "chatbot.toml:1: websocket_port: is taken"
    assert str(conf.error("websocket.port", "is taken")) == "chatbot.toml:1: websocket_port: is taken"
    assert str(conf.error("mine.key", "no")) == "chatbot.toml:5: mine.key: no"
    assert str(conf.error("mine.key.deeper", "no")) == "chatbot.toml:5: mine.key.deeper: no"
    assert str(conf.error("mine", "no")) == "chatbot.toml:4: mine: no"
    assert str(conf.error("my.mod.k", "no")) == "chatbot.toml:7: my.mod.k: no"
    assert str(conf.error("host", "no")) == "ZOOZL_HOST: no"
    assert str(conf.error("store", "no")) == ".env:1: ZOOZL_STORE: no"
    assert str(conf.error("author", "no")) == "author: no"
    assert str(conf.error("websocket_path", "no")) == "websocket_path: no"
    assert str(conf.error("nothing.known", "no")) == "nothing.known: no"


def test_a_table_belongs_to_a_loaded_extension_or_is_warned_about(read: Read) -> None:
    conf = read(ON + "[fifa]\nx = 1\n['pkg.mod']\ny = 1\n[pkg2.mod2]\nz = 1\n[unheard]\n[[many]]")
    assert conf.check_tables(["fifa", "pkg.mod", "pkg2.mod2"]) == [
        "chatbot.toml:8: unheard: no loaded extension has the name of the table [unheard]",
        "chatbot.toml:9: many: no loaded extension has the name of the table [many]",
    ]


@pytest.mark.parametrize(
    ("table", "hint"), [("slakc", "slack"), ("Websocket", "websocket"), ("chatbot_fifa", "chat_bot_fifa")]
)
def test_a_table_named_nearly_like_a_known_one_is_an_error(read: Read, table: str, hint: str) -> None:
    conf = read(ON + f"[{table}]\nx = 1")
    with pytest.raises(ConfigError) as caught:
        conf.check_tables(["chat_bot_fifa"])
    assert str(caught.value) == f"chatbot.toml:2: {table}: unknown table; did you mean [{hint}]?"


def test_a_table_from_a_variable_is_checked_as_well(read: Read) -> None:
    with pytest.raises(ConfigError, match=r"^ZOOZL_SLAKC__PORT: slakc: unknown table; did you mean \[slack\]\?$"):
        read(ON, {"ZOOZL_SLAKC__PORT": "1"}).check_tables([])


def test_a_deeply_nested_table_is_no_trouble(read: Read) -> None:
    assert read(ON + ".".join("k" * 900) + " = 1").check_tables(["k"]) == []


def test_the_folder_of_the_file_comes_first_on_the_import_path(tmp_path: Path) -> None:
    extend_import_path(tmp_path / "bot")
    extend_import_path(Path("bot"))
    assert sys.path[:2] == [str(tmp_path / "bot"), str(tmp_path)]
    assert sys.path.count(str(tmp_path)) == 1


def test_the_example_in_the_repository_is_a_configuration() -> None:
    conf = load(ROOT / "chatbot.toml", {})
    assert conf.warnings == ()
    assert conf.channels.keys() == {"websocket"}
    assert conf.folder == ROOT
    assert conf.settings.extensions == list(BUNDLED)


def test_every_commented_key_of_the_example_exists() -> None:
    text = (ROOT / "chatbot.toml").read_text()
    sections = Sections({})
    table: tuple[str, ...] = ()
    shown = set()
    for line in text.splitlines():
        words = line.removeprefix("# ").split()
        if line.startswith("# [") and len(words) == 1:
            table = (words[0].strip("[]"),)
        elif len(words) > 2 and words[1] == "=":
            shown.add((*table, words[0]))
    for path in shown:
        assert sections.refuse(sections.canonical(path), "x") is None
    options = Sections({}).options("websocket").model_fields.keys() - {"type"}
    assert shown >= {("websocket", option) for option in options}
    assert {path[0] for path in shown} >= PLANNED.keys() - registry.names("channels")
    assert {path[0] for path in shown} >= Settings.model_fields.keys() - {"operation_callback", "memory_path"}


@pytest.mark.parametrize("model", [Settings, ChannelOptions, *PLANNED.values()])
def test_every_key_is_described(model: type) -> None:
    assert all(field.description for field in model.model_fields.values())


def test_secrets_are_secret_types() -> None:
    words = ("token", "secret", "aes_key", "encrypt_key")
    for model in PLANNED.values():
        for name, field in model.model_fields.items():
            if any(word in name for word in words):
                assert SecretStr.__name__ in str(field.annotation), (model, name)


names = st.sampled_from(
    [
        *Settings.model_fields,
        "websocket",
        "websocket_port",
        "slack",
        "slack_port",
        "wechatwork",
        "jobs",
        "mine",
        "x",
        "",
    ]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.sampled_from(["xapp-1", "a.b"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(names | st.sampled_from(["port", "enabled", "token"]), inner, max_size=4)
    ),
    max_leaves=8,
)
texts = st.text(max_size=9) | st.sampled_from(["1", "[1", "{a = 1}", "{enabled = 5}", "true", "a,b", '"', "'x'", "nan"])


@settings(database=None, deadline=None, suppress_health_check=list(HealthCheck), max_examples=200)
@given(
    st.dictionaries(names, values, max_size=5),
    st.dictionaries(
        st.lists(names | st.just("port"), max_size=3).map(lambda n: "ZOOZL_" + "__".join(n)), texts, max_size=3
    ),
)
def test_whatever_is_given_the_answer_is_a_configuration_or_a_config_error(conf: dict, environ: dict[str, str]) -> None:
    try:
        found = from_dict(conf, environ, need_channel=False)
        found.check_tables(["mine", "other"])
    except ConfigError:
        return
    assert all(found.origin(key) and str(found.error(key, "no")) for key in conf)
