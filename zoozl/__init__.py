"""zoozl: a chatbot server that routes by meaning and never loses a message."""

__version__ = "1.0.0.dev0"
