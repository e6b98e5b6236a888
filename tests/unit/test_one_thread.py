"""The embedding's thread: in order, and no obstacle to the end of the process."""

import asyncio
import subprocess
import sys
import threading
import time

import pytest

from zoozl.chatbot.one_thread import OneThread


@pytest.fixture
def thread():
    made = OneThread("test")
    yield made
    made.close()


async def test_functions_run_in_their_order_in_one_thread(thread):
    done = []
    await asyncio.gather(*(thread.run(lambda n=n: done.append((n, threading.get_ident()))) for n in range(50)))
    assert [n for n, _ in done] == list(range(50))
    assert len({ident for _, ident in done}) == 1


async def test_what_a_function_raises_is_raised_where_it_is_awaited(thread):
    with pytest.raises(ZeroDivisionError):
        await thread.run(lambda: 1 / 0)
    assert await thread.run(lambda: 7) == 7


async def test_a_job_whose_caller_has_gone_is_not_done(thread):
    gate, done = threading.Event(), []
    first = asyncio.create_task(thread.run(gate.wait, 10))
    second = asyncio.create_task(thread.run(done.append, 2))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    gate.set()
    await first
    await thread.run(done.append, 3)
    assert done == [3]


@pytest.mark.parametrize(
    ("seconds", "options", "least", "most"), [(0.5, "", 0.4, 4), (60, "", 4, 20), (60, ", computes=False", 0, 4)]
)
def test_the_end_of_the_process_waits_for_what_runs_but_not_for_ever(seconds, options, least, most):
    code = (
        "import asyncio, time\n"
        "from zoozl.chatbot.one_thread import OneThread\n"
        "async def main():\n"
        "    task = asyncio.create_task(OneThread('x'%s).run(time.sleep, %s))\n"
        "    await asyncio.sleep(0.05)\n"
        "    task.cancel()\n"
        "asyncio.run(main())\n"
    )
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", code % (options, seconds)], check=True, timeout=30)
    assert least <= time.monotonic() - began <= most


def test_a_model_that_computes_at_the_end_does_not_abort_the_process():
    code = (
        "import asyncio\n"
        "from zoozl.chatbot.embedding import Embedding\n"
        "from zoozl.embedders.minilm import Embedder\n"
        "async def main():\n"
        "    embedding = Embedding(Embedder())\n"
        "    await embedding.vector('x')\n"
        "    task = asyncio.create_task(embedding.vectors(['long text ' * 100 + str(n) for n in range(100)]))\n"
        "    await asyncio.sleep(0.1)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
