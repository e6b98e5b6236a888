"""What Mattermost's server posts to the bot: clicks on buttons, forms, slash commands."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from aiohttp import web

from zoozl.channels.mattermost import decode, encode, verify
from zoozl.channels.mattermost.api import Api
from zoozl.channels.mattermost.decode import KEY, Callback
from zoozl.channels.mattermost.directory import Directory, Room
from zoozl.channels.mattermost.options import Options
from zoozl.channels.mattermost.speaking import HOOK
from zoozl.channels.mattermost.taking import Me
from zoozl.chatbot.identity import Identity
from zoozl.chatbot.message import Address, Event, Message
from zoozl.chatbot.question import Answer, Question
from zoozl.errors import DeliveryError, Overloaded, StoreError

log = logging.getLogger(__name__)

# Bytes of a request.
LONGEST = 1 << 20
# Seconds that a form may stay open.
FORM_LASTS = 86_400.0
NOT_YOURS = "Only the one who was asked can answer that."
BUSY = "Sorry, there is too much to do at the moment. Please try again later."
NOT_NOW = "Sorry, this cannot be shown at the moment. Please answer in words."


class Host(Protocol):
    """What the channel lends to these."""

    name: str
    options: Options
    key: bytes
    me: Me | None

    @property
    def api(self) -> Api: ...  # noqa: D102
    @property
    def directory(self) -> Directory: ...  # noqa: D102
    async def admitted(self, user_id: str, room: Room | None) -> Identity | None:
        """Who somebody is, None if he may not talk."""
        ...

    async def hear(self, event: Event) -> bool:
        """Give an event to the bot, durably; True if it is new. Raises Overloaded, StoreError."""
        ...

    def refusal(self, user_id: str) -> str:
        """What to tell somebody who may not talk."""
        ...


class Callbacks:
    """The routes below `path`."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """Buttons and forms if there is an address for them, commands if there are tokens."""
        path = self._host.options.path.rstrip("/")
        found: list[web.AbstractRouteDef] = []
        if self._host.options.callback_url is not None:
            found += [web.post(f"{path}/action", self._guarded(self._action))]
            found += [web.post(f"{path}/dialog", self._guarded(self._dialog))]
        if self._host.options.command_tokens:
            found += [web.post(f"{path}/command", self._guarded(self._command))]
        return found

    def _guarded(
        self, handle: Callable[[web.Request], Awaitable[dict[str, Any]]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            if self._host.me is None:
                raise web.HTTPServiceUnavailable(text="The bot is not connected yet.\n")
            if (request.content_length or 0) > LONGEST:
                raise web.HTTPRequestEntityTooLarge(LONGEST, request.content_length or 0)
            try:
                return web.json_response(await handle(request))
            except decode.DecodeError as exc:
                raise web.HTTPBadRequest(text=f"{exc}\n") from exc
            except verify.Forged as exc:
                log.warning("a click or a form is refused: %s", exc)
                raise web.HTTPForbidden(text=f"{exc}\n") from exc
            except DeliveryError as exc:
                log.warning("a click, a form or a command cannot be taken now: %s", exc)
                raise web.HTTPBadGateway(text="Mattermost does not answer the bot.\n") from exc

        return answer

    async def _action(self, request: web.Request) -> dict[str, Any]:
        click = decode.callback(await request.read())
        about = verify.unseal(self._host.key, "action", click.sealed, time.time())
        # Of an answer to a command it is not known beforehand where it is shown.
        if about["c"] not in ("", click.channel_id):
            raise verify.Forged("the button is from another channel")
        if about["t"] not in ("", click.user_id):
            return {"ephemeral_text": NOT_YOURS}
        if "f" in about:
            return await self._open(click, about)
        label = about.get("l") or click.selected
        answer = Answer(about["q"], about.get("v", click.selected))
        refused = await self._give(click, about, answer, label)
        if refused is not None:
            return {"ephemeral_text": refused} if refused else {}
        return await self._update(click, about, label)

    async def _open(self, click: Callback, about: dict[str, Any]) -> dict[str, Any]:
        """Show the form that a button stands for."""
        keep = {name: about[name] for name in ("q", "t", "c", "r", "d")}
        state = verify.seal(self._host.key, "form", {**keep, "u": click.user_id}, time.time() + FORM_LASTS)
        url = f"{self._host.options.callback_url}{self._host.options.path.rstrip('/')}/dialog"
        form = encode.dialog(Question.load(about["f"]), url, click.trigger_id, state)
        try:
            await self._host.api.open_dialog(form)
        except DeliveryError as exc:
            log.warning("a form cannot be opened: %s", exc)
            return {"ephemeral_text": NOT_NOW}
        return {}

    async def _dialog(self, request: web.Request) -> dict[str, Any]:
        form = decode.callback(await request.read())
        about = verify.unseal(self._host.key, "form", form.sealed, time.time())
        if about["u"] != form.user_id or about["c"] not in ("", form.channel_id):
            raise verify.Forged("the form was opened by another person or elsewhere")
        if form.cancelled:
            return {}
        refused = await self._give(form, about, Answer(about["q"], form.fields), "")
        return {"error": refused} if refused else {}

    async def _give(self, click: Callback, about: dict[str, Any], answer: Answer, label: str) -> str | None:
        """Hand an answer to the bot; None if it was taken, else what to tell the one who clicked."""
        host = self._host
        room = await host.directory.room(about["r"]) if about["r"] else None
        identity = await host.admitted(click.user_id, room)
        if identity is None:
            return host.refusal(click.user_id)
        address = Address(host.name, "", about["r"], about["d"], click.user_id)
        message = Message(label, str(identity.claims.get("username", "")))
        keys = (f"{host.name}:click:{click.trigger_id}",) if click.trigger_id else ()
        try:
            await host.hear(Event(address, message, keys, "message", identity, answer))
        except (Overloaded, StoreError) as exc:
            log.warning("an answer is not taken: %s", exc)
            return BUSY
        return None

    async def _update(self, click: Callback, about: dict[str, Any], label: str) -> dict[str, Any]:
        """The post as it looks when its question was answered: without buttons."""
        text, props = about["p"], {}
        if about["c"] and click.post_id:
            try:
                post = decode.post(await self._host.api.post(click.post_id))
            except (DeliveryError, decode.DecodeError, AttributeError) as exc:
                log.info("the buttons of a question stay: %s", exc)
                return {}
            text, props = post.text, {KEY: post.key} if post.key else {}
        return {"update": {"message": encode.answered(text, label, click.user_name), "props": props}}

    async def _command(self, request: web.Request) -> dict[str, Any]:
        host = self._host
        form = await request.post()
        given = form.get("token") or request.headers.get("Authorization", "").removeprefix("Token ")
        if not verify.is_command_token(given, (token.get_secret_value() for token in host.options.command_tokens)):
            log.warning("a slash command with a wrong token is refused; see command_tokens")
            raise web.HTTPUnauthorized(text="The token is none of command_tokens.\n")
        command = decode.command(form)
        room = await host.directory.room(command.channel_id)
        identity = await host.admitted(command.user_id, None if room.type == "D" else room)
        if identity is None:
            refusal = host.refusal(command.user_id)
            return encode.to_one(refusal, []) if refusal else {}
        address = Address(host.name, "", "", f"{HOOK}{command.hook}" if command.hook else "", command.user_id)
        message = Message(_words(command, host.me), str(identity.claims.get("username", "")))
        keys = (f"{host.name}:command:{command.trigger_id}",) if command.trigger_id else ()
        try:
            await host.hear(Event(address, message, keys, "message", identity))
        except (Overloaded, StoreError) as exc:
            log.warning("a command is not taken: %s", exc)
            return encode.to_one(BUSY, [])
        return {}


def _words(command: decode.Command, me: Me | None) -> str:
    """A command in the bot's own name says what follows it; any other is a command of a plugin."""
    names = me.names if me is not None else ()
    if command.command.lstrip("/").lower() in (*(name.lower() for name in names), "zoozl", ""):
        return command.text.strip()
    return f"{command.command} {command.text}".strip()
