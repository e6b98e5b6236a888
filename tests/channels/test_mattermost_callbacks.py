"""Mattermost: buttons, menus, forms and slash commands, as its server posts them; and who may talk."""

import io
import json
import time
from contextlib import asynccontextmanager

import aiohttp
import pytest

from zoozl.channels.mattermost import verify

COMMAND_TOKEN = "command-token-1234"


@pytest.fixture
def desk(mattermost, fake):
    """`async with desk() as (server, post)`: `post(path, body)` is Mattermost's server calling the bot."""

    @asynccontextmanager
    async def running(**options):
        given = {"port": 0, "callback_url": "http://bot.example/", "command_tokens": [COMMAND_TOKEN], **options}
        async with mattermost(**given) as server, aiohttp.ClientSession() as session:

            async def post(path, body, form=False):
                url = f"http://127.0.0.1:{server.port('mattermost')}/mattermost/{path}"
                async with session.post(url, **{"data" if form else "json": body}) as answer:
                    text = await answer.text()
                    return answer.status, json.loads(text) if answer.content_type == "application/json" else text

            yield server, post

    return running


def actions(post):
    return post["props"]["attachments"][0]["actions"]


def click(post, action, user="anna1", **more):
    return {
        "user_id": user,
        "user_name": user.rstrip("1"),
        "channel_id": post["channel_id"],
        "post_id": post["id"],
        "trigger_id": f"trigger{time.monotonic_ns()}",
        "type": action["type"],
        "context": {**action["integration"]["context"], **more},
    }


async def test_choices_are_buttons_and_a_click_answers(site, desk, fake):
    async with desk() as (_, post):
        await site.say(fake.ANNA, fake.DM, "/lunch")
        assert await site.answers(1) == ["What will it be?"]
        asked = site.mine()[0]
        soup, fish = actions(asked)
        assert [soup["name"], fish["name"]] == ["Soup", "Fish"]
        assert fish["integration"]["url"] == "http://bot.example/mattermost/action"
        status, answer = await post("action", click(asked, fish))
        assert status == 200
        assert answer["update"]["message"] == "What will it be?\n\n✔ Fish (@anna)"
        assert "attachments" not in answer["update"]["props"]
        assert (await site.answers(2))[1] == "Fish it is"


async def test_without_an_address_for_clicks_choices_are_numbered(site, mattermost, fake):
    async with mattermost():
        await site.say(fake.ANNA, fake.DM, "/lunch")
        assert await site.answers(1) == ["What will it be?\n\n1. Soup\n2. Fish"]
        await site.say(fake.ANNA, fake.DM, "2")
        assert (await site.answers(2))[1] == "Fish it is"


async def test_an_answer_in_words_takes_the_buttons_away(site, desk, fake):
    async with desk():
        await site.say(fake.ANNA, fake.DM, "/lunch")
        await site.answers(1)
        await site.say(fake.ANNA, fake.DM, "soup")
        assert (await site.answers(2))[1] == "Soup it is"
        await site.until(lambda: "attachments" not in site.mine()[0]["props"])
        assert site.texts()[0] == "What will it be?"


async def test_many_choices_are_a_menu(site, desk, fake):
    async with desk() as (_, post):
        await site.say(fake.ANNA, fake.TOWN, "@zoozl menu")
        await site.answers(1)
        asked = site.mine()[0]
        (menu,) = actions(asked)
        assert menu["type"] == "select"
        await post("action", click(asked, menu, selected_option=menu["options"][3]["value"]))
        assert (await site.answers(2))[1] == "on Thu"
        assert site.mine()[1]["root_id"] == asked["root_id"]


async def test_a_click_that_is_repeated_answers_once(site, desk, fake):
    async with desk() as (_, post):
        await site.say(fake.ANNA, fake.DM, "/lunch")
        await site.answers(1)
        body = click(site.mine()[0], actions(site.mine()[0])[0])
        await post("action", body)
        await post("action", body)
        await site.say(fake.ANNA, fake.DM, "17")
        assert (await site.answers(3))[1:] == ["Soup it is", "echo 17"]


async def test_somebody_else_cannot_click(site, desk, fake):
    async with desk() as (_, post):
        await site.say(fake.ANNA, fake.TOWN, "@zoozl /lunch")
        await site.answers(1)
        asked = site.mine()[0]
        status, answer = await post("action", click(asked, actions(asked)[0], fake.BERT))
        assert (status, list(answer)) == (200, ["ephemeral_text"])
        assert "attachments" in site.mine()[0]["props"]


async def test_a_forged_an_expired_and_a_missing_seal_are_refused(site, desk, fake):
    async with desk() as (server, post):
        await site.say(fake.ANNA, fake.DM, "/lunch")
        await site.answers(1)
        asked = site.mine()[0]
        action = actions(asked)[0]
        sealed = action["integration"]["context"]["zoozl"]
        key = server.channels["mattermost"].key
        value = verify.unseal(key, "action", sealed, 0)
        wrong = [
            None,
            "",
            17,
            "x.y",
            sealed[:-1] + ("0" if sealed[-1] != "0" else "1"),
            "A" + sealed,
            verify.seal(b"another key", "action", value, 1e12),
            verify.seal(key, "form", value, 1e12),
            verify.seal(key, "action", value, time.time() - 1),
            verify.seal(key, "action", {**value, "c": fake.OPS}, 1e12),
        ]
        for seal in wrong:
            status, _ = await post("action", click(asked, action, zoozl=seal))
            assert status == 403, seal
        for body in ("{", [], {"user_id": "../x"}, {"user_id": "a", "channel_id": 3}):
            assert (await post("action", body))[0] == 400
        assert site.texts() == ["What will it be?"]


async def test_a_form_is_a_dialog_that_opens_by_a_button(site, desk, fake):
    async with desk() as (_, post):
        await site.say(fake.ANNA, fake.DM, "order")
        await site.answers(1)
        asked = site.mine()[0]
        (button,) = actions(asked)
        assert await post("action", click(asked, button)) == (200, {})
        (dialog,) = site.dialogs
        assert dialog["url"] == "http://bot.example/mattermost/dialog"
        assert [element["type"] for element in dialog["dialog"]["elements"]] == ["text", "text", "bool"]
        sent = {
            "type": "dialog_submission",
            "callback_id": dialog["dialog"]["callback_id"],
            "state": dialog["dialog"]["state"],
            "user_id": fake.ANNA,
            "channel_id": fake.DM,
            "submission": {"name": "Anna", "count": "3", "hot": True},
            "cancelled": False,
        }
        assert (await post("dialog", {**sent, "user_id": fake.BERT}))[0] == 403
        assert (await post("dialog", {**sent, "state": "x"}))[0] == 403
        assert await post("dialog", sent) == (200, {})
        assert (await site.answers(2))[1] == "Anna 3 yes"


def command(fake, text, **more):
    return {
        "token": COMMAND_TOKEN,
        "team_id": "t1",
        "channel_id": fake.TOWN,
        "channel_name": "town-square",
        "user_id": fake.ANNA,
        "user_name": "anna",
        "command": "/zoozl",
        "text": text,
        "trigger_id": f"trigger{time.monotonic_ns()}",
        "response_url": f"https://chat.example/hooks/commands/{'h' * 26}",
        **more,
    }


async def test_a_command_is_answered_to_the_one_who_gave_it(site, desk, fake):
    async with desk() as (_, post):
        assert await post("command", command(fake, "17"), form=True) == (200, {})
        await site.until(lambda: site.hooked)
        assert site.hooked == [("h" * 26, {"response_type": "ephemeral", "text": "echo 17"})]
        assert site.mine() == []


async def test_when_the_hook_is_used_up_answers_go_to_the_talker_directly(site, desk, fake):
    async with desk() as (_, post):
        for number in range(6):
            await post("command", command(fake, str(number)), form=True)
        assert await site.answers(1, fake.DM) == ["echo 5"]
        assert len(site.hooked) == 5


async def test_a_command_of_a_plugin_keeps_its_name(site, desk, fake):
    async with desk() as (_, post):
        await post("command", command(fake, "", command="/lunch"), form=True)
        await site.until(lambda: site.hooked)
        assert site.hooked[0][1]["text"] == "What will it be?"
        assert len(site.hooked[0][1]["attachments"][0]["actions"]) == 2


@pytest.mark.parametrize("token", ["", "wrong", COMMAND_TOKEN + "x", "ü"])
async def test_a_command_with_a_wrong_token_is_refused(site, desk, fake, token):
    async with desk() as (_, post):
        assert (await post("command", command(fake, "17", token=token), form=True))[0] == 401
        assert (await post("command", {}, form=True))[0] == 401
        assert site.hooked == []


async def test_a_command_that_is_too_large_or_malformed_is_refused(site, desk, fake):
    async with desk() as (_, post):
        assert (await post("command", io.BytesIO(b"x" * (2 << 20)), form=True))[0] == 413
        assert (await post("command", command(fake, "x", user_id="../me"), form=True))[0] == 400


# Who may talk


async def test_closed_lets_in_those_on_the_list_only_and_refuses_politely_once(site, mattermost, fake):
    async with mattermost(access="closed", allow=["anna"], refusal="Not for you."):
        for text in ("one", "two"):
            await site.say(fake.BERT, fake.TOWN, f"@zoozl {text}")
        await site.say(fake.ANNA, fake.DM, "17")
        found = await site.answers(2)
        assert sorted(found) == ["Not for you.", "echo 17"]
        refused = next(post for post in site.mine() if post["message"] == "Not for you.")
        assert site.rooms[refused["channel_id"]]["type"] == "D"


async def test_strangers_hear_nothing_if_that_is_set(site, mattermost, fake):
    async with mattermost(access="closed", allow=["anna1"], strangers="ignore"):
        await site.say(fake.BERT, fake.TOWN, "@zoozl 16")
        await site.say(fake.ANNA, fake.TOWN, "@zoozl 17")
        assert await site.answers(1) == ["echo 17"]


async def test_a_mail_address_that_was_not_verified_is_none(site, mattermost, fake):
    async with mattermost(access="closed", allow=["*@example.com"], strangers="ignore"):
        await site.say(fake.BERT, fake.TOWN, "@zoozl 16")
        await site.say(fake.ANNA, fake.TOWN, "@zoozl 17")
        assert await site.answers(1) == ["echo 17"]


async def test_rooms_are_denied_by_name(site, mattermost, fake):
    async with mattermost(access="open", deny_rooms=["town-*"], strangers="ignore"):
        await site.say(fake.ANNA, fake.TOWN, "@zoozl 16")
        await site.say(fake.ANNA, fake.OPS, "@zoozl 17")
        assert await site.answers(1) == ["echo 17"]


async def test_who_cannot_be_looked_up_is_judged_by_the_id_alone(site, mattermost, fake):
    async with mattermost(access="closed", allow=["anna"], strangers="ignore"):
        site.faults.append(("GET", f"/users/{fake.ANNA}", site.error(403, "no permission")))
        await site.say(fake.ANNA, fake.DM, "16")
        await site.until(lambda: not site.faults)
        await site.tell("user_updated", {"user": {"id": fake.ANNA}})
        await site.say(fake.ANNA, fake.DM, "17")
        assert await site.answers(1) == ["echo 17"]


async def test_a_role_of_the_configuration_opens_what_is_for_it(site, mattermost, fake):
    async with mattermost(roles={"admin": ["anna"]}):
        await site.say(fake.BERT, fake.TOWN, "@zoozl /secret")
        await site.say(fake.ANNA, fake.DM, "/secret")
        assert sorted(await site.answers(2)) == ["Sorry, you may not use this.", "the secret"]


async def test_an_admin_of_the_configuration_is_told_why_and_others_are_not(site, mattermost, fake):
    conf = {"extensions": ["fake_desk", "zoozl.plugins.explain"]}
    async with mattermost(conf, roles={"admin": ["anna"]}):
        await site.say(fake.ANNA, fake.DM, "!explain lunch")
        (answer,) = await site.answers(1)
        assert '-> Lunch, by rule 7 of 8, nearest alias: "lunch", score 1.00' in answer
        await site.say(fake.BERT, fake.TOWN, "@zoozl !explain lunch")
        assert "score" not in (await site.answers(2))[1]


async def test_strangers_can_neither_click_nor_command(site, desk, fake):
    async with desk(access="closed", allow=["anna"], refusal="Not for you.") as (_, post):
        status, answer = await post("command", command(fake, "17", user_id=fake.BERT), form=True)
        assert (status, answer) == (200, {"response_type": "ephemeral", "text": "Not for you."})
        assert site.hooked == []
