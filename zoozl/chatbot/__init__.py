"""The core, and the names that plugins import."""

from zoozl.chatbot.chat import Chat
from zoozl.chatbot.context import InterfaceRoot
from zoozl.chatbot.conversation import Conversation
from zoozl.chatbot.interface import Interface
from zoozl.chatbot.message import Address, Message, MessagePart
from zoozl.chatbot.package import Package
from zoozl.chatbot.question import Form
from zoozl.errors import AskTimeout, DialogEnded

__all__ = [
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
