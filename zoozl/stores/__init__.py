"""Stores remember: one file each, all behind the protocols of `zoozl.chatbot.ports`."""

NOT_LISTED = {"jsontext"}
