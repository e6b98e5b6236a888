"""Slack: events by signed requests or Socket Mode, answers by the Web API."""

from zoozl.channels.slack.channel import Channel, Options

__all__ = ["Channel", "Options"]
