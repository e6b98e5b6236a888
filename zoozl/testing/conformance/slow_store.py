"""A store whose disk is slow or broken when a test says so, and what a channel acknowledges meanwhile."""

from __future__ import annotations

import asyncio

from zoozl.chatbot.message import Event
from zoozl.chatbot.ports import Receipt
from zoozl.errors import StoreError
from zoozl.stores.memory import Store
from zoozl.testing.conformance.driver import Outcome, Said
from zoozl.testing.conformance.talk import Talk

# Seconds in which a channel that does not wait for the disk has acknowledged; less than any platform waits for it.
MOMENT = 0.3


class SlowStore(Store):
    """The memory store; messages wait while it is held, and none is taken while it is broken."""

    def __init__(self) -> None:
        super().__init__()
        self.held = False
        self.broken = False
        self.waiting: list[Receipt] = []
        """Those of the messages that are held."""

    def accept(self, event: Event, lane: str) -> Receipt:
        """See Inbox."""
        if event.kind != "message" or not (self.held or self.broken):
            return super().accept(event, lane)
        receipt = Receipt(self.next_number(), lane, event)
        loop = asyncio.get_running_loop()
        receipt.pending, receipt.known = True, loop.create_future()
        if self.broken:
            loop.call_soon(self._refuse, receipt)
        else:
            self.waiting.append(receipt)
        return receipt

    def release(self) -> None:
        """What is held is on disk, and what comes is so at once."""
        waiting, self.waiting, self.held = self.waiting, [], False
        for receipt in waiting:
            receipt.duplicate = super().accept(receipt.event, receipt.lane).duplicate
            assert receipt.known is not None
            receipt.known.set_result(None)
            receipt.settle(None)

    def _refuse(self, receipt: Receipt) -> None:
        error = StoreError("on purpose, for the conformance suite")
        receipt.failed = True
        assert receipt.known is not None
        receipt.known.set_exception(error)
        receipt.settle(error)


async def acknowledged_early(talk: Talk, store: SlowStore, said: Said) -> bool:
    """Deliver a message that is held, and release it; whether it was acknowledged before."""
    store.held = True
    delivery = asyncio.create_task(talk.deliver(said))
    try:
        await talk.until(lambda: store.waiting, "a message in the store")
        await asyncio.wait([delivery], timeout=MOMENT)
        return delivery.done() and delivery.result() is Outcome.TAKEN
    finally:
        store.release()
        await asyncio.gather(delivery, return_exceptions=True)
