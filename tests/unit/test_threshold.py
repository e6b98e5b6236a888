"""The cut between meant and not meant, from scores of the aliases."""

import numpy as np
import pytest

from zoozl.chatbot.threshold import LEAST, MOST, cut

NONE = np.empty(0, np.float32)
NOBODY = np.empty(0, np.bool_)


def scores(low, high, count):
    return np.linspace(low, high, count, dtype=np.float32)


def test_the_cut_lies_between_the_aliases_and_the_strangers():
    own = scores(0.25, 0.6, 300)
    found = cut(own, np.ones(300, np.bool_), scores(0, 0.1, 300), scores(0, 0.1, 200))
    assert 0.1 < found < 0.25


def test_more_strangers_that_score_high_raise_it():
    own, right = scores(0.2, 0.6, 300), np.ones(300, np.bool_)
    quiet = cut(own, right, scores(0, 0.05, 300), scores(0, 0.05, 200))
    loud = cut(own, right, scores(0, 0.18, 300), scores(0, 0.18, 200))
    assert loud > quiet + 0.02


def test_aliases_that_others_would_win_do_not_lower_it():
    own = np.concatenate((scores(0.25, 0.6, 200), scores(0, 0.03, 100)))
    right = np.arange(300) < 200
    others = scores(0, 0.1, 200)
    assert cut(own, right, others, others) == pytest.approx(cut(own[:200], right[:200], others, others), abs=0.03)


def test_without_evidence_it_is_the_prior_and_little_evidence_moves_it_little():
    strangers = scores(0, 0.05, 200)
    prior = cut(NONE, NOBODY, NONE, strangers)
    assert LEAST <= prior <= MOST
    right = np.ones(2, np.bool_)
    assert abs(cut(scores(0.5, 0.6, 2), right, NONE, strangers) - prior) < 0.05
    assert cut(np.full(500, 0.6, np.float32), np.ones(500, np.bool_), NONE, strangers) > prior + 0.05


@pytest.mark.parametrize("strangers", [NONE, scores(-1, 0, 200), scores(0.5, 1, 200)])
def test_the_prior_has_limits(strangers):
    assert LEAST <= cut(NONE, NOBODY, NONE, strangers) <= MOST
