"""Slack by Socket Mode: every envelope is acknowledged, and none is lost or answered twice when sockets come and go."""

import itertools
import json
import logging
import os
import random
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "fakes"))

from chance import VALUES, changed
from fake_slack import APP_TOKEN, TOKEN, Talker, command, fake_slack, tap


@pytest.fixture
async def slack():
    async with fake_slack() as slack:
        yield slack


@pytest.fixture
def bot(serve, slack):
    @asynccontextmanager
    async def start():
        table = {"app_token": APP_TOKEN, "bot_token": TOKEN, "base_url": slack.base_url, "room_rate": 0}
        async with serve(extensions=["slack_plugins"], slack=table, websocket_port=0) as server:
            await slack.until(lambda: slack.sockets)
            yield server

    return start


made = Talker(None, None)
numbers = itertools.count(1)


def envelope(payload, kind="events_api", **more):
    return {
        "envelope_id": f"e{next(numbers)}",
        "type": kind,
        "accepts_response_payload": False,
        "payload": payload,
        **more,
    }


async def test_every_envelope_is_acknowledged_and_answered(bot, slack):
    async with bot():
        (socket,) = slack.sockets
        sent = [envelope(made.event(f"number {n}")) for n in range(20)]
        for one in sent:
            await socket.send_json(one)
        said = await slack.next_said(20)
        assert [one["text"] for one in said] == [f"echo number {n}" for n in range(20)]
        await slack.until(lambda: len(slack.acknowledged) == 20)
        assert {one["envelope_id"] for one in slack.acknowledged} == {one["envelope_id"] for one in sent}


async def test_commands_and_buttons_come_by_the_socket(bot, slack):
    async with bot():
        (socket,) = slack.sockets
        await socket.send_json(envelope(command("hi"), "slash_commands"))
        assert (await slack.next_said(method="chat.postEphemeral"))[0]["text"] == "echo hi"
        await socket.send_json(envelope(made.event("order pizza")))
        (question,) = await slack.next_said()
        await socket.send_json(envelope(tap(question, "Small"), "interactive"))
        assert (await slack.next_said(2))[1]["text"] == "A s one, really?"


async def test_a_form_that_is_not_right_is_answered_in_the_acknowledgement(bot, slack):
    async with bot():
        (socket,) = slack.sockets
        await socket.send_json(envelope(made.event("book a visit")))
        (question,) = await slack.next_said()
        await socket.send_json(envelope(tap(question, "Fill in"), "interactive"))
        view = (await slack.next_said(method="views.open"))[0]["view"]
        payload = {
            "type": "view_submission",
            "team": {"id": "T1"},
            "user": {"id": "U1"},
            "view": {**view, "id": "V1", "state": {"values": {}}},
        }
        await socket.send_json(envelope(payload, "interactive", accepts_response_payload=True))
        await slack.until(lambda: len(slack.acknowledged) == 3)
        assert slack.acknowledged[2]["payload"]["response_action"] == "errors"


@pytest.mark.parametrize("reason", ["warning", "refresh_requested"])
async def test_a_new_socket_is_there_before_the_old_one_ends(bot, slack, reason):
    async with bot():
        (old,) = slack.sockets
        await old.send_json({"type": "disconnect", "reason": reason})
        await slack.until(lambda: len(slack.sockets) == 2)
        # Both are read, and what comes by both counts once.
        event = made.event("by both")
        await old.send_json(envelope(event))
        await slack.sockets[1].send_json(envelope(event, retry_attempt=1, retry_reason="timeout"))
        await slack.until(lambda: len(slack.acknowledged) == 2)
        await old.close()
        await slack.sockets[1].send_json(envelope(made.event("end")))
        assert [one["text"] for one in await slack.next_said(2)] == ["echo by both", "echo end"]
        assert len(slack.sockets) == 2


async def test_an_abrupt_end_loses_nothing(bot, slack):
    async with bot() as server:
        event = made.event("in between")
        await slack.sockets[0].send_json(envelope(event))
        slack.sockets[0]._req.transport.abort()
        await slack.until(lambda: len(slack.sockets) == 2)
        # It was not acknowledged, as far as Slack knows.
        await slack.sockets[1].send_json(envelope(event, retry_attempt=1, retry_reason="timeout"))
        await slack.sockets[1].send_json(envelope(made.event("end")))
        said = await slack.next_said(2)
        assert [one["text"] for one in said] == ["echo in between", "echo end"]
        assert not server.channels["slack"].trouble


async def test_what_makes_no_sense_is_passed_over(bot, slack):
    async with bot():
        (socket,) = slack.sockets
        for text in ("{", "[]", "1", '{"type": 5}', '{"type": "events_api"}'):
            await socket.send_str(text)
        await socket.send_json(envelope([], "events_api"))
        await socket.send_json(envelope(None, "slash_commands"))
        await socket.send_json(envelope({}, "of_tomorrow"))
        await socket.send_json(envelope(made.event("end")))
        assert [one["text"] for one in await slack.next_said()] == ["echo end"]


async def test_a_token_that_is_refused_ends_the_tries(serve, slack, caplog):
    table = {"app_token": "xapp-wrong-one", "bot_token": TOKEN, "base_url": slack.base_url}
    async with serve(extensions=["slack_plugins"], slack=table, websocket_port=0) as server:
        (task,) = [task for task in server._running if task.get_name() == "zoozl-slack"]
        await task
        assert server.channels["slack"].trouble
    assert "Socket Mode is off" in caplog.text
    assert "xapp-wrong-one" not in caplog.text


async def test_a_failure_to_open_is_tried_again(serve, slack):
    slack.refuse("apps.connections.open", "internal_error")
    table = {"app_token": APP_TOKEN, "bot_token": TOKEN, "base_url": slack.base_url}
    async with serve(extensions=["slack_plugins"], slack=table, websocket_port=0):
        await slack.until(lambda: slack.sockets)
        assert len(slack.said("apps.connections.open")) == 2


# Frames of the fuzz test, if not the usual number; with many of them give pytest a longer --timeout as well.
FUZZ = int(os.environ.get("ZOOZL_TEST_FUZZ", "0")) or 500
KINDS = ["events_api", "interactive", "slash_commands", "hello", "x", "", 3, None]
QUESTION = {
    "blocks": [{"type": "actions", "block_id": "zoozl:1", "elements": [{"text": {"text": "Small"}}]}],
    "channel": "D1",
}
FORM = {"type": "view_submission", "view": {"callback_id": "zoozl", "private_metadata": "{}", "state": {"values": {}}}}
# Not "message": one that is understood is answered, and that takes the time here.
PAYLOADS = [made.event("x", event_type="x"), made.event("x", kind="channel", channel="C1"), command("x"), FORM]
PAYLOADS += [tap(QUESTION, "Small"), made.event("x", subtype="message_changed", message={"user": "U1", "edited": {}})]


def frame(chance):
    """One of chance, mostly near to what Slack sends."""
    if chance.random() < 0.05:
        return chance.choice(["", "{", "[]", "null", "7", '"x"', "[" * 2_000, '{"type": {}}', '{"envelope_id": 1}'])
    sent = envelope(changed(chance.choice(PAYLOADS), chance), chance.choice(KINDS), retry_attempt=chance.choice(VALUES))
    return json.dumps(changed(sent, chance))


async def test_frames_of_chance_harm_nobody(bot, slack, caplog):
    async with bot():
        (socket,) = slack.sockets
        for seed in range(FUZZ):
            chance = random.Random(seed)
            if chance.random() < 0.02:
                await socket.send_bytes(chance.randbytes(20))
            else:
                await socket.send_str(frame(chance))
        last = envelope(made.event("still there?", channel="D7", user="U7"))
        await socket.send_json(last)
        await slack.until(lambda: any(one["text"] == "echo still there?" for one in slack.said()), 60)
        await slack.until(lambda: any(one["envelope_id"] == last["envelope_id"] for one in slack.acknowledged))
        assert slack.sockets == [socket]
    assert len(slack.acknowledged) > FUZZ / 4
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert "Traceback" not in caplog.text
