"""Health of a running server over HTTP: `/livez`, `/readyz` and `/metrics` (in Prometheus' text format)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web

from zoozl.chatbot.core import Chatbot
from zoozl.errors import StoreError

if TYPE_CHECKING:
    from prometheus_client import Metric

    from zoozl.chatbot.services import Report

# A store that does not answer a small question in so many seconds is not ready.
PATIENCE = 2.0
SECONDS = (0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0)
SCORES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class Health:
    """Made before the server starts; `routes` are served by a listener of its own or a channel's."""

    def __init__(self, bot: Chatbot, channels: Mapping[str, Any]) -> None:
        """`channels` may be filled later. One may have `trouble`: why it is away now, "" if it is not."""
        # Imported here: only those who ask for health pay for it.
        from prometheus_client import CollectorRegistry, Counter, Histogram

        self._bot = bot
        self._channels = channels
        self._registry = CollectorRegistry()
        self._turns = Counter(
            "zoozl_turns", "Runs of plugins.", ["channel", "plugin", "rule", "ending"], registry=self._registry
        )
        self._seconds = Histogram(
            "zoozl_turn_seconds",
            "From the beginning of a turn to the end of its plugin.",
            ["plugin"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self._scores = Histogram(
            "zoozl_routing_score",
            "Scores of messages that were compared with aliases; 0.5 is the automatic threshold.",
            ["rule"],
            buckets=SCORES,
            registry=self._registry,
        )
        self._registry.register(_State(bot, channels))
        bot.observe(self._count)

    def _count(self, report: Report) -> None:
        route = report.route
        plugin = route.plugin.name if route.plugin is not None else ""
        channel = report.receipt.event.address.channel
        self._turns.labels(channel, plugin, route.rule, report.ending).inc()
        self._seconds.labels(plugin).observe(report.seconds)
        if route.rule in ("nearest alias", "fallback"):
            self._scores.labels(route.rule).observe(route.score)

    def routes(self) -> list[web.AbstractRouteDef]:
        """The three paths."""
        return [
            web.get("/livez", self._livez),
            web.get("/readyz", self._readyz),
            web.get("/metrics", self._metrics),
        ]

    async def _livez(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        store = await _store_trouble(self._bot)
        channels = {name: trouble(channel) for name, channel in self._channels.items()}
        embedding = self._bot.root.embedding
        oldest = self._bot.oldest
        found = {
            "ready": self._bot.is_open and not store and not any(channels.values()),
            "stopping": not self._bot.is_open,
            "store": store or "ok",
            "channels": {name: why or "ok" for name, why in channels.items()},
            # Without it messages are compared by their letters: worse, but no reason to send them elsewhere.
            "embedder": "ok" if embedding.is_usable else "away, messages are compared by their letters",
            "oldest_unhandled_seconds": round(time.time() - oldest, 3) if oldest else 0,
        }
        return web.json_response(found, status=200 if found["ready"] else 503)

    async def _metrics(self, request: web.Request) -> web.Response:
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def trouble(channel: Any) -> str:
    """Why a channel is away now, "" if it is not."""
    return str(getattr(channel, "trouble", "") or "")


async def _store_trouble(bot: Chatbot) -> str:
    try:
        async with asyncio.timeout(PATIENCE):
            await bot.root.store.get("zoozl:health", "")
    except StoreError as exc:
        return str(exc)
    except TimeoutError:
        return f"no answer within {PATIENCE:.0f} seconds"
    return ""


class _State:
    """What is read when somebody asks, and costs nothing in between."""

    def __init__(self, bot: Chatbot, channels: Mapping[str, Any]) -> None:
        self._bot = bot
        self._channels = channels

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client.registry.Collector."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        bot = self._bot
        oldest = bot.oldest
        gauges: Iterable[tuple[str, str, float]] = (
            ("zoozl_busy_conversations", "Conversations in which something is done or waits.", bot.busy),
            ("zoozl_waiting_dialogs", "Dialogs that wait in memory.", bot.waiting),
            ("zoozl_stuck_plugins", "Plugins that run on although they were ended.", bot.left),
            ("zoozl_oldest_unhandled_seconds", "Age of the oldest event.", time.time() - oldest if oldest else 0.0),
            ("zoozl_embedder_up", "Whether texts are compared by meaning.", float(bot.root.embedding.is_usable)),
        )
        for name, what, value in gauges:
            yield GaugeMetricFamily(name, what, value=value)
        up = GaugeMetricFamily("zoozl_channel_up", "Whether a channel is there.", labels=["channel"])
        for name, channel in self._channels.items():
            up.add_metric([name], float(not trouble(channel)))
        yield up
        replies = CounterMetricFamily("zoozl_replies", "Tries to deliver replies.", labels=["channel", "outcome"])
        for (channel, outcome), number in bot.deliveries.items():
            replies.add_metric([channel, outcome], number)
        yield replies
