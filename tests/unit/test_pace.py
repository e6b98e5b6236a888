"""Turns at what a platform takes only so often."""

import asyncio

import pytest

from zoozl.channels.pace import ANY, PATIENCE, Pace
from zoozl.errors import DeliveryError


def now():
    return asyncio.get_running_loop().time()


async def test_one_name_waits_and_another_does_not():
    pace = Pace(lambda name: (1, 0.2))
    begin = now()
    await pace.turn("a")
    waiting = asyncio.create_task(pace.turn("a"))
    await pace.turn("b")
    assert now() - begin < 0.1
    await waiting
    assert now() - begin >= 0.2


async def test_turns_are_in_the_order_in_which_they_were_asked_for():
    pace = Pace(lambda name: (1, 0.02))
    done = []

    async def take(number):
        await pace.turn("a")
        done.append(number)

    await asyncio.gather(*(take(number) for number in range(5)))
    assert done == [0, 1, 2, 3, 4]


async def test_who_would_wait_too_long_is_told_when_to_come_again_and_keeps_the_place():
    pace = Pace(lambda name: (1, 15.0))
    await pace.turn("a", "first")
    asking = [asyncio.create_task(pace.turn("a", key)) for key in ("second", "third", "fourth")]
    await asyncio.sleep(0)
    with pytest.raises(DeliveryError) as third:
        await asking[1]
    with pytest.raises(DeliveryError) as fourth:
        await asking[2]
    assert third.value.retry_after == pytest.approx(30.0, abs=0.5)
    assert fourth.value.retry_after == pytest.approx(45.0, abs=0.5)
    with pytest.raises(DeliveryError) as again:
        await pace.turn("a", "third")
    assert again.value.retry_after == pytest.approx(30.0, abs=0.5)
    asking[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking[0]


async def test_who_goes_away_leaves_the_turn_to_the_next():
    pace = Pace(lambda name: (1, 10.0))
    await pace.turn("a")
    waiting = asyncio.create_task(pace.turn("a"))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    begin = asyncio.create_task(pace.turn("a", "key"))
    await asyncio.sleep(0)
    assert not begin.done()  # 10 s, not 20: within what one waits for
    begin.cancel()
    with pytest.raises(asyncio.CancelledError):
        await begin


async def test_a_pause_holds_up_who_waits_already():
    pace = Pace(lambda name: (1, 0.05))
    await pace.turn("a")
    begin = now()
    waiting = asyncio.create_task(pace.turn("a"))
    await asyncio.sleep(0)
    pace.pause("a", 0.2)
    await waiting
    assert now() - begin >= 0.24


async def test_a_pause_works_where_nothing_is_counted():
    pace = Pace(lambda name: ANY)
    for _ in range(1_000):
        await pace.turn("a")
    pace.pause("a", PATIENCE + 10)
    assert not pace.free("a")
    with pytest.raises(DeliveryError) as refused:
        await pace.turn("a")
    assert refused.value.retry_after == pytest.approx(PATIENCE + 10, abs=0.5)
    await pace.turn("b")


async def test_a_look_takes_no_turn():
    pace = Pace(lambda name: (1, 60.0))
    assert pace.free("a")
    assert pace.free("a")
    await pace.turn("a")
    assert not pace.free("a")
