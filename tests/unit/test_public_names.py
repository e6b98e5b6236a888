"""The names people import, pinned."""

import zoozl.chatbot
import zoozl.chatbot.api
import zoozl.server


def test_the_public_names_of_the_core():
    assert sorted(zoozl.chatbot.__all__) == [
        "Address",
        "AskTimeout",
        "Chat",
        "Conversation",
        "DialogEnded",
        "Form",
        "Interface",
        "InterfaceRoot",
        "Message",
        "MessagePart",
        "Package",
    ]
    for name in zoozl.chatbot.__all__:
        assert hasattr(zoozl.chatbot, name)


def test_the_server_starts_from_a_dict():
    assert callable(zoozl.server.start)
