"""Work with a tracker in one's own name: connect by a token, use it, disconnect."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from zoozl.chatbot import Interface, InterfaceRoot, Package

LENGTH = 20
TEN_MINUTES = 600
TIMEOUT = aiohttp.ClientTimeout(total=10)

Consume = Callable[[Any, InterfaceRoot, Package], Awaitable[None]]


def token(text: str) -> str:
    """What was pasted. Raises ValueError if it cannot be a token."""
    pasted = text.strip()
    if len(pasted) != LENGTH or not pasted.isalnum():
        raise ValueError(f"A token has {LENGTH} letters and digits. Please paste it once more, or say “cancel”.")
    return pasted


async def fetch(context: InterfaceRoot, path: str, token: str) -> dict[str, Any]:
    """What the tracker has at `path`; `{"problem": ...}` if it gives nothing."""
    url = f"{context.config('tracker')['url']}/{path}"
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with (
            aiohttp.ClientSession(timeout=TIMEOUT, raise_for_status=True) as session,
            session.get(url, headers=headers, allow_redirects=False) as answer,
        ):
            return {"found": await answer.json()}
    except aiohttp.ClientResponseError as exc:
        if exc.status == 401:
            return {"problem": "The tracker does not know this token."}
        return {"problem": "The tracker has a problem just now. Please try again later."}
    except (aiohttp.ClientError, TimeoutError):
        return {"problem": "The tracker cannot be reached just now. Please try again later."}


def onboarded(consume: Consume) -> Consume:
    """For a `consume` that needs the token: who has none is told how to get one."""

    @functools.wraps(consume)
    async def guarded(self: Interface, context: InterfaceRoot, package: Package) -> None:
        # A step, because it may be another answer when a dialog begins again.
        if await package.step(context.vault.has_key, package, "token"):
            await consume(self, context, package)
        else:
            package.callback("First connect your account: write /connect to me, in private.")

    return guarded


class Connect(Interface):
    """The onboarding: explain, wait for the token, verify it, keep it."""

    name = "connect"
    space = "tracker"
    description = "connects your account at the tracker"
    aliases = ("connect my tracker account", "/connect")
    dm_only = True

    async def consume(self, context: InterfaceRoot, package: Package) -> None:
        """Ask until there is a token that the tracker knows."""
        url = context.config("tracker")["url"]
        package.callback(
            f"I work with the tracker in your name, by a token that you make at {url}/tokens and may delete there. "
            "I keep it encrypted, and nobody else can use it."
        )
        while True:
            pasted = await package.ask("Please paste it here.", secret=True, validate=token, timeout=TEN_MINUTES)
            # What a step gives is kept in the clear: who it is, never the token.
            answer = await package.step(fetch, context, "me", pasted)
            if "found" in answer:
                break
            package.callback(answer["problem"])
        await context.vault.add_key(package, "token", pasted)
        package.callback(f"Welcome, {answer['found']['name']}! Say “my issues” whenever you like.")


class Issues(Interface):
    """What the token is for."""

    name = "issues"
    space = "tracker"
    description = "your open issues"
    aliases = ("my issues", "what do I have to do", "/issues")

    @onboarded
    async def consume(self, context: InterfaceRoot, package: Package) -> None:
        """List them."""
        answer = await fetch(context, "issues", await context.vault.get_key(package, "token") or "")
        found = answer.get("found")
        package.callback(answer["problem"] if found is None else "\n".join(found) or "You have nothing to do.")


class Disconnect(Interface):
    """The way back."""

    name = "disconnect"
    space = "tracker"
    description = "forgets your token"
    aliases = ("disconnect my tracker account", "/disconnect")

    @onboarded
    async def consume(self, context: InterfaceRoot, package: Package) -> None:
        """Make sure first."""
        if await package.confirm("Shall I forget your token?"):
            await context.vault.remove_key(package, "token")
            package.callback("It is forgotten. Delete it at the tracker as well.")
        else:
            package.callback("Then it stays.")
