"""Websocket and chat page: one JSON object per text frame."""

from zoozl.channels.websocket.channel import Channel, Options

__all__ = ["Channel", "Options"]
