"""Mattermost when the connection breaks: resumed, caught up on, and every post answered once, in order."""

import asyncio

import pytest

from zoozl.chatbot.message import Address, Message

NUMBER = 100
CUTS = 10


async def test_what_comes_while_the_connection_is_cut_is_answered_when_it_resumes(site, mattermost, fake):
    async with mattermost():
        await site.say(fake.ANNA, fake.DM, "1")
        await site.answers(1)
        await site.cut()
        await site.say(fake.ANNA, fake.DM, "2")
        await site.say(fake.ANNA, fake.DM, "3")
        assert await site.answers(3) == ["echo 1", "echo 2", "echo 3"]
        assert len(site.connections) == 1


async def test_what_a_new_connection_does_not_tell_is_fetched(site, mattermost, fake):
    async with mattermost():
        await site.say(fake.ANNA, fake.DM, "1")
        await site.answers(1)
        await site.cut(forget=True)
        await site.say(fake.ANNA, fake.DM, "2")
        await site.say(fake.ANNA, fake.TOWN, "@zoozl 3")
        await site.say(fake.ANNA, fake.TOWN, "not for the bot")
        assert sorted(await site.answers(3)) == ["echo 1", "echo 2", "echo 3"]


async def test_a_gap_in_the_numbers_is_noticed_and_filled(site, mattermost, fake):
    async with mattermost():
        await site.say(fake.ANNA, fake.DM, "1")
        await site.answers(1)
        site.post(fake.ANNA, fake.DM, "2")
        site.lose_an_event()
        await site.say(fake.ANNA, fake.DM, "3")
        assert await site.answers(3) == ["echo 1", "echo 2", "echo 3"]


async def test_what_was_edited_or_deleted_meanwhile_is_not_answered_again(site, mattermost, fake):
    async with mattermost():
        old = await site.say(fake.ANNA, fake.DM, "1")
        await site.answers(1)
        await site.cut(forget=True)
        await site.edit(old, "one")
        gone = site.post(fake.ANNA, fake.DM, "2")
        await site.delete(gone)
        site.post(fake.ANNA, fake.DM, "3")
        assert await site.answers(2) == ["echo 1", "echo 3"]


async def test_more_than_a_thousand_missed_posts_are_all_looked_at(site, mattermost, fake):
    async with mattermost():
        await site.say(fake.ANNA, fake.TOWN, "@zoozl 17")
        await site.answers(1)
        await site.cut(forget=True)
        site.post(fake.ANNA, fake.TOWN, "@zoozl 18")
        for number in range(1_300):
            site.post(fake.BERT, fake.TOWN, f"chatter {number}")
        site.post(fake.ANNA, fake.TOWN, "@zoozl 19")
        assert sorted(await site.answers(3)) == ["echo 17", "echo 18", "echo 19"]


async def test_catching_up_that_is_cut_begins_again(site, mattermost, fake):
    async with mattermost():
        await site.say(fake.ANNA, fake.DM, "1")
        await site.answers(1)
        await site.cut(forget=True)
        # Fetching the second room fails, when the first one has been fetched.
        site.post(fake.ANNA, fake.DM, "2")
        site.post(fake.ANNA, fake.OPS, "@zoozl 3")
        site.faults.extend([("GET", f"/channels/{fake.OPS}/posts", None)] * 2)
        site.faults.append(("GET", f"/channels/{fake.DM}/posts", None))
        assert sorted(await site.answers(3)) == ["echo 1", "echo 2", "echo 3"]


async def test_ten_cuts_lose_nothing_and_double_nothing(site, mattermost, fake):
    async with mattermost():
        for number in range(NUMBER):
            await site.say(fake.ANNA, fake.DM, str(number))
            if number % (NUMBER // CUTS) == NUMBER // CUTS // 2:
                # Connected again, and what was said meanwhile is still being looked at.
                await site.until(lambda: any(c.socket is not None for c in site.connections.values()))
                await site.cut(forget=number % 20 > 10)
        await site.answers(NUMBER)
        await asyncio.sleep(0.1)
        assert site.texts() == [f"echo {number}" for number in range(NUMBER)]
        assert site.connects == CUTS + 1


async def test_a_restart_catches_up_and_says_nothing_twice(site, mattermost, fake, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("zoozl.channels.mattermost.channel.KEEP", 0.02)
    conf = {"store": "sqlite:///bot.db"}
    async with mattermost(conf) as server:
        await site.say(fake.ANNA, fake.DM, "1")
        await site.answers(1)
        mark = server.channels["mattermost"]._mark
        async with asyncio.timeout(5):
            while mark._kept < max(post["create_at"] for post in site.posts.values()):
                await asyncio.sleep(0.01)
    await site.cut(forget=True)
    await site.say(fake.ANNA, fake.DM, "2")
    async with mattermost(conf):
        await site.say(fake.ANNA, fake.DM, "3")
        assert await site.answers(3) == ["echo 1", "echo 2", "echo 3"]


async def test_posts_of_a_bot_that_are_read_again_are_not_counted_again(
    site, mattermost, fake, tmp_path, monkeypatch, caplog
):
    monkeypatch.chdir(tmp_path)
    caplog.set_level("INFO")
    conf, robot = {"store": "sqlite:///bot.db"}, {"props": {"from_bot": "true"}}
    async with mattermost(conf, answer_bots=True) as server:
        root = await site.say(fake.ROBOT, fake.TOWN, "@zoozl 0", **robot)
        for number in range(1, 8):
            await site.say(fake.ROBOT, fake.TOWN, f"@zoozl {number}", root["id"], **robot)
        await site.answers(8)
        mark = server.channels["mattermost"]._mark
        await mark.keep(fake.ME, root["create_at"])
    await site.cut(forget=True)
    async with mattermost(conf, answer_bots=True):
        for number in range(8, 16):
            await site.say(fake.ROBOT, fake.TOWN, f"@zoozl {number}", root["id"], **robot)
        assert await site.answers(16) == [f"echo {number}" for number in range(16)]
    assert "looked at" in caplog.text
    assert "that is a loop" not in caplog.text


async def test_posts_of_a_bot_are_counted_by_when_they_were_made(site, mattermost, fake, caplog):
    robot = {"props": {"from_bot": "true"}}
    async with mattermost(answer_bots=True):
        root = await site.say(fake.ROBOT, fake.TOWN, "@zoozl 0", **robot)
        await site.answers(1)
        await site.cut(forget=True)
        for number in range(1, 20):
            # One every ten seconds: alarms, and no loop, though all of them come at once.
            site._clock = site.now() + 10_000
            site.post(fake.ROBOT, fake.TOWN, f"@zoozl {number}", root["id"], **robot)
        assert await site.answers(20) == [f"echo {number}" for number in range(20)]
        assert "that is a loop" not in caplog.text


async def test_a_reply_that_a_crash_left_unmarked_is_not_posted_again(site, mattermost, fake, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    conf = {"store": "sqlite:///bot.db"}
    address, words = Address("mattermost", talker=fake.ANNA), Message("x" * 20_000)
    async with mattermost(conf) as server:
        await server.channels["mattermost"].send(address, words, "777")
        assert len(site.mine()) == 2
    site.forget_pending()
    async with mattermost(conf) as server:
        await server.channels["mattermost"].send(address, words, "777")
        await server.channels["mattermost"].send(address, Message("next"), "778")
    assert len(site.mine()) == 3
    assert site.texts()[2] == "next"


async def test_another_store_has_other_keys(site, mattermost, fake):
    address = Address("mattermost", talker=fake.ANNA)
    for _ in range(2):
        async with mattermost() as server:
            await server.channels["mattermost"].send(address, Message("hello"), "777")
        site.forget_pending()
    assert site.texts() == ["hello", "hello"]


async def test_what_is_older_than_the_setting_is_left_alone(site, mattermost, fake):
    async with mattermost(backfill=2.0):
        await site.say(fake.ANNA, fake.DM, "1")
        await site.answers(1)
        await site.cut(forget=True)
        old = site.post(fake.ANNA, fake.DM, "2")
        old["create_at"] -= 5_000
        old["update_at"] -= 5_000
        site.post(fake.ANNA, fake.DM, "3")
        assert await site.answers(2) == ["echo 1", "echo 3"]


async def test_the_challenge_is_enough_where_a_proxy_takes_the_header(site, mattermost, fake):
    site.reads_header = False
    async with mattermost():
        await site.say(fake.ANNA, fake.DM, "1")
        assert await site.answers(1) == ["echo 1"]
        assert site.challenges == 1


async def test_a_server_that_never_pongs_is_left_within_two_heartbeats(site, mattermost, fake):
    site.pongs = False
    async with mattermost(heartbeat=0.4):
        begin = asyncio.get_running_loop().time()
        await site.until(lambda: site.connects >= 2, 5)
        assert asyncio.get_running_loop().time() - begin <= 0.8 + 0.3
        site.pongs = True


async def test_a_token_that_is_revoked_while_connected_ends_it(site, mattermost, fake, caplog):
    async with mattermost() as server:
        await site.say(fake.ANNA, fake.DM, "1")
        await site.answers(1)
        site.token_works = False
        await site.cut(forget=True)
        async with asyncio.timeout(10):
            await asyncio.wait(server._running)
        assert server.channels["mattermost"].trouble == "the token is not accepted"


async def test_the_channel_says_when_it_is_away(site, mattermost, fake):
    async with mattermost() as server:
        await site.say(fake.ANNA, fake.DM, "1")
        await site.answers(1)
        channel = server.channels["mattermost"]
        assert channel.trouble == ""
        site.faults.extend([("GET", "/users/me", None)] * 50)
        await site.cut(forget=True)
        await site.until(lambda: [r for r in site.requests if r[1].endswith("/users/me")][2:])
        assert channel.trouble
        site.faults.clear()


async def test_posts_beyond_what_a_lane_takes_wait_and_are_answered_in_order(site, mattermost, fake):
    async with mattermost({"lane_depth": 2}):
        for number in range(12):
            await site.say(fake.ANNA, fake.DM, str(number))
        assert await site.answers(12) == [f"echo {number}" for number in range(12)]


@pytest.mark.parametrize("forget", [True, False])
async def test_replay_and_back_fill_together_double_nothing(site, mattermost, fake, forget):
    async with mattermost():
        for number in range(5):
            await site.say(fake.ANNA, fake.DM, str(number))
        await site.cut(forget=forget)
        for number in range(5, 10):
            await site.say(fake.ANNA, fake.DM, str(number))
        await site.answers(10)
        await asyncio.sleep(0.1)
        assert site.texts() == [f"echo {number}" for number in range(10)]
