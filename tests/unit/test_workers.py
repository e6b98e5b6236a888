"""Threads for plugins: shared fairly, detached when stuck, replaced."""

import asyncio
import threading

import pytest

from zoozl.chatbot.workers import Busy, Workers


@pytest.fixture
async def workers():
    made = Workers(4)
    yield made
    made.close()


async def test_results_and_errors_come_back(workers):
    assert await workers.run("a", lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        await workers.run("a", lambda: 1 / 0)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await workers.run("a", lambda: next(iter(())))


async def test_one_owner_gets_half_of_the_threads(workers):
    gate = threading.Event()
    slow = [asyncio.create_task(workers.run("slow", gate.wait)) for _ in range(10)]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert await asyncio.gather(*(workers.run("fast", lambda: 1) for _ in range(10))) == [1] * 10
    assert workers._threads <= 4
    gate.set()
    assert await asyncio.gather(*slow) == [True] * 10


async def test_a_detached_thread_is_replaced_and_counted_until_it_comes_back(workers):
    gate = threading.Event()
    entered = threading.Semaphore(0)

    def stuck():
        entered.release()
        gate.wait()

    tasks = [asyncio.create_task(workers.run("stuck", stuck)) for _ in range(2)]
    await asyncio.to_thread(entered.acquire)
    await asyncio.to_thread(entered.acquire)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert workers.stuck("stuck") == 2
    with pytest.raises(Busy):
        await workers.run("stuck", lambda: 1)
    assert await asyncio.gather(*(workers.run(str(n), lambda: 1) for n in range(8))) == [1] * 8
    gate.set()
    async with asyncio.timeout(5):
        while workers.stuck("stuck"):
            await asyncio.sleep(0.001)
    assert await workers.run("stuck", lambda: 1) == 1


async def test_a_job_that_never_began_is_dropped(workers):
    gate, ran = threading.Event(), []
    blockers = [asyncio.create_task(workers.run(owner, gate.wait)) for owner in ("a", "a", "b", "b")]
    await asyncio.sleep(0)
    late = asyncio.create_task(workers.run("c", lambda: ran.append(1)))
    await asyncio.sleep(0)
    late.cancel()
    await asyncio.wait([late])
    gate.set()
    await asyncio.gather(*blockers)
    assert await workers.run("c", lambda: 7) == 7
    assert ran == []
    assert workers.stuck("c") == 0
