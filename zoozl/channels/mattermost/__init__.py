"""Mattermost: posts by its websocket, answers by its REST API, buttons and commands by HTTP."""

from zoozl.channels.mattermost.channel import Channel, Options

__all__ = ["Channel", "Options"]
