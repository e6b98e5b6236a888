"""What `zoozl doctor` looks at for `[slack]`: the tokens, and the scopes that the bot has."""

from __future__ import annotations

import re

from zoozl.channels.slack.api import Api, Refused, Unauthorized
from zoozl.channels.slack.manifest import SCOPES, THREAD_SCOPES
from zoozl.channels.slack.options import Options
from zoozl.doctor import Finding
from zoozl.errors import DeliveryError

REINSTALL = "add them under OAuth & Permissions and install the app anew; `zoozl slack manifest` has all"


async def check(options: Options) -> list[Finding]:
    """Ask Slack who the bot is, and for an address of Socket Mode. Raises ConfigError without slack-sdk."""
    api = Api(options)
    try:
        found = [*_secret(options), *await _bot(api, options)]
        if options.socket_mode:
            found.append(await _socket(api))
        return found
    finally:
        await api.close()


def _secret(options: Options) -> list[Finding]:
    """The signing secret cannot be tried, but it has a form."""
    if options.signing_secret is None or re.fullmatch("[0-9a-f]{32}", options.signing_secret.get_secret_value()):
        return []
    fix = "copy the Signing Secret (not the Client Secret) from the app's Basic Information"
    return [Finding("warning", "signing_secret does not look like one of Slack's: 32 digits and letters a-f", fix)]


async def _bot(api: Api, options: Options) -> list[Finding]:
    if not options.token.startswith("xoxb-"):
        fix = "copy the Bot User OAuth Token from OAuth & Permissions"
        return [Finding("error", "the bot's token does not begin with xoxb-", fix)]
    try:
        me, granted = await api.introduce_with_scopes()
    except Unauthorized as exc:
        return [Finding("error", str(exc), "copy the Bot User OAuth Token again; the app must be installed")]
    except (DeliveryError, Refused) as exc:
        return [Finding("error", str(exc), "look at the network, the proxy and base_url")]
    found = [Finding("ok", f"the bot is {me.user} in the workspace {me.team}")]
    needed = [scope for scope in SCOPES if options.follow_threads or scope not in THREAD_SCOPES]
    if granted and (missing := [scope for scope in needed if scope not in granted]):
        what = ", ".join(f"{scope} ({SCOPES[scope]})" for scope in missing)
        found.append(Finding("warning", f"the bot's token lacks {what}", REINSTALL))
    return found


async def _socket(api: Api) -> Finding:
    try:
        await api.socket_url()
    except Unauthorized as exc:
        fix = "make an app-level token with connections:write under Basic Information, and switch Socket Mode on"
        return Finding("error", f"app_token: {exc}", fix)
    except (DeliveryError, Refused) as exc:
        return Finding("error", f"app_token: {exc}", "look at the network, the proxy and base_url")
    return Finding("ok", "Socket Mode can be used")
