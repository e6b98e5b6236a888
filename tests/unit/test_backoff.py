"""How long to wait before a connection is tried again."""

from zoozl.backoff import Backoff


def test_delays_double_up_to_a_minute_and_begin_anew_after_a_reset():
    backoff = Backoff(chance=lambda: 1.0)
    assert [backoff.next() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    backoff.reset()
    assert backoff.next() == 1


def test_half_of_a_delay_is_left_to_chance():
    assert Backoff(4.0, chance=lambda: 0.0).next() == 2.0
    delays = {Backoff(4.0).next() for _ in range(50)}
    assert len(delays) > 1
    assert all(2.0 <= delay <= 4.0 for delay in delays)


def test_a_thousand_tries_do_not_overflow():
    backoff = Backoff(chance=lambda: 1.0)
    assert {backoff.next() for _ in range(2_000)} >= {60.0}
