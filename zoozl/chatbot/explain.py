"""Why a message goes where it goes: the rule that decides, and the aliases that came into question."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from zoozl.chatbot import did_you_mean, waiting
from zoozl.chatbot.question import understand
from zoozl.chatbot.router import Route, Router, Rule
from zoozl.errors import EmbeddingError

if TYPE_CHECKING:
    from zoozl.chatbot.embedding import Embedding
    from zoozl.chatbot.ports import Dialog
    from zoozl.chatbot.scorer import Match

RULES = (
    (Rule.BUTTON,),
    (Rule.CANCEL,),
    (Rule.COMMAND, Rule.UNKNOWN_COMMAND),
    (Rule.QUESTION,),
    (Rule.CANCEL_BY_MEANING,),
    (Rule.SUBJECT,),
    (Rule.ALIAS, Rule.UNSURE),
    (Rule.FALLBACK,),
)
"""In their order, as the documentation numbers them from 1."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What is going on for a talker; nothing for somebody new."""

    talker: str = ""
    subject: str = ""
    dialogs: Sequence[Dialog] = ()
    last: float | None = None
    """When the latest message was, in seconds since the epoch."""


NOTHING = Situation()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plugin that came into question, with the alias of it that is nearest."""

    plugin: str
    alias: str
    score: float
    threshold: float
    accepted: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that is to be told of one message."""

    text: str
    rule: str
    number: int
    """Of the rule, from 1."""
    plugin: str
    """"" if none gets the message."""
    alias: str
    score: float
    notes: list[str]
    candidates: list[Candidate]
    by_meaning: bool
    embedder: str
    vector_ms: float
    ranking_ms: float

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


async def explain(
    router: Router,
    embedding: Embedding,
    text: str,
    situation: Situation = NOTHING,
    *,
    now: float = 0.0,
    idle: float = float("inf"),
    most: int = 5,
) -> Explanation:
    """What a router does with a text, and why; `most` candidates at most.

    `now` and `idle`: the time, and the seconds after which a subject ends in which nothing is said.
    """
    matches, vector_ms, ranking_ms, failure = await _ranked(router, embedding, text, most)
    notes = [f"messages are compared by letters alone: {failure}"] if failure else []
    route, more = await _route(router, text, situation, now, idle)
    notes += more
    plugin = route.plugin
    if plugin is not None and plugin.roles:
        notes.append(f"{plugin.name} is only for those with the role {' or '.join(sorted(plugin.roles))}")
    if plugin is not None and plugin.dm_only:
        notes.append(f"{plugin.name} answers in direct conversations only")
    return Explanation(
        text,
        str(route.rule),
        next(number for number, rules in enumerate(RULES, 1) if route.rule in rules),
        plugin.name if plugin is not None else "",
        route.alias,
        route.score,
        notes,
        [_candidate(router, match) for match in matches],
        not failure,
        embedding.about,
        vector_ms,
        ranking_ms,
    )


def _candidate(router: Router, match: Match) -> Candidate:
    alias = router.tables.aliases[match.index]
    plugin = router.holder(alias)
    assert plugin is not None
    return Candidate(plugin.name, alias, match.score, match.threshold, match.accepted)


async def _ranked(
    router: Router, embedding: Embedding, text: str, most: int
) -> tuple[Sequence[Match], float, float, str]:
    """The best matches, the milliseconds for the vector and for the ranking, and why there is no vector."""
    if not text.strip():
        return [], 0.0, 0.0, ""
    try:
        scorer = await router.tables.scorer()
        begin = time.perf_counter()
        vector = await embedding.vector(text)
    except EmbeddingError as exc:
        begin = time.perf_counter()
        ranking = await router.tables.ranking(text, most)
        return ranking.matches, 0.0, (time.perf_counter() - begin) * 1e3, str(exc)
    middle = time.perf_counter()
    literal = scorer.literal(text)
    matches = scorer.ranked(text, vector, most)
    end = time.perf_counter()
    if literal is not None:
        matches = [literal, *(match for match in matches if match.plugin != literal.plugin)][:most]
    return matches, (middle - begin) * 1e3, (end - middle) * 1e3, ""


async def _route(router: Router, text: str, situation: Situation, now: float, idle: float) -> tuple[Route, list[str]]:
    """The same as `Turn` does, without doing it."""
    if waiting.BY_ID.fullmatch(text.strip()) or (
        waiting.PENDING.fullmatch(text.strip()) and router.holder("/pending") is None
    ):
        return Route(None, text.strip(), 1.0, Rule.BUTTON), ["it names a question, or asks for the open ones"]
    notes = []
    subject = situation.subject
    if subject and (holder := router.holder(subject)) is not None and situation.last is not None:
        limit = holder.idle_timeout if holder.idle_timeout is not None else idle
        if now - situation.last > limit:
            notes.append(f'the subject "{subject}" is over: nothing was said in it for long')
            subject = ""
    dialogs = list(situation.dialogs)
    dialog = _open(dialogs, situation.talker, now)
    if dialog is not None and _superseded(dialog, text):
        notes.append(f"the question {_prompt(dialog)} is over: this is no answer to it")
        dialogs.remove(dialog)
        dialog = _open(dialogs, situation.talker, now)
    question = dialog.question if dialog is not None else None
    route = await router.choose(text, subject, going_on=bool(dialogs), question=question)
    if subject and route.rule is not Rule.SUBJECT:
        notes.append(f'the subject "{subject}" was going on')
    if route.rule is Rule.QUESTION and dialog is not None:
        holder = router.by_key(dialog.plugin)
        notes.append(f"the open question is {_prompt(dialog)}")
        if holder is not None and holder.interruptible:
            notes.append(f"{holder.name} is interruptible: what clearly calls for another plugin goes there instead")
        route = Route(holder, dialog.alias, 1.0, Rule.QUESTION)
    if route.near:
        what = {Rule.FALLBACK: "nearest, but not near enough", Rule.UNSURE: "alike near"}
        notes.append(f'{what.get(route.rule, "near")}: "{route.near}"')
    return route, notes


def _open(dialogs: Sequence[Dialog], talker: str, now: float) -> Dialog | None:
    """The dialog whose question a plain message answers."""
    mine = (dialog for dialog in reversed(dialogs) if waiting.may_answer(dialog, talker))
    return next((dialog for dialog in mine if dialog.deadline is None or now < dialog.deadline), None)


def _superseded(dialog: Dialog, text: str) -> bool:
    question = dialog.question
    return dialog.plugin == did_you_mean.KEY and question is not None and understand(question, text) is None


def _prompt(dialog: Dialog) -> str:
    return f'"{dialog.question.prompt}"' if dialog.question is not None else ""
