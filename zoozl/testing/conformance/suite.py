"""The whole suite, to be subclassed with a driver."""

from __future__ import annotations

from typing import ClassVar

import pytest

from zoozl.testing.conformance.capability import METHODS, NEEDED, Capability
from zoozl.testing.conformance.commands import Commands
from zoozl.testing.conformance.driver import Driver
from zoozl.testing.conformance.forms import Forms
from zoozl.testing.conformance.growing import Growing
from zoozl.testing.conformance.guards import Guards
from zoozl.testing.conformance.inbound import Inbound
from zoozl.testing.conformance.outbound import Outbound


class Conformance(Inbound, Outbound, Growing, Forms, Commands, Guards):
    """What every channel passes: subclass it as TestMyChannel and say which driver.

    The tests are no coroutines and need no plugin of pytest's.
    """

    driver_class: ClassVar[type[Driver]]

    @pytest.fixture
    def driver(self) -> Driver:
        """A new driver; a fixture of the same name may make it in another way."""
        return self.driver_class()

    def test_the_driver_says_of_every_capability_whether_it_is_there(self, driver: Driver) -> None:
        for capability, reason in driver.absent.items():
            assert capability not in NEEDED, f"{capability.name} cannot be absent"
            assert reason.strip().endswith("."), f"{capability.name} is absent for a reason, which is a sentence"
        assert not set(driver.absent) & set(driver.notes), "what is absent has its reason and no note"
        for capability, method in METHODS.items():
            there = getattr(type(driver), method) is not getattr(Driver, method)
            absent = capability in driver.absent
            assert there != absent, f"{capability.name}: {method}() is {'there' if there else 'missing'}" + (
                ", and the capability is said to be absent" if there else ""
            )
        assert (driver.text_limit is None) == (Capability.SPLIT in driver.absent)
        # Where it is split, and the platform can refuse a part, the middle is tested.
        faults = {Capability.PACE, Capability.RETRY}
        whole = Capability.SPLIT in driver.absent or faults <= set(driver.absent)
        assert (Capability.MIDDLE in driver.absent) == whole, "MIDDLE is there with SPLIT and PACE or RETRY"
        assert (driver.file_limit is None) == (Capability.FILES_IN in driver.absent)


def tests_of(capability: Capability) -> list[str]:
    """The names of the tests that prove a capability."""
    return [name for name in dir(Conformance) if getattr(getattr(Conformance, name), "capability", None) is capability]
