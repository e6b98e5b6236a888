"""What `zoozl doctor` looks at for `[mattermost]`: the site, the token, the rooms, and who may talk."""

from __future__ import annotations

from zoozl.channels.mattermost.api import Api, BadToken
from zoozl.channels.mattermost.options import Options
from zoozl.doctor import Finding
from zoozl.errors import DeliveryError


async def check(options: Options) -> list[Finding]:
    """Ask the site who the bot is and where; nothing is said or changed there."""
    if options.url is None or options.token is None:
        return []
    api = Api(options.url, options.token.get_secret_value())
    try:
        me = await api.me()
        rooms = await api.rooms()
    except BadToken as exc:
        return [Finding("error", f"the token is not accepted: {exc}", "make a new one: Integrations, Bot Accounts")]
    except DeliveryError as exc:
        return [Finding("error", str(exc), "look at `url` and at the way to it (proxy, firewall, certificate)")]
    finally:
        await api.close()
    if not isinstance(me, dict) or not isinstance(rooms, list) or "username" not in me:
        return [Finding("error", f"{options.url} answers, but not like Mattermost", "give the address of the site")]
    found = [Finding("ok", f"@{me['username']} is known, in {len(rooms)} channels")]
    if not me.get("is_bot"):
        found.append(Finding("warning", "the token is a person's", "use a bot account: its posts are marked as such"))
    if not any(isinstance(room, dict) and room.get("type") in ("O", "P") for room in rooms):
        found.append(
            Finding("warning", "the bot is in no room", "invite it: /invite @name; direct messages work anyway")
        )
    if options.access is None:
        found.append(Finding("warning", "everybody may talk", 'say so: access = "open", or "closed" with allow'))
    if options.url.startswith("http://") and not options.url.startswith(("http://localhost", "http://127.")):
        found.append(Finding("warning", "the token goes over the net in clear", "use https://"))
    return found
