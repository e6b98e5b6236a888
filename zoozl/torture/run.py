"""A whole run: talkers talk, the server is killed and started, and in the end the books are checked."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import aiohttp

from zoozl.config import Config
from zoozl.errors import ConfigError
from zoozl.failpoints import NAMES
from zoozl.torture import verdict
from zoozl.torture.plugin import COMMAND
from zoozl.torture.script import Numbers, Orders
from zoozl.torture.server import BUNDLED, NotUp, Server
from zoozl.torture.talker import Talker

# Longer than any turn of the bundled plugin: a message whose turn is shorter than the time between kills is
# never given up, however often the process dies.
SHORTEST, LONGEST = 0.5, 1.0
FAILPOINT_LIMIT = 3.0
HIGHEST_COUNT = 30
QUIET = 0.5
# How long the last messages may take when the killing is over.
DRAIN_LIMIT = 30.0
# And how long nothing may happen then.
STALL_LIMIT = 8.0

KILLED = "kill -9"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of it."""

    talkers: int = 10
    messages: int = 200
    dialogs: int = 5
    """Further talkers, who order."""
    kills: int = 20
    seconds: float = 120.0
    seed: int | None = None
    at: tuple[str, ...] = NAMES
    """The failpoints at which every second kill happens."""


async def run(plan: Plan, config: Config | None, say: Callable[[str], None]) -> bool:
    """Torture a server with the extensions of `config` (or the bundled plugin) in a folder of its own.

    True if every promise was kept; `say` is told what goes on, and the table in the end. Raises ConfigError.
    """
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="zoozl-torture-"))
    kept = False
    try:
        kept = await _Run(plan, config, folder, say).run()
    except ConfigError:
        await asyncio.to_thread(shutil.rmtree, folder)
        raise
    if kept:
        await asyncio.to_thread(shutil.rmtree, folder)
    else:
        say(f"the store and the server's log are in {folder}")
    return kept


class _Run:
    def __init__(self, plan: Plan, config: Config | None, folder: Path, say: Callable[[str], None]) -> None:
        extensions = list(config.settings.extensions) if config is not None else [BUNDLED]
        self._seed = plan.seed if plan.seed is not None else Random().randrange(1 << 32)  # noqa: S311
        self._random = Random(self._seed)  # noqa: S311 - a run can be repeated
        self._plan = plan
        self._say = say
        self._bundled = BUNDLED in extensions
        self._prefix = f"{COMMAND} " if self._bundled else ""
        self._server = Server(folder, config, extensions)
        self._talkers = []
        for name in (f"talker{n}" for n in range(1, plan.talkers + 1)):
            other = Random(self._random.random())  # noqa: S311
            self._talkers.append(Talker(name, Numbers(name, self._prefix), plan.messages, other))
        self._callers = []
        for name in (f"caller{n}" for n in range(1, plan.dialogs + 1) if self._bundled):
            # Each order waits for several answers, and sleeps.
            most = Orders.LENGTH * max(1, plan.messages // 10)
            self._callers.append(Talker(name, Orders(name), most, Random(f"{self._seed} {name}")))  # noqa: S311
        self._everybody = [*self._talkers, *self._callers]
        self._kills: Counter[str] = Counter()

    async def run(self) -> bool:
        """True if every promise was kept."""
        self._say(
            f"{len(self._talkers)} talkers, {len(self._callers)} in dialogs, {self._plan.kills} kills, "
            f"seed {self._seed}"
        )
        began = time.monotonic()
        broken: list[verdict.Check] = []
        # No limit on the whole of a connection; the talkers have limits of their own.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0)
        async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
            tasks = [asyncio.create_task(talker.run(session, self._server.url)) for talker in self._everybody]
            try:
                await self._torment(began + self._plan.seconds)
                await self._calm_down()
            except NotUp as exc:
                broken.append(verdict.Check("the server starts after every kill", "", [str(exc)]))
            finally:
                for task in tasks:
                    task.cancel()
                ended = await asyncio.gather(*tasks, return_exceptions=True)
                await self._end(broken)
        for end in ended:
            if isinstance(end, Exception):
                raise end
        checks = broken
        if self._server.store.exists():
            checks += await asyncio.to_thread(
                verdict.check,
                self._server.store,
                self._talkers,
                self._callers,
                self._prefix,
                self._server.effects,
                counter=self._bundled,
            )
        self._show(checks, time.monotonic() - began)
        return not any(check.broken for check in checks)

    async def _end(self, broken: list[verdict.Check]) -> None:
        promise = "SIGTERM ends the server"
        try:
            if not broken and (code := await self._server.stop()):
                broken.append(verdict.Check(promise, f"code {code}", [self._server.last_words()]))
        except NotUp as exc:
            broken.append(verdict.Check(promise, "", [str(exc)]))
        finally:
            await self._server.close()

    async def _torment(self, until: float) -> None:
        """Start and kill, `kills` times or until the time is up."""
        plan, names = self._plan, list(self._plan.at)
        for number in range(1, plan.kills + 1):
            if time.monotonic() > until:
                self._say(f"the time is up after {number - 1} kills")
                break
            failpoint = ""
            if number % 2 == 0:
                # Between two failpoints a kill by the clock, which leaves the recovered turns the time to end.
                turn = (number // 2 - 1) % len(names)
                if turn == 0:
                    self._random.shuffle(names)
                failpoint = f"{names[turn]}:{self._random.randint(1, HIGHEST_COUNT)}"
            alive = await self._server.start(failpoint)
            after = self._random.uniform(SHORTEST, LONGEST)
            feeding = asyncio.create_task(self._feed(number / (plan.kills + 1), after))
            by_clock = alive and await self._server.kill(FAILPOINT_LIMIT if failpoint else after)
            feeding.cancel()
            await asyncio.wait([feeding])
            cause = KILLED if by_clock else failpoint
            self._kills[cause.partition(":")[0]] += 1
            self._say(f"kill {number:>3} of {plan.kills}  {cause:<18} {self._progress()}")

    async def _feed(self, share: float, seconds: float) -> None:
        """Let everybody say this share of it all, spread over the time, so that a kill always cuts something."""
        began = time.monotonic()
        starts = [(talker, talker.allowed, self._random.random()) for talker in self._everybody]
        while (part := (time.monotonic() - began) / seconds) < 1:
            for talker, first, phase in starts:
                number = round(talker.most * share)
                talker.allow(max(talker.allowed, min(number, int(first + (number - first) * part + phase))))
            await asyncio.sleep(0.02)
        self._allow(share)

    def _allow(self, share: float) -> None:
        for talker in self._everybody:
            talker.allow(max(round(talker.most * share), talker.allowed))

    def _progress(self) -> str:
        acknowledged = sum(len(talker.acknowledged) for talker in self._everybody)
        return f"{acknowledged} of {sum(talker.sent for talker in self._everybody)} acknowledged"

    async def _calm_down(self) -> None:
        """Let everything come to its end; what has not done so then is for the verdict."""
        await self._server.start()
        if sum(self._kills.values()) == self._plan.kills:
            self._allow(1.0)
        for caller in self._callers:
            # An order that has begun comes to its end.
            caller.allow(-(-caller.allowed // Orders.LENGTH) * Orders.LENGTH)
        began = time.monotonic()
        changed, seen = began, (0, 0)
        # What is waited for is in another process: its file can only be looked at now and then.
        while not all(t.done for t in self._everybody) or await self._waiting():
            await asyncio.sleep(0.05)
            now = time.monotonic()
            heard = sum(len(t.replies) for t in self._everybody), sum(len(t.acknowledged) for t in self._everybody)
            if heard != seen:
                changed, seen = now, heard
            if now > began + DRAIN_LIMIT or now > changed + STALL_LIMIT:
                self._say(f"after {now - began:.0f} s not everything has come to an end")
                break
        await asyncio.sleep(QUIET)

    async def _waiting(self) -> int:
        return await asyncio.to_thread(verdict.waiting, self._server.store)

    def _show(self, checks: list[verdict.Check], seconds: float) -> None:
        kills = ", ".join(f"{name} {number}" for name, number in self._kills.most_common())
        self._say(
            f"\n{seconds:.0f} s, {sum(self._kills.values())} kills ({kills})\n"
            f"{sum(t.sent for t in self._everybody)} messages, {sum(t.repeated for t in self._everybody)} sent again, "
            f"{sum(len(t.refused) for t in self._everybody)} refused\n\n{verdict.table(checks)}"
        )
