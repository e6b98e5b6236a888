"""What Slack sends, decoded: signatures, events, commands, interactions. Nothing makes it raise anything but Malformed."""

import os
import random
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slack_sdk.signature import SignatureVerifier

from zoozl.channels.slack.decode import Challenge, Malformed, Nothing, Said, decode, mentions, readable
from zoozl.channels.slack.interact import Tapped, decode_command, decode_interaction
from zoozl.channels.slack.options import Options
from zoozl.channels.slack.places import Places, may_respond
from zoozl.channels.slack.verify import verified
from zoozl.channels.slack.view import Origin, widgets
from zoozl.chatbot.message import Address
from zoozl.chatbot.question import Choice, Kind, Question

sys.path.append(str(Path(__file__).parents[1] / "fakes"))

from chance import changed

SECRET = "0123456789abcdef0123456789abcdef"
AT = 1_700_000_000
VECTORS = [
    (
        b'{"type":"event_callback","event_id":"Ev0001"}',
        "v0=186f8df0d7c701d4f8c4431e2b2b814eeb9a5a3ac7b5b2f51cffad15439bd3e9",
    ),
    (
        b"token=x&team_id=T0001&channel_id=C0001&user_id=U0001&command=%2Fask&text=hello+world&"
        b"response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT0001%2F1%2Fabc&trigger_id=1.2.abc",
        "v0=b99e08af5d291b6f5603b1be99813618c45e017e46874ccecb6615b43534330b",
    ),
]
# Examples of each fuzz test, if not the usual number; with many of them give pytest a longer --timeout as well.
FUZZ = int(os.environ.get("ZOOZL_TEST_FUZZ", "0"))
relaxed = settings(max_examples=FUZZ or 200, deadline=None, database=None)


# Signatures


@pytest.mark.parametrize(("body", "signature"), VECTORS)
def test_the_vectors_pass_and_an_altered_byte_does_not(body, signature):
    assert verified(SECRET, str(AT), signature, body, AT)
    assert not verified(SECRET, str(AT), signature, body[:-1] + b"?", AT)
    assert not verified(SECRET, str(AT), signature[:-1] + "x", body, AT)
    assert not verified(SECRET, str(AT + 1), signature, body, AT)


@pytest.mark.parametrize("seconds", [-300, 300])
def test_a_signature_holds_five_minutes(seconds):
    body, signature = VECTORS[0]
    assert verified(SECRET, str(AT), signature, body, AT + seconds)
    assert not verified(SECRET, str(AT), signature, body, AT + seconds + (1 if seconds > 0 else -1))


@pytest.mark.parametrize("at", [None, "", "soon", "1e9", "-1", "٣", "9" * 400, "1700000000.0"])
def test_a_time_that_is_none_is_refused(at):
    body, signature = VECTORS[0]
    assert not verified(SECRET, at, signature, body, AT)


@pytest.mark.parametrize("signature", [None, "", "v0=", "v0=é", "\udcff"])
def test_a_signature_that_is_none_is_refused(signature):
    assert not verified(SECRET, str(AT), signature, VECTORS[0][0], AT)


@relaxed
@given(st.text(max_size=100).map(lambda text: text.encode("utf-8", "replace")))
def test_slacks_own_library_agrees(body):
    now = str(int(time.time()))
    signature = SignatureVerifier(SECRET).generate_signature(timestamp=now, body=body)
    assert verified(SECRET, now, signature, body, float(now))


# Events


def envelope(**event):
    event = {"type": "message", "channel": "D1", "user": "U1", "text": "hi", "ts": "1.2", **event}
    return {"type": "event_callback", "team_id": "T1", "event_id": "Ev1", "event": event}


def test_a_message_is_decoded():
    said = decode(envelope(channel_type="im", thread_ts="1.1"))
    assert said == Said("T1", "D1", "im", "U1", "hi", "1.2", "1.1", False, "Ev1")
    assert said.direct
    assert decode({"type": "url_verification", "challenge": "abc"}) == Challenge("abc")


def test_a_file_that_is_gone_is_passed_over():
    files = [{"id": "F1", "mode": "tombstone"}, {"id": "F2", "name": "a", "url_private": "https://x"}]
    said = decode(envelope(subtype="file_share", files=files))
    assert [ref.id for ref in said.files] == ["F2"]


WRONG = [
    None,
    [],
    {"type": 1},
    {"type": "event_callback"},
    {**envelope(), "team_id": "T1:x"},
    {**envelope(), "event": []},
    envelope(ts="soon"),
    envelope(ts=1.2),
    envelope(channel=""),
    envelope(text=5),
    envelope(text="x" * 100_001),
    envelope(files={}),
    envelope(files=[1]),
    envelope(thread_ts="../1"),
]


@pytest.mark.parametrize("payload", WRONG)
def test_what_slack_does_not_send_is_malformed(payload):
    with pytest.raises(Malformed):
        decode(payload)


TEXTS = [
    ("<@U0BOT> hi", "hi"),
    ("hi <@U0BOT|zoozl>!", "hi !"),
    ("<@U0BOT>", ""),
    ("ask <@U1|ann> and <@U2>", "ask @ann and @U2"),
    ("see <#C1|general>, <#C2>", "see #general, #C2"),
    ("<!here> <!subteam^S1|@team> <!date^123^{date}|today>", "@here @team today"),
    ("<https://x.y/z|a page> <http://x.y|x.y> <https://x.y>", "a page (https://x.y/z) x.y https://x.y"),
    ("<mailto:a@b.c|a@b.c>", "a@b.c"),
    ("&lt;@U1&gt; &amp;lt;", "<@U1> &lt;"),
    ("a  b", "a  b"),
]


@pytest.mark.parametrize(("given_text", "wanted"), TEXTS)
def test_text_reads_as_people_see_it(given_text, wanted):
    assert readable(given_text, "U0BOT") == wanted


def test_a_mention_is_one_of_the_bot():
    assert mentions("hi <@U1>", "U1")
    assert not mentions("hi <@U10>", "U1")
    assert not mentions("<@>", "")


# Commands and interactions


def test_a_command_is_decoded():
    fields = {"team_id": "T1", "channel_id": "C1", "user_id": "U1", "command": "/ask", "text": "x", "trigger_id": "1.2"}
    given_command = decode_command(fields)
    assert (given_command.command, given_command.text, given_command.response_url) == ("/ask", "x", "")
    with pytest.raises(Malformed):
        decode_command({**fields, "user_id": ""})


def test_a_button_of_another_app_is_nothing():
    payload = {"type": "block_actions", "actions": [{"block_id": "theirs", "value": "x"}]}
    assert isinstance(decode_interaction(payload), Nothing)


def test_many_choices_are_a_list_and_what_has_no_room_is_words():
    def asked(choices):
        return Question("1a", "Which?", Kind.CHOICE, tuple(choices), talker="U1")

    few = widgets(asked(Choice(str(n), "x" * 100) for n in range(25)))
    assert [len(button["text"]["text"]) for button in few["elements"]] == [75] * 25
    many = widgets(asked(Choice(str(n), str(n)) for n in range(26)))
    assert many["elements"][0]["type"] == "static_select"
    chosen = {
        "type": "block_actions",
        "team": {"id": "T1"},
        "user": {"id": "U1"},
        "channel": {"id": "D1"},
        "actions": [{"block_id": many["block_id"], "selected_option": many["elements"][0]["options"][3]}],
        "trigger_id": "1.2",
    }
    tapped = decode_interaction(chosen)
    assert isinstance(tapped, Tapped)
    assert (tapped.question, tapped.asker, tapped.value, tapped.label) == ("1a", "U1", "3", "3")
    assert widgets(asked(Choice(str(n), str(n)) for n in range(101))) is None
    assert widgets(asked([Choice("v" * 2001, "x")])) is None
    assert widgets(Question("1a", "What?")) is None


def test_where_a_modal_came_from_survives_the_way():
    origin = Origin("1a", "C1", "/C1", "C1", "1.2")
    assert Origin.load(origin.dump()) == origin
    assert Origin.load('{"question": "1a"}') is None


def test_a_response_url_takes_five_answers_for_half_an_hour():
    places, address = Places(), Address("slack", "T1", "", "/C1", "U1")
    places.note_url(address, "https://hooks.slack.com/1", 0.0)
    assert [places.take_url(address, 1.0) is not None for _ in range(6)] == [True] * 5 + [False]
    places.note_url(address, "https://hooks.slack.com/1", 0.0)
    assert places.take_url(address, 1800.0) is None


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://hooks.slack.com/commands/T1/2/x", True),
        ("http://hooks.slack.com/x", False),
        ("https://hooks.slack.com.evil.org/x", False),
        ("https://hooks.slack.com@evil.org/x", False),
        ("https://evil.org/hooks.slack.com", False),
        ("https://[::1", False),
    ],
)
def test_answers_go_to_slack_only(url, good):
    assert may_respond(url, "https://slack.com/api/") is good


# Anything at all


KEYS = [
    "type",
    "team_id",
    "event_id",
    "event",
    "ts",
    "user",
    "bot_id",
    "channel",
    "channel_type",
    "text",
    "thread_ts",
    "subtype",
    "files",
    "id",
    "name",
    "mimetype",
    "size",
    "url_private",
    "authorizations",
    "is_bot",
    "user_id",
    "challenge",
    "actions",
    "block_id",
    "value",
    "selected_option",
    "container",
    "message",
    "blocks",
    "is_ephemeral",
    "team",
    "response_url",
    "trigger_id",
    "view",
    "callback_id",
    "private_metadata",
    "state",
    "values",
    "selected_options",
    "edited",
    "assistant_thread",
    "channel_id",
    "message_ts",
    "action_id",
]
VALUES = ["event_callback", "message", "app_mention", "block_actions", "view_submission", "zoozl", "zoozl:1a:U1", "1.2"]
VALUES += ["U1", "im", "file_share", "assistant_thread_started", "", '{"question": "1"}']
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(VALUES) | st.text(max_size=5)
anything = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=8),
    max_leaves=30,
)


@relaxed
@given(anything, st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS[:24], anything)))
def test_no_payload_makes_the_decoders_stumble(value, event):
    for payload in (value, {**envelope(), "event": value}, envelope(**event), {"type": "block_actions", **event}):
        for decoder in (decode, decode_interaction):
            try:
                found = decoder(payload)
            except Malformed:
                continue
            if isinstance(found, Said):
                readable(found.text, found.me)


FILE = {"id": "F1", "name": "a.txt", "mimetype": "text/plain", "size": 3, "url_private": "https://files.slack.com/x"}
BUTTON = {"block_id": "zoozl:1a:U1", "action_id": "zoozl:0", "value": "s", "text": {"text": "Small"}}
TAP = {
    "type": "block_actions",
    "team": {"id": "T1"},
    "user": {"id": "U1"},
    "channel": {"id": "C1"},
    "actions": [BUTTON],
}
TAP |= {"container": {"message_ts": "1.2", "is_ephemeral": True}, "message": {"blocks": [{}], "thread_ts": "1.1"}}
STATE = {"values": {"name": {"zoozl": {"type": "plain_text_input", "value": "Anna"}}}}
STATE["values"]["when"] = {"zoozl": {"selected_option": {"value": "noon"}}}
STATE["values"]["window"] = {"zoozl": {"selected_options": [{"value": "yes"}]}}
VIEW = {
    "id": "V1",
    "callback_id": "zoozl",
    "private_metadata": Origin("1a", "C1", "", "C1", "1.2").dump(),
    "state": STATE,
}
EDIT = {"ts": "1.2", "user": "U1", "text": "x", "edited": {"ts": "1.3"}}
THREAD = {"channel_id": "D1", "user_id": "U1", "thread_ts": "1.2"}


def test_nothing_near_to_what_slack_sends_makes_the_decoders_stumble():
    sent = [envelope(files=[FILE, FILE], thread_ts="1.1"), envelope(subtype="message_changed", message=EDIT)]
    sent += [envelope(type="assistant_thread_started", assistant_thread=THREAD), TAP | {"trigger_id": "1.2.a"}]
    sent += [{"type": "view_submission", "team": {"id": "T1"}, "user": {"id": "U1"}, "view": VIEW}]
    decoded = set()
    for seed in range(FUZZ or 2_000):
        chance = random.Random(seed)
        payload = changed(chance.choice(sent), chance)
        for decoder in (decode, decode_interaction):
            try:
                found = decoder(payload)
            except Malformed:
                continue
            decoded.add(type(found).__name__)
            if isinstance(found, Said):
                readable(found.text, found.me)
    assert decoded == {"Said", "Edited", "Opened", "Nothing", "Tapped", "Submitted"}


@relaxed
@given(
    st.dictionaries(
        st.sampled_from(["team_id", "channel_id", "user_id", "command", "text", "response_url", "trigger_id"]),
        st.sampled_from(["T1", "1.2.a", "/x", "https://hooks.slack.com/commands/1"]) | st.text(max_size=20),
    )
)
def test_no_form_makes_the_decoder_stumble(form):
    try:
        found = decode_command(form)
    except Malformed:
        return
    may_respond(found.response_url, "https://slack.com/api/")


@relaxed
@given(st.text(st.sampled_from("<>@#!|&;amp ltgU1^\u200b/:.\n"), max_size=80) | st.text(max_size=80))
def test_any_text_can_be_read(text):
    assert isinstance(readable(text, "U1"), str)


# Options


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": "slack.com"},
        {"base_url": "https://u:p@x"},
        {"command": "zoozl"},
        {"streaming": "yes"},
        {"scope": "all"},
        {"access": "closed", "allow": ["@ann"]},
        {"roles": {"admin": ["ann"]}},
    ],
)
def test_an_option_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError):
        Options(enabled=False, **wrong)


def test_the_bots_token_may_stand_where_it_always_stood():
    old = Options(port=1, app_token="xoxb-1", signing_secret="s")
    assert (old.token, old.socket_mode, old.is_on) == ("xoxb-1", False, True)
    new = Options(app_token="xapp-1", bot_token="xoxb-2")
    assert (new.token, new.socket_mode, new.is_on) == ("xoxb-2", True, True)
