"""`/explain` in chat: admins are told why a message goes where it goes; for others there is no such command."""

import pytest

from zoozl import config
from zoozl.chatbot.identity import Identity
from zoozl.chatbot.message import Address, Event, Message
from zoozl.plugins import explain
from zoozl.server import compose
from zoozl.stores.memory import Store
from zoozl.testing import CHANNEL, Bot, bundled_embedder

EXTENSIONS = ["zoozl.plugins.explain", "zoozl.plugins.helpers", "zoozl.plugins.games"]
ADMIN = Identity("jane", {}, frozenset({"admin"}))


@pytest.fixture
async def bot():
    conf = config.from_dict({"extensions": EXTENSIONS, "websocket_port": 0})
    made = Bot.of(lambda **options: compose(conf, Store(), embedder=bundled_embedder(), **options), restarts=False)
    async with made as bot:
        yield bot


async def say(bot, text, identity=ADMIN):
    bot.chatbot.receive(Event(Address(CHANNEL, talker="tester"), Message(text), (), "message", identity))
    return await bot.replies()


async def test_an_admin_is_told_rule_aliases_scores_and_embedder(bot):
    (answer,) = await say(bot, "/explain play a game, please")
    lines = answer.splitlines()
    assert lines[0] == lines[-1] == "```"
    assert lines[1] == '"play a game, please"'
    assert lines[2].startswith('-> games, by rule 7 of 8, nearest alias: "play a game", score ')
    assert any(line.startswith("* ") and '"play a game"' in line and " of 0." in line for line in lines)
    assert "compared by letters and meaning" in lines[-2]


async def test_it_can_be_written_with_an_exclamation_mark(bot):
    (answer,) = await say(bot, "!explain cancel")
    assert "literal cancel" in answer
    (answer,) = await say(bot, "!explain")
    assert "!explain what can you do" in answer


async def test_what_is_explained_is_not_done(bot):
    await say(bot, "/explain play a game")
    assert await say(bot, "/explain /play") != []
    (answer,) = await say(bot, "cancel")
    assert answer == "There is nothing to cancel."


async def test_a_text_of_any_kind_stays_in_its_block(bot):
    (answer,) = await say(bot, "/explain ``` *bold* <@U1>\n```\x1b[31m" + "x" * 500)
    assert answer.count("```") == 2
    assert all(len(line) < 300 and line.isprintable() for line in answer.splitlines())


async def test_help_lists_it_for_admins_only(bot):
    assert "/explain" in (await say(bot, "/help"))[0]
    assert "/explain" not in (await say(bot, "/help", None))[0]
    assert "/explain" not in (await say(bot, "/explan x", None))[0]


@pytest.mark.parametrize("identity", [None, Identity("joe"), Identity("joe", {}, frozenset({"user"}))])
async def test_nobody_else_is_told_anything(bot, identity):
    (answer,) = await say(bot, "/explain play a game", identity)
    assert "score" not in answer
    assert "rule" not in answer


@pytest.mark.parametrize("text", ["/explain play a game", "!explain", "/explain", "/Explain   something"])
async def test_for_others_there_is_no_such_command(text):
    def answers(extensions):
        conf = config.from_dict({"extensions": extensions, "websocket_port": 0})
        return Bot.of(lambda **o: compose(conf, Store(), embedder=bundled_embedder(), **o), restarts=False)

    async with answers(EXTENSIONS) as with_it, answers(EXTENSIONS[1:]) as without:
        for bot in (with_it, without):
            bot.heard = [await say(bot, text, None), await say(bot, "play a game", None), await say(bot, text, None)]
        assert with_it.heard == without.heard
        # And an admin who asks the same gets it.
        assert "compared by" in (await say(with_it, "/explain play a game"))[0]
        assert await say(with_it, text, None) == await say(without, text, None)


async def test_a_bot_that_was_made_by_hand_says_so():
    async with Bot("zoozl.plugins.explain", restarts=False) as bot:
        assert await say(bot, "/explain x") == [explain.NOT_HERE]
