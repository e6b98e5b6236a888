"""Chat and InterfaceRoot by hand, as programs without a server use them."""

import asyncio

import pytest

from zoozl.chatbot import Chat, InterfaceRoot, Message
from zoozl.testing import bundled_embedder


async def test_a_chat_without_a_server():
    root = InterfaceRoot(
        {
            "extensions": ["zoozl.plugins.greeter", "zoozl.plugins.games", "zoozl.plugins.helpers"],
            "author": "Oscar",
            "embedder": bundled_embedder(),
        }
    )
    root.load()
    heard: list[Message] = []
    anna, others = Chat("anna", heard.append, root), []
    bert = Chat("bert", others.append, root)
    await anna.greet()
    await anna.ask("let's play bulls & cows")
    await bert.ask(Message("play bulls and cows"))
    await anna.ask("cancel")
    assert [m.text.split("!")[0] for m in heard] == ["Hello", "Let's play bulls & cows", "OK, we leave it at that."]
    assert {m.author for m in heard} == {"Oscar"}
    assert len(others) == 2
    root.close()


def test_a_chat_goes_on_in_another_event_loop():
    root = InterfaceRoot({"extensions": ["zoozl.plugins.games"], "embedder": bundled_embedder()})
    root.load()
    heard: list[Message] = []
    chat = Chat("anna", heard.append, root)
    asyncio.run(chat.ask("play a game"))
    asyncio.run(chat.ask("hello"))
    assert "four different digits, like 1234" in heard[-1].text
    root.close()


def test_a_chat_needs_a_loaded_root():
    with pytest.raises(RuntimeError, match="load"):
        Chat("anna", print, InterfaceRoot({"extensions": [], "embedder": bundled_embedder()}))


def test_a_root_without_configuration_has_the_bundled_plugins():
    root = InterfaceRoot()
    root.load()
    assert {"greeter", "help", "games"} <= {plugin.name for plugin in root.plugins.all}
    root.close()
