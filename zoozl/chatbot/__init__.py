"""The core, and the names that plugins import."""

from zoozl.chatbot.chat import Chat
from zoozl.chatbot.context import InterfaceRoot
from zoozl.chatbot.conversation import Conversation
from zoozl.chatbot.interface import Interface
from zoozl.chatbot.message import Address, Message, MessagePart
from zoozl.chatbot.package import Package

__all__ = [
    "Address",
    "Chat",
    "Conversation",
    "Interface",
    "InterfaceRoot",
    "Message",
    "MessagePart",
    "Package",
]
