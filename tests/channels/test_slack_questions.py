"""Questions in Slack: buttons, lists, forms as modals; and answers that grow."""

import json
import sys
from functools import partial
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "fakes"))

from fake_slack import TEAM, command, fake_slack, settings, slack_bot, talker, tap


@pytest.fixture
async def slack():
    async with fake_slack() as slack:
        yield slack


@pytest.fixture
def bot(serve, slack):
    return partial(slack_bot, serve, slack)


def labels(posted):
    actions = next(block for block in posted["blocks"] if block["type"] == "actions")
    return [element["text"]["text"] for element in actions["elements"]]


async def test_a_dialog_by_buttons(bot, slack):
    async with bot() as talk:
        await talk.say("order pizza")
        (question,) = await slack.next_said()
        assert question["text"] == "Which _size_?"
        assert question["blocks"][0]["text"] == {"type": "mrkdwn", "text": "Which _size_?"}
        assert labels(question) == ["Small", "Large"]
        assert await talk.interact(tap(question, "Large")) == (200, "")
        confirm = (await slack.next_said(2))[1]
        assert confirm["text"] == "A l one, really?"
        assert labels(confirm) == ["Yes", "No"]
        await talk.interact(tap(confirm, "Yes", trigger="9.9.2"))
        assert (await slack.next_said(3))[2]["text"] == "ordered l"
        # The buttons are gone, and what was chosen stands there.
        updated = (await slack.next_said(2, "chat.update"))[0]
        assert [block["type"] for block in updated["blocks"]] == ["section", "context"]
        assert updated["blocks"][1]["elements"][0]["text"] == "✅ Large"


async def test_a_dialog_by_words(bot, slack):
    async with bot() as talk:
        await talk.say("order pizza")
        await slack.next_said()
        await talk.say("2")
        await slack.next_said(2)
        await talk.say("no")
        assert (await slack.next_said(3))[2]["text"] == "not ordered"


async def test_a_tap_counts_once(bot, slack):
    async with bot() as talk:
        await talk.say("order pizza")
        (question,) = await slack.next_said()
        again = tap(question, "Small")
        for _ in range(3):
            assert await talk.interact(again) == (200, "")
        await talk.interact(tap(question, "Large", trigger="9.9.2"))
        said = await slack.next_said(3)
        assert [one["text"] for one in said[1:]] == [
            "A s one, really?",
            "That question has been answered already, or has expired.",
        ]


async def test_a_button_in_a_room_is_for_the_one_who_was_asked(bot, slack):
    async with bot() as talk:
        await talk.say("<@U0BOT> order pizza", ts="1700000001.1", channel="C1", kind="channel")
        (question,) = await slack.next_said()
        assert question["thread_ts"] == "1700000001.1"
        await talk.interact(tap(question, "Small", user="U2"))
        assert (await slack.next_said(2))[1]["text"] == "Only the one who was asked can answer that."
        await talk.interact(tap(question, "Small", trigger="9.9.2"))
        said = (await slack.next_said(3))[2]
        assert (said["text"], said["thread_ts"]) == ("A s one, really?", "1700000001.1")


async def test_a_dialog_goes_on_after_a_restart(serve, slack, tmp_path):
    conf = {"extensions": ["slack_plugins"], "slack": settings(slack), "store": f"sqlite:///{tmp_path}/zoozl.db"}
    async with serve(**conf) as server, talker(server) as talk:
        await talk.say("order pizza")
        (question,) = await slack.next_said()
    async with serve(**conf) as server, talker(server) as talk:
        await talk.interact(tap(question, "Small"))
        assert (await slack.next_said(2))[1]["text"] == "A s one, really?"


async def test_blocks_that_slack_does_not_take_become_words(bot, slack):
    async with bot() as talk:
        slack.refuse("chat.postMessage", "invalid_blocks")
        await talk.say("order pizza")
        said = (await slack.next_said(2))[1]
        assert "blocks" not in said
        assert said["text"] == "Which _size_?\n\n1. Small\n2. Large"


async def test_a_dialog_by_a_slash_command_stays_with_its_talker(bot, slack):
    async with bot() as talk:
        url = f"{slack.url}/response/one"
        await talk.form(command("order pizza", response_url=url))
        await slack.until(lambda: slack.responses)
        question = {**slack.responses[0][1], "channel": "C1"}
        other = f"{slack.url}/response/two"
        await talk.interact(tap(question, "Small", ephemeral=True, response_url=other))
        await slack.until(lambda: len(slack.responses) == 2)
        path, said = slack.responses[1]
        assert (path, said["text"]) == ("/response/two", "A s one, really?")
        assert not slack.said()


# Forms


async def opened(talk, slack, **more):
    """The modal of the visit's form, and its question."""
    await talk.say("book a visit")
    (question,) = await slack.next_said()
    assert labels(question) == ["Fill in"]
    await talk.interact(tap(question, "Fill in", **more))
    (opening,) = await slack.next_said(method="views.open")
    assert opening["trigger_id"] == "9.9.tap"
    return opening["view"]


def submission(view, values, view_id="V1", user="U1"):
    state = {name: {"value": value} for name, value in values.items()}
    view = {**view, "id": view_id, "state": {"values": state}}
    return {"type": "view_submission", "team": {"id": TEAM}, "user": {"id": user, "team_id": TEAM}, "view": view}


def text(value):
    return {"type": "plain_text_input", "value": value}


FILLED = {
    "name": text("Ann"),
    "people": {"type": "number_input", "value": "3"},
    "when": {"type": "static_select", "selected_option": {"text": {}, "value": "noon"}},
    "window": {"type": "checkboxes", "selected_options": [{"value": "yes"}]},
}


async def test_a_form_is_a_modal(bot, slack):
    async with bot() as talk:
        view = await opened(talk, slack)
        assert view["title"]["text"] == "Your visit"
        kinds = {block["block_id"]: block["element"]["type"] for block in view["blocks"]}
        assert kinds == {
            "name": "plain_text_input",
            "people": "number_input",
            "when": "static_select",
            "window": "checkboxes",
        }
        sent = submission(view, FILLED)
        assert await talk.interact(sent) == (200, "")
        assert await talk.interact(sent) == (200, "")
        assert (await slack.next_said(2))[1]["text"] == "name=Ann people=3 when=noon window=yes"
        updated = (await slack.next_said(1, "chat.update"))[0]
        assert updated["blocks"][-1]["elements"][0]["text"] == "✅ Sent"


async def test_a_form_that_is_not_right_is_sent_back(bot, slack):
    async with bot() as talk:
        view = await opened(talk, slack)
        status, body = await talk.interact(submission(view, {**FILLED, "name": text(" "), "people": text("many")}))
        assert status == 200
        answer = json.loads(body)
        assert answer["response_action"] == "errors"
        assert answer["errors"].keys() == {"name", "people"}
        assert len(slack.said()) == 1
        assert await talk.interact(submission(view, FILLED)) == (200, "")
        assert (await slack.next_said(2))[1]["text"].startswith("name=Ann")


async def test_a_form_that_is_over_is_not_opened(bot, slack):
    async with bot() as talk:
        await talk.say("book a visit")
        (question,) = await slack.next_said()
        await talk.say("cancel")
        await slack.next_said(2)
        await talk.interact(tap(question, "Fill in"))
        assert "has been answered already" in (await slack.next_said(3))[2]["text"]
        assert not slack.said("views.open")


async def test_a_form_is_for_the_one_who_was_asked(bot, slack):
    async with bot() as talk:
        await talk.say("book a visit")
        (question,) = await slack.next_said()
        await talk.interact(tap(question, "Fill in", user="U2"))
        await slack.next_said(2)
        assert not slack.said("views.open")


async def test_a_modal_that_was_not_ours_is_refused(bot):
    async with bot() as talk:
        for metadata in ("", "{}", "[]", '{"question": 1}', "x" * 2000):
            view = {"callback_id": "zoozl", "private_metadata": metadata}
            assert (await talk.interact(submission(view, FILLED)))[0] == 400
        assert await talk.interact(submission({"callback_id": "another"}, FILLED)) == (200, "")


# Answers that grow


async def test_an_answer_grows_in_a_stream_of_slack(bot, slack):
    async with bot() as talk:
        await talk.say("tell a story", thread_ts="1700000001.1")
        (end,) = await slack.next_said(method="chat.stopStream")
        (begin,) = slack.said("chat.startStream")
        assert begin["recipient_user_id"] == "U1"
        assert begin["recipient_team_id"] == TEAM
        pieces = [begin, *slack.said("chat.appendStream"), end]
        whole = "".join(piece.get("markdown_text", "") for piece in pieces)
        assert [f"part {n} " in whole for n in range(4)] == [True] * 4
        assert len(whole) < 1300
        assert not slack.said()


async def test_an_answer_grows_by_edits_where_there_are_no_streams(bot, slack):
    async with bot() as talk:
        slack.refuse("chat.startStream", "unknown_method")
        await talk.say("tell a story", thread_ts="1700000001.1")
        last = (await slack.next_said(method="chat.update"))[-1]
        assert [f"part {n} " in last["text"] for n in range(4)] == [True] * 4
        (first,) = slack.said()
        assert first["text"].startswith("part 0")
        await talk.say("end")
        assert [said["text"] for said in await slack.next_said(2)][1] == "echo end"
        assert len(slack.said("chat.startStream")) == 1


async def test_a_stream_that_has_expired_ends_by_an_edit(bot, slack):
    async with bot() as talk:
        slack.refuse("chat.stopStream", "message_not_in_streaming_state")
        await talk.say("tell a story", thread_ts="1700000001.1")
        (last,) = await slack.next_said(method="chat.update")
        assert [f"part {n} " in last["text"] for n in range(4)] == [True] * 4


async def test_an_answer_comes_at_once_if_that_is_wanted(bot, slack):
    async with bot(streaming="off") as talk:
        await talk.say("tell a story")
        (said,) = await slack.next_said()
        assert "part 3" in said["text"]
        assert not slack.said("chat.update")
