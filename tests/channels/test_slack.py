"""Slack by signed requests, against a fake of its API: what comes in, what goes out, and what is said once."""

import asyncio
import json
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from aiohttp import ClientSession

sys.path.append(str(Path(__file__).parents[1] / "fakes"))

from fake_slack import MY_BOT, SECRET, TOKEN, command, fake_slack, settings, sign, slack_bot, talker

IN_ROOM = {"channel": "C1", "kind": "channel"}
MENTION = "<@U0BOT>"
# Posts that a channel gets without waiting.
AT_ONCE = 5


@pytest.fixture
async def slack():
    async with fake_slack() as slack:
        yield slack


@pytest.fixture
def bot(serve, slack):
    """`async with bot() as talk`"""
    return partial(slack_bot, serve, slack)


# Who may come in


async def test_a_challenge_is_echoed(bot):
    async with bot() as talk:
        challenge = {"type": "url_verification", "token": "x", "challenge": "abc"}
        assert await talk.post(json.dumps(challenge).encode()) == (200, "abc")


async def test_what_slack_has_not_signed_is_refused(bot, slack):
    async with bot() as talk:
        body = json.dumps(talk.event()).encode()
        now = int(time.time())
        good = sign(body, now)
        wrong = [
            {},
            {**good, "X-Slack-Signature": "v0=" + "0" * 64},
            {**good, "X-Slack-Request-Timestamp": "soon"},
            sign(body, now - 302),
            sign(body, now + 302),
            sign(body + b" ", now),
            sign(body, now, "another secret"),
        ]
        async with ClientSession() as http:
            for headers in wrong:
                async with http.post(talk.url, data=body, headers=headers) as response:
                    assert response.status == 403
            async with http.post(talk.url, data=body, headers=good) as response:
                assert response.status == 200
        assert len(await slack.next_said()) == 1


async def test_a_body_that_is_too_large_is_refused(bot):
    async with bot() as talk:
        status, _ = await talk.post(b"x" * ((1 << 20) + 1))
        assert status == 413


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"type": 1}', b"\xff", b'{"type": "event_callback"}'])
async def test_what_is_signed_and_makes_no_sense_is_a_bad_request(bot, body):
    async with bot() as talk:
        assert (await talk.post(body))[0] == 400


async def test_the_root_path_works_too(bot, slack):
    async with bot() as talk:
        talk.url = talk.url.removesuffix("slack")
        assert await talk.say("hi") == 200
        assert (await slack.next_said())[0]["text"] == "echo hi"


async def test_slack_and_the_websocket_share_a_port(serve, slack, unused_tcp_port):
    table = settings(slack, port=unused_tcp_port)
    async with (
        serve(extensions=["slack_plugins"], slack=table, websocket_port=unused_tcp_port) as server,
        talker(server, "/") as talk,
        ClientSession() as http,
    ):
        assert await talk.say("hi") == 200
        async with http.ws_connect(f"http://127.0.0.1:{unused_tcp_port}/") as socket:
            await socket.send_json({"text": "hello"})
            assert (await socket.receive_json())["text"] == "echo hello"


# What is taken, and how often


async def test_a_direct_message_is_answered_there(bot, slack):
    async with bot() as talk:
        assert await talk.say("a &lt;b&gt; &amp; <https://x.y|x.y> <@U7|ann>") == 200
        (said,) = await slack.next_said()
        assert said == {
            "channel": "D1",
            "text": "echo a &lt;b&gt; &amp; x.y @ann",
            "unfurl_links": False,
            "unfurl_media": False,
        }


async def test_slack_is_answered_at_once_while_a_plugin_works(bot, slack):
    async with bot() as talk:
        assert await talk.say("slow") == 200
        # The plugin has not answered yet, and does not before the other one.
        assert not slack.said()
        assert await talk.say("other", channel="D2", user="U2") == 200
        assert [said["channel"] for said in await slack.next_said()] == ["D2"]


async def test_a_plugin_that_fails_does_not_make_slack_try_again(bot, slack):
    async with bot() as talk:
        assert await talk.say("fall over") == 200
        assert "went wrong" in (await slack.next_said())[0]["text"]


async def test_an_event_that_comes_three_times_is_answered_once(bot, slack):
    async with bot() as talk:
        event = talk.event("once")
        for retry in (
            {},
            {"X-Slack-Retry-Num": "1"},
            {"X-Slack-Retry-Num": "2", "X-Slack-Retry-Reason": "http_timeout"},
        ):
            assert await talk.send(event, retry) == 200
        await talk.say("end")
        assert [said["text"] for said in await slack.next_said(2)] == ["echo once", "echo end"]


@pytest.mark.parametrize("together", [False, True])
async def test_a_mention_and_its_message_are_answered_once(bot, slack, together):
    async with bot() as talk:
        text = f"{MENTION} hi there"
        pair = [
            talk.event(text, ts="1700000000.5", event_type="app_mention", channel="C1"),
            talk.event(text, ts="1700000000.5", **IN_ROOM),
        ]
        if together:
            assert await asyncio.gather(*map(talk.send, pair)) == [200, 200]
        else:
            assert [await talk.send(event) for event in pair] == [200, 200]
        await talk.say("end")
        said = await slack.next_said(2)
        assert [one["text"] for one in said] == ["echo hi there", "echo end"]
        assert said[0]["thread_ts"] == "1700000000.5"


IGNORED = {
    "own user": {"user": "U0BOT"},
    "own bot": {"bot_id": MY_BOT},
    "another bot": {"bot_id": "B9"},
    "a bot without a user": {"subtype": "bot_message", "user": None, "bot_id": "B9"},
    "a join": {"subtype": "channel_join"},
    "an edit": {"subtype": "message_changed", "message": {"text": "new"}, "previous_message": {"text": "old"}},
    "an unfurled link": {"subtype": "message_changed", "message": {"text": "x"}, "previous_message": {"text": "x"}},
    "a deletion": {"subtype": "message_deleted", "user": None, "deleted_ts": "1.2"},
    "nobody": {"user": None},
    "edited into a mention": {"event_type": "app_mention", "edited": {"user": "U1", "ts": "1.2"}},
    "in a room": IN_ROOM,
    "in a thread of others": {**IN_ROOM, "thread_ts": "1600000000.1"},
    "another type": {"event_type": "reaction_added"},
}


@pytest.mark.parametrize("more", IGNORED.values(), ids=IGNORED)
async def test_what_is_not_for_the_bot_is_acknowledged_and_not_answered(bot, slack, more):
    async with bot() as talk:
        assert await talk.say("ignore me", **more) == 200
        await talk.say("end")
        assert [said["text"] for said in await slack.next_said()] == ["echo end"]


async def test_an_envelope_of_another_type_is_acknowledged(bot):
    async with bot() as talk:
        assert await talk.send({"type": "app_rate_limited", "minute_rate_limited": 1518467820}) == 200


async def test_a_bot_that_is_allowed_is_answered(bot, slack):
    async with bot(allow_bots=["B9"]) as talk:
        await talk.say("hi", subtype="bot_message", user=None, bot_id="B9")
        await talk.say("own", bot_id=MY_BOT)
        await talk.say("end")
        assert [said["text"] for said in await slack.next_said(2)] == ["echo hi", "echo end"]


async def test_when_there_is_no_room_slack_is_asked_to_come_again(serve, slack):
    async with (
        serve(extensions=["slack_plugins"], slack=settings(slack), lane_depth=1, shutdown_timeout=0.1) as server,
        talker(server) as talk,
    ):
        assert await talk.say("slow") == 200
        assert await talk.say("waits") == 200
        event = talk.event("too many")
        assert await talk.send(event) == 503
        # Not taken means not known either.
        assert await talk.send(event) == 503


# Threads


async def test_a_thread_that_the_bot_is_in_needs_no_mention(bot, slack):
    async with bot() as talk:
        await talk.say(f"{MENTION} first", ts="1700000001.1", event_type="app_mention", channel="C1")
        await slack.next_said()
        await talk.say("second", thread_ts="1700000001.1", **IN_ROOM)
        await talk.say("third", thread_ts="1700000001.1", user="U2", **IN_ROOM)
        said = await slack.next_said(3)
        assert [one["text"] for one in said] == ["echo first", "echo second", "echo third"]
        assert {(one["channel"], one["thread_ts"]) for one in said} == {("C1", "1700000001.1")}


async def test_a_thread_is_known_after_a_restart(serve, slack, tmp_path):
    conf = {"extensions": ["slack_plugins"], "slack": settings(slack), "store": f"sqlite:///{tmp_path}/zoozl.db"}
    async with serve(**conf) as server, talker(server) as talk:
        await talk.say(f"{MENTION} first", ts="1700000001.1", event_type="app_mention", channel="C1")
        await slack.next_said()
    async with serve(**conf) as server, talker(server) as talk:
        await talk.say("other", thread_ts="1700000009.9", ts="1700000010.1", **IN_ROOM)
        await talk.say("second", thread_ts="1700000001.1", ts="1700000010.2", **IN_ROOM)
        assert [one["text"] for one in await slack.next_said(2)] == ["echo first", "echo second"]


async def test_a_mention_in_a_thread_is_answered_under_its_parent(bot, slack):
    async with bot() as talk:
        await talk.say(f"hey {MENTION} you", thread_ts="1700000001.1", **IN_ROOM)
        (said,) = await slack.next_said()
        assert (said["text"], said["thread_ts"]) == ("echo hey you", "1700000001.1")


async def test_a_direct_message_in_a_thread_is_answered_in_it(bot, slack):
    async with bot() as talk:
        await talk.say("hi", thread_ts="1700000001.1")
        assert (await slack.next_said())[0]["thread_ts"] == "1700000001.1"


async def test_answers_stand_in_the_room_if_that_is_wanted(bot, slack):
    async with bot(reply_in_thread=False) as talk:
        await talk.say(f"{MENTION} hi", **IN_ROOM)
        await talk.say("not for the bot", **IN_ROOM)
        await talk.say("end")
        said = await slack.next_said(2)
        assert [one["text"] for one in said] == ["echo hi", "echo end"]
        assert "thread_ts" not in said[0]


async def test_an_assistant_thread_is_answered_in_it(bot, slack):
    async with bot() as talk:
        thread = {"user_id": "U1", "channel_id": "D1", "thread_ts": "1700000001.1", "context": {}}
        await talk.send(talk.event(event_type="assistant_thread_started", assistant_thread=thread))
        await talk.say("hi", thread_ts="1700000001.1")
        assert (await slack.next_said())[0]["thread_ts"] == "1700000001.1"


# Out


async def test_a_long_answer_comes_in_parts_with_closed_fences(bot, slack):
    async with bot() as talk:
        await talk.say("long")
        await slack.until(lambda: any("the end" in said["text"] for said in slack.said()))
        texts = [said["text"] for said in slack.said()]
        assert len(texts) > 6
        assert max(map(len, texts)) <= 4000
        assert all(text.count("```") % 2 == 0 for text in texts)
        whole = "\n".join(texts)
        assert [f"line {n} of" in whole for n in range(700)] == [True] * 700


async def test_too_many_calls_are_waited_for_and_the_order_is_kept(bot, slack):
    async with bot() as talk:
        slack.answers["chat.postMessage"].append((200, {}, {"ok": True, "ts": "1.2"}))
        slack.refuse("chat.postMessage", "ratelimited", 429, {"Retry-After": "2"})
        begun = time.monotonic()
        await talk.say("long")
        await slack.until(lambda: any("the end" in said["text"] for said in slack.said()))
        assert time.monotonic() - begun >= 2
        texts = [said["text"] for said in slack.said()]
        # The second part was refused, and is the only one that came twice.
        assert texts[1] == texts[2]
        assert len(texts) == len(set(texts)) + 1


async def test_a_channel_that_has_had_its_posts_waits_and_another_does_not(bot, slack):
    # One post more in half an hour.
    async with bot(room_rate=1 / 1800, reply_in_thread=False) as talk:
        for number in range(8):
            await talk.say(f"{MENTION} {number}", **IN_ROOM, user=f"U{number}", event_type="app_mention")
        await slack.next_said(AT_ONCE)
        await talk.say("alone", channel="D9", user="U9")
        said = await slack.next_said(AT_ONCE + 1)
        assert [one["channel"] for one in said] == ["C1"] * AT_ONCE + ["D9"]


async def test_a_channel_gets_posts_at_the_rate_that_slack_takes(bot, slack):
    async with bot(room_rate=5, reply_in_thread=False) as talk:
        begun = time.monotonic()
        for number in range(8):
            # Talkers of their own: their conversations do not wait for each other.
            await talk.say(f"{MENTION} {number}", **IN_ROOM, user=f"U{number}", event_type="app_mention")
        said = await slack.next_said(8)
        assert time.monotonic() - begun >= 0.6
        # Places in the line are given in the order in which the answers were ready.
        assert {one["text"] for one in said} == {f"echo {number}" for number in range(8)}


async def test_too_many_posts_in_a_channel_hold_up_that_channel_only(bot, slack):
    async with bot() as talk:
        slack.refuse("chat.postMessage", "ratelimited", 429, {"Retry-After": "600"})
        await talk.say("one")
        await slack.next_said()
        await talk.say("two", thread_ts="1700000000.000001")
        await talk.say("other", channel="D2", user="U2")
        assert [said["channel"] for said in await slack.next_said(2)] == ["D1", "D2"]
        await talk.say("another", channel="D3", user="U3")
        assert [said["channel"] for said in await slack.next_said(3)] == ["D1", "D2", "D3"]


async def test_a_channel_that_was_held_up_goes_on_when_slack_said_so(bot, slack):
    async with bot() as talk:
        slack.refuse("chat.postMessage", "ratelimited", 429, {"Retry-After": "1"})
        begun = time.monotonic()
        await talk.say("one")
        await slack.next_said()
        await talk.say("two", thread_ts="1700000000.000001")
        said = await slack.next_said(3)
        assert time.monotonic() - begun >= 1.0
        # The refused one comes twice.
        assert sorted(one["text"] for one in said) == ["echo one", "echo one", "echo two"]


@pytest.mark.parametrize(("error", "status"), [("internal_error", 200), ("", 503), ("invalid_auth", 200)])
async def test_what_may_pass_is_tried_again(bot, slack, error, status):
    async with bot() as talk:
        slack.refuse("chat.postMessage", error, status)
        await talk.say("hi")
        assert [said["text"] for said in await slack.next_said(2)] == ["echo hi"] * 2


async def test_what_cannot_be_delivered_does_not_hold_up_the_rest(bot, slack):
    async with bot() as talk:
        slack.refuse("chat.postMessage", "is_archived")
        await talk.say("one")
        await talk.say("two")
        assert [said["text"] for said in await slack.next_said(2)] == ["echo one", "echo two"]


async def test_a_direct_conversation_is_opened_if_it_is_not_known(bot, slack):
    from zoozl.chatbot.message import Address

    async with bot() as talk:
        talk.server.bot.tell(Address("slack", "T1", talker="U5"), "by the way <!channel>")
        (said,) = await slack.next_said()
        assert (said["channel"], said["text"]) == ("DU5", "by the way &lt;!channel&gt;")


# Slash commands


async def test_a_slash_command_is_answered_to_its_talker_only(bot, slack):
    async with bot() as talk:
        url = f"{slack.url}/response/one"
        assert await talk.form(command("hello there", response_url=url)) == (200, "")
        await slack.until(lambda: slack.responses)
        assert slack.responses == [
            (
                "/response/one",
                {"response_type": "ephemeral", "replace_original": False, "text": "echo hello there"},
            )
        ]


async def test_another_slash_command_is_part_of_the_message(bot, slack):
    async with bot() as talk:
        await talk.form(command("x", name="/ask", response_url=f"{slack.url}/response/one"))
        await slack.until(lambda: slack.responses)
        assert slack.responses[0][1]["text"] == "echo /ask x"


async def test_a_foreign_response_url_is_not_used(bot, slack):
    async with bot() as talk:
        foreign = slack.url.replace("127.0.0.1", "localhost")
        await talk.form(command("hi", response_url=f"{foreign}/response/one"))
        (said,) = await slack.next_said(method="chat.postEphemeral")
        assert said == {"channel": "C1", "user": "U1", "text": "echo hi"}
        assert not slack.responses


async def test_a_command_where_the_bot_is_not_is_answered_directly(bot, slack):
    async with bot() as talk:
        slack.refuse("chat.postEphemeral", "not_in_channel")
        await talk.form(command("hi"))
        assert (await slack.next_said())[0]["channel"] == "DU1"


async def test_an_ssl_check_is_answered(bot):
    async with bot() as talk:
        assert await talk.form({"ssl_check": "1"}) == (200, "")


# Who may talk


async def test_who_may_not_talk_is_told_so_once(bot, slack):
    async with bot(access="closed", allow=["U1"], allow_rooms=["C1"]) as talk:
        for _ in range(3):
            assert await talk.say("let me", user="U2") == 200
        await talk.say(f"{MENTION} in the wrong room", channel="C2", kind="channel")
        await talk.say("and me")
        said = await slack.next_said(3)
        assert [one["text"] for one in said] == [
            "Sorry, I may not talk with you.",
            "Sorry, I may not talk with you.",
            "echo and me",
        ]


async def test_strangers_hear_nothing_if_that_is_wanted(bot, slack):
    async with bot(access="open", deny=["U2"], strangers="ignore") as talk:
        await talk.say("let me", user="U2")
        await talk.form(command("let me", user="U2"))
        await talk.say("end")
        assert [one["text"] for one in await slack.next_said()] == ["echo end"]
        assert not slack.said("chat.postEphemeral")


async def test_a_bot_that_answers_every_answer_is_not_answered_for_ever(bot, slack, caplog):
    async with bot(allow_bots=["B9"]) as talk:
        for number in range(15):
            await talk.say(f"number {number}", subtype="bot_message", user=None, bot_id="B9")
        await talk.say("end")
        texts = [one["text"] for one in await slack.next_said(11)]
        # The end comes from another conversation, which waits for nobody.
        assert sorted(texts) == sorted([*(f"echo number {number}" for number in range(10)), "echo end"])
        assert "that is a loop" in caplog.text


# Secrets


async def test_no_secret_is_logged(bot, slack, caplog):
    caplog.set_level("DEBUG")
    async with bot() as talk:
        slack.refuse("chat.postMessage", "invalid_auth")
        await talk.form(command("hi", response_url=f"{slack.url}/response/secret-of-a-url"))
        await slack.until(lambda: slack.responses)
        await talk.say("hi")
        await slack.next_said(2)
    assert caplog.text
    for secret in (TOKEN, SECRET, "secret-of-a-url"):
        assert secret not in caplog.text
