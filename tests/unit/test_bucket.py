"""Token buckets, by a clock of numbers."""

import pytest

from zoozl.channels.bucket import Bucket


def test_so_many_at_once_and_then_one_by_one():
    bucket = Bucket(2, 4.0, now=100.0)
    assert [bucket.take(100.0) for _ in range(3)] == [0.0, 0.0, 2.0]
    assert bucket.take(101.0) == 1.0
    assert bucket.take(102.0) == 0.0
    assert bucket.take(102.0) == 2.0


def test_what_is_not_used_is_saved_up_to_the_size():
    bucket = Bucket(2, 2.0, now=0.0)
    assert [bucket.take(50.0) for _ in range(3)] == [0.0, 0.0, 1.0]


def test_places_in_the_line_are_as_far_apart_as_the_rate():
    bucket = Bucket(2, 2.0, now=0.0)
    places = [bucket.book(0.0) for _ in range(5)]
    assert [bucket.wait(place, 0.0) for place in places] == [0.0, 0.0, 1.0, 2.0, 3.0]
    assert [bucket.wait(place, 2.5) for place in places] == [0.0, 0.0, 0.0, 0.0, 0.5]


def test_nobody_overtakes_the_line():
    bucket = Bucket(1, 1.0, now=0.0)
    for _ in range(3):
        bucket.book(0.0)
    assert bucket.take(1.5) > 0
    assert bucket.take(3.0) == 0.0


def test_a_place_that_is_given_back_is_free_for_the_next():
    bucket = Bucket(1, 1.0, now=0.0)
    bucket.book(0.0)
    bucket.give_back()
    assert bucket.take(0.0) == 0.0


def test_a_pause_makes_everybody_wait_and_moves_the_line_as_a_whole():
    bucket = Bucket(2, 2.0, now=0.0)
    places = [bucket.book(0.0) for _ in range(4)]
    bucket.pause(10.0, 0.5)
    assert [bucket.wait(place, 0.5) for place in places] == [10.0, 10.0, 10.5, 11.5]
    assert [bucket.wait(place, 10.6) for place in places] == pytest.approx([0.0, 0.0, 0.4, 1.4])


def test_after_a_pause_there_is_one_and_no_burst():
    bucket = Bucket(5, 5.0, now=0.0)
    bucket.pause(3.0, 0.0)
    assert bucket.take(1.0) == 2.0
    assert [bucket.take(3.0) for _ in range(2)] == [0.0, 1.0]


def test_a_longer_pause_counts_and_a_shorter_one_does_not():
    bucket = Bucket(1, 1.0, now=0.0)
    bucket.pause(10.0, 0.0)
    bucket.pause(2.0, 1.0)
    assert bucket.take(1.0) == 9.0
    bucket.pause(20.0, 1.0)
    assert bucket.take(1.0) == 20.0


def test_what_the_other_side_says_is_left_counts():
    bucket = Bucket(1e9, 1.0, now=0.0)
    bucket.learn(10, 10.0, 1, 0.0)
    assert [bucket.take(0.0) for _ in range(2)] == [0.0, 1.0]
    bucket.learn(10, 10.0, 3, 0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [0.0, 0.0, 0.0, 1.0]
