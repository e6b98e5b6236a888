"""The app manifest: what Slack has to know of the bot, to be pasted where apps are made."""

from __future__ import annotations

from typing import Any

# Scopes of the bot's token, and what each is for.
SCOPES = {
    "app_mentions:read": "hear mentions",
    "channels:history": "follow threads in public channels",
    "chat:write": "answer",
    "commands": "slash commands",
    "files:read": "fetch files that people send",
    "files:write": "send files",
    "groups:history": "follow threads in private channels",
    "im:history": "hear direct messages",
    "im:read": "know direct conversations",
    "im:write": "begin direct conversations",
    "mpim:history": "follow threads in group conversations",
}
EVENTS = ("app_mention", "message.im", "message.channels", "message.groups", "message.mpim")
# Only for those: without them, messages that mention nobody are not heard.
THREAD_SCOPES = ("channels:history", "groups:history", "mpim:history")
THREAD_EVENTS = ("message.channels", "message.groups", "message.mpim")
LONGEST_NAME = 35


def manifest(name: str, url: str | None, command: str, *, follow_threads: bool = True) -> dict[str, Any]:
    """The manifest of an app that sends its requests to `url`, or uses Socket Mode if that is None."""
    scopes = [scope for scope in SCOPES if follow_threads or scope not in THREAD_SCOPES]
    events = [event for event in EVENTS if follow_threads or event not in THREAD_EVENTS]
    where = {"request_url": url} if url is not None else {}
    slash: dict[str, Any] = {
        "command": command,
        "description": f"Ask {name}",
        "usage_hint": "[what you want]",
        "should_escape": True,
    }
    return {
        "display_information": {"name": name[:LONGEST_NAME]},
        "features": {
            "app_home": {
                "home_tab_enabled": False,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": name, "always_online": True},
            "slash_commands": [slash | ({"url": url} if url is not None else {})],
        },
        "oauth_config": {"scopes": {"bot": scopes}},
        "settings": {
            "event_subscriptions": where | {"bot_events": events},
            "interactivity": {"is_enabled": True} | where,
            "org_deploy_enabled": False,
            "socket_mode_enabled": url is None,
            "token_rotation_enabled": False,
        },
    }
