"""Mattermost, with a server that speaks its wire format over real sockets: what is heard and what is said."""

import asyncio
import re
from pathlib import Path

import pytest
import tomli
from aiohttp import web

from zoozl import config, redaction
from zoozl.chatbot.message import Address
from zoozl.errors import ConfigError

# What is for the bot


async def test_a_direct_message_is_answered_without_mention(site, mattermost, fake):
    async with mattermost():
        await site.say(fake.ANNA, fake.DM, "17")
        assert await site.answers(1, fake.DM) == ["echo 17"]
        assert site.mine()[0]["root_id"] == ""


async def test_in_a_room_only_a_mention_is_answered_and_in_its_thread(site, mattermost, fake):
    async with mattermost():
        await site.say(fake.ANNA, fake.TOWN, "nobody is asked")
        asked = await site.say(fake.ANNA, fake.TOWN, "@Zoozl, 17")
        assert await site.answers(1) == ["echo 17"]
        assert site.mine()[0]["root_id"] == asked["id"]


async def test_a_thread_that_is_known_needs_no_mention_and_others_do(site, mattermost, fake):
    async with mattermost():
        asked = await site.say(fake.ANNA, fake.TOWN, "@zoozl 17")
        await site.answers(1)
        other = await site.say(fake.BERT, fake.TOWN, "a thread of our own")
        await site.say(fake.ANNA, fake.TOWN, "not for the bot", other["id"])
        await site.say(fake.BERT, fake.TOWN, "18", asked["id"])
        assert await site.answers(2) == ["echo 17", "echo 18"]
        assert [post["root_id"] for post in site.mine()] == [asked["id"]] * 2


async def test_a_reply_to_a_reply_goes_to_the_root(site, mattermost, fake):
    async with mattermost():
        root = await site.say(fake.BERT, fake.OPS, "something")
        await site.say(fake.ANNA, fake.OPS, "@zoozl what is this?", root["id"])
        await site.answers(1)
        assert site.mine()[0]["root_id"] == root["id"]


async def test_a_group_of_people_is_a_room(site, mattermost, fake):
    async with mattermost():
        await site.say(fake.ANNA, fake.GROUP, "among us")
        await site.say(fake.ANNA, fake.GROUP, "@zoozl 17")
        assert await site.answers(1) == ["echo 17"]


async def test_answers_go_to_the_room_itself_if_threads_are_switched_off(site, mattermost, fake):
    async with mattermost(reply_in_thread=False):
        await site.say(fake.ANNA, fake.TOWN, "@zoozl 17")
        await site.answers(1)
        assert site.mine()[0]["root_id"] == ""


async def test_own_posts_system_posts_webhooks_and_bots_are_passed_over(site, mattermost, fake):
    async with mattermost():
        await site.say(fake.ME, fake.DM, "my own")
        await site.say(fake.ANNA, fake.DM, "joined", type="system_join_channel")
        await site.say(fake.ANNA, fake.DM, "hook", props={"from_webhook": "true"})
        await site.say(fake.ROBOT, fake.TOWN, "@zoozl beep", props={"from_bot": "true"})
        await site.say(fake.ANNA, fake.DM, "17")
        assert (await site.answers(2))[1:] == ["echo 17"]


async def test_bots_are_answered_if_that_is_wanted(site, mattermost, fake):
    async with mattermost(answer_bots=True):
        await site.say(fake.ROBOT, fake.TOWN, "@zoozl beep", props={"from_bot": "true"})
        assert await site.answers(1) == ["echo beep"]


@pytest.mark.parametrize("props", [{"from_bot": "true"}, {"from_webhook": "true"}])
async def test_a_bot_that_answers_every_answer_is_not_answered_for_ever(site, mattermost, fake, caplog, props):
    async with mattermost(answer_bots=True):
        root = await site.say(fake.ROBOT, fake.TOWN, "@zoozl 0", props=props)
        for number in range(1, 15):
            await site.say(fake.ROBOT, fake.TOWN, f"@zoozl {number}", root["id"], props=props)
        await site.say(fake.ANNA, fake.TOWN, "@zoozl end", root["id"])
        assert sorted(await site.answers(11)) == sorted([*(f"echo {number}" for number in range(10)), "echo end"])
        assert "that is a loop" in caplog.text


async def test_a_call_to_everybody_is_none_to_the_bot(site, mattermost, fake):
    async with mattermost():
        await site.say(fake.ANNA, fake.TOWN, "@all lunch")
        await site.say(fake.ANNA, fake.TOWN, "@zoozl 17")
        assert await site.answers(1) == ["echo 17"]


async def test_the_bot_has_another_name_by_setting(site, mattermost, fake):
    async with mattermost(botname="@ai-bot"):
        await site.say(fake.ANNA, fake.TOWN, "@ai-bot 17")
        assert await site.answers(1) == ["echo 17"]


async def test_malformed_events_are_passed_over_and_the_next_one_is_heard(site, mattermost, fake, caplog):
    async with mattermost():
        for data in ({}, {"post": "{"}, {"post": "[]"}, {"post": '{"id": "../x"}'}, {"post": 17}):
            await site.tell("posted", data)
        await site.raw("no json")
        await site.raw("[" * 100_000)
        await site.raw('{"seq_reply": 9, "status": "FAIL", "error": {"message": "bad"}}')
        bad = site.about(site.posts.pop(site.post(fake.ANNA, fake.DM, "with bad mentions")["id"]))
        await site.tell("posted", {**bad, "mentions": "{"})
        await site.say(fake.ANNA, fake.DM, "17")
        assert await site.answers(1) == ["echo 17"]
        assert site.connects == 1
        assert "is passed over" in caplog.text


async def test_a_post_that_comes_twice_is_answered_once(site, mattermost, fake):
    async with mattermost():
        post = await site.say(fake.ANNA, fake.DM, "17")
        await site.tell("posted", site.about(post))
        await site.say(fake.ANNA, fake.DM, "18")
        assert await site.answers(2) == ["echo 17", "echo 18"]


async def test_an_edit_and_a_deletion_start_nothing(site, mattermost, fake):
    async with mattermost():
        post = await site.say(fake.ANNA, fake.DM, "17")
        await site.answers(1)
        await site.edit(post, "@zoozl 170")
        await site.delete(post)
        await site.say(fake.ANNA, fake.DM, "18")
        assert await site.answers(2) == ["echo 17", "echo 18"]


async def test_the_talker_is_told_by_its_identity(site, mattermost, fake):
    async with mattermost(roles={"admin": ["@anna"]}):
        await site.say(fake.ANNA, fake.DM, "who")
        assert await site.answers(1) == ["anna1 anna ['admin']"]


# What is said


async def test_a_long_answer_is_three_posts_in_order_with_fences_closed(site, mattermost, fake):
    async with mattermost():
        await site.say(fake.ANNA, fake.DM, "long")
        texts = await site.answers(3)
        assert len(texts) == 3
        assert all(len(text) <= 16_383 and text.count("```") == 2 for text in texts)
        assert "".join(re.sub(r"^```\n|\n?```$", "", text) for text in texts).count("0123456789") == 2_000


async def test_everybody_cannot_be_rung_through_the_bot(site, mattermost, fake):
    async with mattermost():
        await site.say(fake.ANNA, fake.DM, "all")
        assert await site.answers(1) == ["`@all` and `@here`, `@channel` is a word"]


async def test_files_go_out_five_to_a_post(site, mattermost, fake):
    async with mattermost():
        await site.say(fake.ANNA, fake.DM, "files")
        assert await site.answers(2) == ["see", ""]
        assert [len(post["file_ids"]) for post in site.mine()] == [5, 2]


async def test_a_large_file_goes_out_without_a_text(site, mattermost, fake):
    site.uploads_up_to = 4 << 20
    async with mattermost():
        await site.say(fake.ANNA, fake.DM, "picture")
        assert await site.answers(1) == [""]
        (sent,) = site.files.values()
        assert (sent["info"]["name"], sent["info"]["mime_type"], len(sent["data"])) == ("p.png", "image/png", 3 << 20)


async def test_a_file_too_large_for_the_server_is_told(site, mattermost, fake):
    site.uploads_up_to = 5
    async with mattermost():
        await site.say(fake.ANNA, fake.DM, "files")
        (text, _) = await site.answers(2)
        assert "The file 0.txt is too large" in text


async def test_files_come_in_and_what_is_too_much_is_told(site, mattermost, fake):
    small = site.file(b"hello", "../../etc/a.txt")
    large = site.file(b"x" * 200, "b.bin", "application/x-thing")
    async with mattermost(max_file_bytes=100):
        await site.say(fake.ANNA, fake.DM, "", file_ids=[small["id"], large["id"]])
        found = await site.answers(2)
        assert sorted(found)[1] == "got a.txt text/plain 5"
        assert "b.bin" in sorted(found)[0]
        assert not any(f"/files/{large['id']}" == path.removeprefix("/api/v4") for _, path, _, _ in site.requests)


async def test_a_file_that_is_larger_than_it_says_is_not_taken_whole(site, mattermost, fake):
    liar = site.file(b"x" * 200_000, "c.txt")
    liar["size"] = 5
    async with mattermost(max_file_bytes=100):
        await site.say(fake.ANNA, fake.DM, "17", file_ids=[liar["id"]], metadata={"files": [liar]})
        assert sorted(await site.answers(2))[1] == "echo 17"


async def test_an_answer_grows_by_edits_of_one_post(site, mattermost, fake):
    async with mattermost():
        await site.say(fake.ANNA, fake.DM, "grow")
        await site.until(lambda: site.texts() == ["one two"])


async def test_typing_is_shown_while_the_bot_works(site, mattermost, fake):
    async with mattermost():
        await site.say(fake.ANNA, fake.DM, "slow")
        assert await site.until(lambda: site.typed) == [{"channel_id": fake.DM, "parent_id": ""}]


async def test_the_history_of_a_thread_has_what_was_not_said_to_the_bot(site, mattermost, fake):
    async with mattermost():
        root = await site.say(fake.BERT, fake.TOWN, "the pump leaks")
        await site.say(fake.ANNA, fake.TOWN, "since Monday", root["id"])
        await site.say(fake.ANNA, fake.TOWN, "@zoozl said", root["id"])
        assert await site.answers(1) == ["the pump leaks | since Monday | @zoozl said"]


async def test_who_was_never_met_is_written_to_directly(site, mattermost, fake):
    async with mattermost() as server:
        server.bot.tell(Address("mattermost", talker=fake.BERT), "hello")
        await site.answers(1)
        assert site.rooms[site.mine()[0]["channel_id"]]["name"] == f"{fake.BERT}__{fake.ME}"


async def test_too_many_requests_in_plain_text_wait_as_long_as_the_server_says(site, mattermost, fake):
    async with mattermost():
        answer = web.Response(status=429, text="limit exceeded", headers={"Retry-After": "0.2"})
        site.faults.append(("POST", "/posts", answer))
        begin = asyncio.get_running_loop().time()
        await site.say(fake.ANNA, fake.DM, "17")
        assert await site.answers(1) == ["echo 17"]
        assert asyncio.get_running_loop().time() - begin >= 0.2


async def test_a_server_that_counts_calls_is_called_no_more_often_than_it_takes(site, mattermost, fake):
    async with mattermost(conf={"shutdown_timeout": 0.5}):
        site.takes = 3
        for number in range(12):
            await site.say(fake.ANNA, fake.TOWN, f"@zoozl {number}")
        begin = asyncio.get_running_loop().time()
        assert sorted(await site.answers(12)) == sorted(f"echo {number}" for number in range(12))
        assert asyncio.get_running_loop().time() - begin > 0.5
        # What was under way when the first answer told of it may have been too much.
        assert site.too_many <= 12


async def test_too_many_requests_hold_up_every_call(site, mattermost, fake):
    async with mattermost():
        answer = web.Response(status=429, text="limit exceeded", headers={"Retry-After": "0.5"})
        site.faults.append(("POST", "/posts", answer))
        await site.say(fake.ANNA, fake.DM, "17")
        await site.until(lambda: not site.faults)
        begin, number = asyncio.get_running_loop().time(), len(site.requests)
        await site.say(fake.BERT, fake.TOWN, "@zoozl 18")
        assert sorted(await site.answers(2)) == ["echo 17", "echo 18"]
        assert asyncio.get_running_loop().time() - begin >= 0.45
        assert number < len(site.requests)


async def test_an_answer_whose_receipt_was_lost_is_not_said_twice(site, mattermost, fake):
    async with mattermost():
        site.swallow.append("/posts")
        await site.say(fake.ANNA, fake.DM, "17")
        await site.answers(1)
        site.forget_pending()
        await site.say(fake.ANNA, fake.DM, "18")
        assert await site.answers(2) == ["echo 17", "echo 18"]


async def test_a_room_that_is_gone_is_given_up(site, mattermost, fake):
    async with mattermost() as server:
        server.bot.tell(Address("mattermost", room="gone1", talker=fake.ANNA), "hello")
        tries = await site.until(lambda: [r for r in site.requests if r[:2] == ("POST", "/api/v4/posts")])
        await server.bot.idle()
        assert len(tries) == 1


# A site below a path, settings, doctor


async def test_a_site_may_live_below_a_path(site, mattermost, fake):
    async with mattermost(url=f"{site.url}/sub/"):
        await site.say(fake.ANNA, fake.DM, "17")
        assert await site.answers(1) == ["echo 17"]


async def test_url_token_and_botname_come_from_the_environment(site, serve, fake, monkeypatch):
    monkeypatch.setenv("MATTERMOST_URL", site.url)
    monkeypatch.setenv("MATTERMOST_TOKEN", fake.TOKEN)
    monkeypatch.setenv("MATTERMOST_BOTNAME", "@ai-bot")
    async with serve(extensions=["fake_desk"], websocket_port=None, store="memory:"):
        await site.until(lambda: site.connections)
        await site.say(fake.ANNA, fake.TOWN, "@ai-bot 17")
        assert await site.answers(1) == ["echo 17"]


async def test_a_token_without_an_account_is_told_once_and_nothing_is_hammered(site, serve, fake, caplog):
    table = {"url": site.url, "token": "a-wrong-token-5678", "reconnect_delay": 0.01}
    async with serve(extensions=["fake_desk"], websocket_port=None, store="memory:", mattermost=table) as server:
        channel = server.channels["mattermost"]
        async with asyncio.timeout(10):
            await asyncio.wait(server._running)
        assert channel.trouble == "the token is not accepted"
    assert len(site.requests) == 1
    assert caplog.text.count("token is not accepted") == 1
    assert "a-wrong-token-5678" not in redaction.clean(caplog.text)


async def test_no_secret_and_no_seal_is_logged(site, mattermost, fake, caplog):
    caplog.set_level("DEBUG")
    async with mattermost():
        await site.say(fake.ANNA, fake.DM, "17")
        await site.answers(1)
        await site.cut(forget=True)
        await site.say(fake.ANNA, fake.DM, "18")
        await site.answers(2)
    assert fake.TOKEN not in caplog.text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"callback_url": "http://bot"}, "callback_url: needs mattermost.port"),
        ({"command_tokens": ["abcdefgh"]}, "command_tokens: needs mattermost.port"),
        ({"url": "https://user:pw@site"}, "without user, password"),
        ({"allow": ["anna"]}, 'allow needs access = "open" or access = "closed"'),
    ],
)
async def test_half_a_configuration_is_refused(serve, options, words):
    table = {"url": "https://x", "token": "t-12345678", **options}
    with pytest.raises(ConfigError, match=re.escape(words)):
        async with serve(websocket_port=None, store="memory:", mattermost=table):
            pass


async def test_doctor_tells_who_the_bot_is_and_what_is_wrong(site, fake):
    from zoozl.channels.mattermost import Channel, Options

    found = await Channel.check(Options(url=site.url, token=fake.TOKEN))
    assert [(one.level, one.what) for one in found] == [
        ("ok", "@zoozl is known, in 4 channels"),
        ("warning", "everybody may talk"),
    ]
    (wrong,) = await Channel.check(Options(url=site.url, token="other-token"))
    assert wrong.level == "error"
    assert "other-token" not in wrong.what
    (nobody,) = await Channel.check(Options(url="http://127.0.0.1:9", token="other-token"))
    assert nobody.level == "error"


@pytest.mark.parametrize("page", ["mattermost", "who-may-talk"])
async def test_the_settings_in_the_documentation_are_in_order(page):
    text = (Path(__file__).parents[2] / "docs" / "howto" / f"{page}.md").read_text("utf-8")
    snippets = re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert snippets
    for snippet in snippets:
        table = tomli.loads(snippet)
        table["mattermost"]["token"] = "t-12345678"
        assert "mattermost" in config.from_dict(table, {}).channels


# The fake itself, looked at by somebody else


async def test_a_client_that_is_not_ours_gets_along_with_the_fake(site, fake):
    driver = pytest.importorskip("mattermostautodriver")
    options = {"url": "127.0.0.1", "port": site.port, "scheme": "http", "token": fake.TOKEN}
    async with driver.AsyncTypedDriver(options) as client:
        await client.login()
        assert client.client.userid == fake.ME
        made = await client.posts.create_post(channel_id=fake.TOWN, message="hello")
        assert (await client.posts.get_post(made["id"]))["message"] == "hello"
        assert (await client.posts.get_posts_for_channel(fake.TOWN))["order"] == [made["id"]]
