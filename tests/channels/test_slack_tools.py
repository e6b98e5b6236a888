"""What one needs to set Slack up: the manifest, the doctor, and a clear word when slack-sdk is missing."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from zoozl import config
from zoozl.channels.slack import Channel, Options
from zoozl.channels.slack.manifest import SCOPES
from zoozl.cli import main
from zoozl.errors import ConfigError

sys.path.append(str(Path(__file__).parents[1] / "fakes"))

from fake_slack import APP_TOKEN, SECRET, TOKEN, fake_slack


def printed(*arguments):
    result = CliRunner().invoke(main, ["slack", "manifest", *arguments])
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_the_manifest_without_an_address_is_for_socket_mode():
    made = printed()
    assert made["settings"]["socket_mode_enabled"] is True
    assert "request_url" not in json.dumps(made)
    assert made["oauth_config"]["scopes"]["bot"] == list(SCOPES)
    assert made["features"]["slash_commands"][0]["command"] == "/zoozl"


def test_the_manifest_with_an_address_names_it_for_everything():
    made = printed("--url", "https://bot.example.com/slack", "--name", "Ask Ann", "--command", "/ann", "--no-threads")
    assert made["settings"]["socket_mode_enabled"] is False
    assert json.dumps(made).count("https://bot.example.com/slack") == 3
    assert made["settings"]["event_subscriptions"]["bot_events"] == ["app_mention", "message.im"]
    assert made["features"]["bot_user"]["display_name"] == "Ask Ann"


@pytest.mark.parametrize("wrong", [["--url", "http://x"], ["--name", " "]])
def test_a_manifest_that_slack_would_not_take_is_refused(wrong):
    assert CliRunner().invoke(main, ["slack", "manifest", *wrong]).exit_code == 2


@pytest.fixture
async def slack():
    async with fake_slack() as slack:
        yield slack


async def found(slack, **more):
    options = Options(base_url=slack.base_url, **{"bot_token": TOKEN, "app_token": APP_TOKEN, **more})
    return [(finding.level, finding.what) for finding in await Channel.check(options)]


async def test_the_doctor_finds_all_well(slack):
    slack.scopes = ",".join(SCOPES)
    assert await found(slack, port=1, signing_secret=SECRET) == [
        ("ok", "the bot is U0BOT in the workspace T1"),
        ("ok", "Socket Mode can be used"),
    ]


async def test_the_doctor_names_what_is_missing(slack):
    slack.scopes = "chat:write,app_mentions:read"
    (secret, _, lacks, _) = await found(slack, port=1, signing_secret="the client secret")
    assert secret[0] == lacks[0] == "warning"
    assert "im:history (hear direct messages)" in lacks[1]
    assert "chat:write" not in lacks[1]


async def test_the_doctor_finds_wrong_tokens(slack):
    results = await found(slack, bot_token="xoxb-wrong-token", app_token="xapp-wrong-token")
    assert [level for level, _ in results] == ["error", "error"]
    assert await found(slack, bot_token="xoxp-of-a-person") != []
    assert "wrong-token" not in str(results)


def test_without_slack_sdk_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "slack_sdk.web.async_client", None)
    with pytest.raises(ConfigError, match=r"pip install 'zoozl\[slack\]'"):
        Channel(Options(app_token="xapp-1", bot_token="xoxb-1"), None)


def test_the_old_keys_switch_it_on():
    conf = config.from_dict({"slack_port": 1602, "slack_app_token": "xoxb-1", "slack_signing_secret": "s"}, {})
    assert conf.channels.keys() == {"slack"}
    assert conf.channels["slack"].token == "xoxb-1"


def test_every_key_is_described():
    assert all(field.description for field in Options.model_fields.values())
