"""What a channel has to bear: cuts, nonsense, forgery, machines that talk, and curious readers of the log."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import pytest
from pydantic import BaseModel, SecretStr

from zoozl.redaction import clean
from zoozl.testing.conformance.capability import Capability
from zoozl.testing.conformance.driver import BERT, BOSS, Driver, Outcome, Said
from zoozl.testing.conformance.proof import proves
from zoozl.testing.conformance.talk import talking

OPEN = "the safe is open"


def secrets_in(value: object) -> set[str]:
    """Every SecretStr among options, however deep."""
    if isinstance(value, SecretStr):
        return {value.get_secret_value()}
    if isinstance(value, BaseModel):
        value = [getattr(value, name) for name in type(value).model_fields]
    elif isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return {secret for one in value for secret in secrets_in(one)}
    return set()


class Guards:
    """Tests of the suite."""

    @proves(Capability.RECONNECT)
    async def test_it_comes_back_by_itself_and_what_it_had_to_say_arrives(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            await talk.say("hold 1")
            await talk.holds()
            await driver.cut()
            talk.release()
            await driver.mend()
            await talk.hears(1)
            await talk.say("17")
            assert await talk.all() == ["held 1", "echo 17"]

    @proves(Capability.RECONNECT)
    async def test_several_cuts_lose_nothing_and_double_nothing(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            said = []
            for _ in range(2):
                said.append(await talk.say("before"))
                await driver.cut()
                await driver.mend()
                said.append(await talk.say("after"))
            await talk.hears(len(said))
            assert await talk.all() == [f"echo {one.text}" for one in said]

    @proves(Capability.GAP)
    async def test_what_was_said_while_it_was_away_is_answered_once_and_in_order(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            await talk.say("1")
            await talk.hears(1)
            await driver.cut()
            for text in ("2", "3"):
                await talk.deliver(Said(text))
            await driver.mend()
            await talk.say("4")
            await talk.hears(4)
            assert await talk.all() == ["echo 1", "echo 2", "echo 3", "echo 4"]

    @proves(Capability.OVERSIZED)
    async def test_what_is_too_large_is_refused_and_the_next_message_is_answered(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            outcomes = await driver.oversize()
            assert outcomes
            assert set(outcomes) == {Outcome.REFUSED}
            await talk.say("17")
            await talk.say("18", BERT)
            await talk.hears(2)
            assert sorted(await talk.all()) == ["echo 17", "echo 18"]

    @proves(Capability.MALFORMED)
    async def test_what_makes_no_sense_is_passed_over_and_the_next_message_is_answered(
        self, driver: Driver, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with talking(driver) as talk:
            await driver.garbage()
            await talk.say("17")
            assert "echo 17" in await talk.all()
        traces = [record.getMessage() for record in caplog.records if record.exc_info]
        assert not traces, "that is no fault of the channel's"

    @proves(Capability.FORGED)
    async def test_what_is_forged_moves_nothing_and_what_is_real_does(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            outcomes = await driver.forge(Said("/safe", BOSS))
            assert outcomes
            assert Outcome.AGAIN not in outcomes
            answers = await talk.all()
            assert not any(OPEN in text for text in answers)
            assert not answers or set(outcomes) != {Outcome.REFUSED}, "what is refused is answered"
            await talk.say("/safe", BOSS)
            await talk.until(lambda: any(one.text == OPEN for one in driver.heard()), "what the boss asked for")
            await talk.say("/safe", BERT)
            await talk.all(BERT)
            assert [one.text for one in driver.heard()].count(OPEN) == 1

    @proves(Capability.LOOPS)
    async def test_nothing_that_machines_say_is_answered(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            own = await driver.machines()
            await talk.say("17")
            await talk.until(lambda: any(one.text == "echo 17" for one in driver.heard()), "an answer")
            assert len(await talk.all()) == own + 1

    @proves(Capability.SECRETS)
    async def test_no_secret_is_logged_at_any_level(self, driver: Driver, caplog: pytest.LogCaptureFixture) -> None:
        assert all(driver.secrets)
        caplog.set_level(logging.DEBUG)
        async with talking(driver) as talk:
            known, found = set(driver.secrets), secrets_in(talk.server.config.channels[driver.channel])
            assert found <= known, "there is a secret in the options that is not in `secrets`"
            assert known <= found, "there is one in `secrets` that is no SecretStr of the options"
            await talk.say("fail")
            await driver.garbage()
            if Capability.PACE not in driver.absent:
                driver.slow_down(0)
            elif Capability.RETRY not in driver.absent:
                driver.fail_once()
            if Capability.FORGED not in driver.absent:
                await driver.forge(Said("/safe", BOSS))
            await talk.say("17")
            await talk.until(lambda: any(one.text == "echo 17" for one in driver.heard()), "an answer")
        style = logging.Formatter()
        for record in caplog.records:
            line = style.format(record)
            # As it is written to the log; and below that, of our own lines, as they are made.
            own = record.name.startswith("zoozl") and record.levelno >= logging.INFO
            for secret in driver.secrets:
                assert secret not in clean(line), f"a secret is in a line of {record.name}"
                assert not (own and secret in line), f"a secret is in a line of {record.name} until it is cleaned"
