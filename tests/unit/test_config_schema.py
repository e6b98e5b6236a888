"""The JSON schema accepts what a start accepts and refuses what it refuses; the reference page is made from it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import tomli
from jsonschema import Draft202012Validator

from zoozl import config
from zoozl.config.schema import json_schema, options
from zoozl.config.sections import Sections
from zoozl.config.writing import written
from zoozl.errors import ConfigError
from zoozl.settings import TABLES, Settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def validator():
    schema = json_schema(Sections({}))
    Draft202012Validator.check_schema(schema)
    # As an editor gets it.
    return Draft202012Validator(json.loads(json.dumps(schema)))


def accepted(toml):
    try:
        config.from_dict(tomli.loads(toml), {}, need_channel=False)
    except ConfigError:
        return False
    return True


GOOD = [
    "",
    "websocket_port = 1601",
    "[websocket]\nport = 1601\npage = false",
    "log_level = 10",
    "log_level = 'debug'",
    "threshold = 0.4",
    "turn_timeout = 5",
    "extensions = ['a', 'b.c']",
    "[retention]\nconversation = 'never'\ndedup = '48h'",
    "[retention]\ndedup = {default = '2 d', email = '7d'}",
    "[greeter]\ntext = 'Hello'",
    "[[menu]]\nname = 'a'",
    "[websocket]\nport = 0\n[slack]\nenabled = false\nbot_token = 'x'",
    "wechatwork_corpid = 'x'",
    "[wechatwork]\nagentid = 7",
    "[telegram]\nallowed_users = [1, 2]",
    "[llm]\nmodel = 'x'",
    "store = 'memory'",
]
BAD = [
    "websocket_prot = 1601",
    "websocket_port = '1601'",
    "websocket_port = 70000",
    "websocket_port = -1",
    "websocket = 1601",
    "[websocket]\nprot = 1601",
    "threshold = 2",
    "turn_timeout = 0",
    "worker_threads = 1",
    "extensions = 'a'",
    "force_bind = 'yes'",
    "[retention]\nconversation = 7",
    "[retention]\nconversation = '7 years'",
    "[retention]\ndedup = {email = 7}",
    "[telegram]\nallowed_users = ['me']",
    "operation_callback = 'x'",
    "retention = '7d'",
]


@pytest.mark.parametrize("toml", [*GOOD, (ROOT / "chatbot.toml").read_text("utf-8")])
def test_what_starts_is_valid(validator, toml):
    assert accepted(toml)
    validator.validate(tomli.loads(toml))


@pytest.mark.parametrize("toml", BAD)
def test_what_does_not_start_is_invalid(validator, toml):
    assert not accepted(toml)
    assert not validator.is_valid(tomli.loads(toml))


def test_every_key_in_the_file_has_a_description(validator):
    properties = validator.schema["properties"]
    for name, found in properties.items():
        assert "$ref" in found or found["description"], name
    for definition in validator.schema["$defs"].values():
        assert all(found["description"] for found in definition["properties"].values())


def test_secrets_are_marked():
    secret = {option.name for option in options(Sections({}).options("slack")) if option.secret}
    assert secret == {"app_token", "bot_token", "signing_secret"}
    assert not any(option.secret for option in options(Settings))


def test_a_default_may_be_written_as_it_is_shown():
    sections = Sections({})
    tables = {"": Settings, **TABLES, **{name: sections.options(name) for name in sections.built}}
    shown = [
        (f"[{name}]\n" if name else "") + f"{option.name} = {written(option.default)}\n"
        for name, model in tables.items()
        for option in options(model)
        if option.default is not None
    ]
    assert len(shown) > 20
    for toml in shown:
        config.from_dict(tomli.loads(toml), {}, need_channel=False)


@pytest.mark.parametrize(("age", "seconds"), [("90s", 90), ("30m", 1800), ("36h", 129600), ("2w", 1209600)])
def test_an_age_is_shown_as_a_time(age, seconds):
    given = config.from_dict({"retention": {"outbox": age}}, {}, need_channel=False).retention
    assert given.outbox == seconds
    shown = given.model_dump(mode="json")["outbox"]
    assert config.from_dict({"retention": {"outbox": shown}}, {}, need_channel=False).retention == given


def test_the_reference_is_as_the_models_are():
    done = subprocess.run([sys.executable, ROOT / "docs/reference/build.py", "--check"], timeout=60)
    assert done.returncode == 0, "the page is stale: python docs/reference/build.py"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\nb", '"a\\nb"'),
        ("\x1b[31m\u202e\x9b", '"\\u001b[31m\\u202e\\u009b"'),
        ({"a b": [1, True, {}]}, '{"a b" = [1, true, {}]}'),
        (1.5, "1.5"),
    ],
)
def test_values_are_written_as_toml_that_does_nothing_to_a_terminal(value, text):
    assert written(value) == text
    assert tomli.loads(f"x = {text}") == {"x": value}


def test_what_toml_has_no_word_for_is_text():
    assert written(object()).startswith('"<object')
