"""The names that plugins import, under their old address; `zoozl.chatbot` has the same."""

from zoozl.chatbot.context import InterfaceRoot
from zoozl.chatbot.conversation import Conversation
from zoozl.chatbot.interface import Interface
from zoozl.chatbot.message import Message, MessagePart
from zoozl.chatbot.package import Package

__all__ = ["Conversation", "Interface", "InterfaceRoot", "Message", "MessagePart", "Package"]
