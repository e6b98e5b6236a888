"""Routing quality and cost: `python tests/benchmarks/bench_routing.py PATH_TO_CLINC [SEEDS] [PART ...]`.

The folder has data_full.json in it. Parts are quality, shapes, domains, thresholds and cost; all if none is named.
Aliases are drawn from the training texts, messages are the test texts. In percent, means over the seeds.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from zoozl.chatbot.background import sentences
from zoozl.chatbot.lexical import letters_of
from zoozl.chatbot.scorer import build
from zoozl.embedders.minilm import Embedder

MESSAGES = 600


class Data:
    """The set, with the vectors of its texts (kept in the folder for temporary files)."""

    def __init__(self, folder):
        read = json.loads((Path(folder) / "data_full.json").read_text("utf-8"))
        self.intents = sorted({intent for _, intent in read["train"]})
        number = {intent: i for i, intent in enumerate(self.intents)}
        domains = Path(folder) / "domains.json"
        self.domains = [
            [number[i] for i in names]
            for names in (json.loads(domains.read_text("utf-8")).values() if domains.exists() else ())
        ]
        self.embedder = Embedder()
        self.texts = {name: [text for text, _ in read[name]] for name in ("train", "test", "oos_test")}
        self.labels = {name: np.array([number[i] for _, i in read[name]]) for name in ("train", "test")}
        self.background = sentences()
        kept = Path(tempfile.gettempdir()) / f"zoozl-bench-routing-{self.embedder.name.replace('/', '-')}.npz"
        if kept.exists():
            self.vectors = dict(np.load(kept))
        else:
            self.vectors = {name: self.embedder.embed(texts) for name, texts in self.texts.items()}
            np.savez(kept, **self.vectors)
        self.background_vectors = self.embedder.embed(self.background)
        self.letters = {name: [letters_of(text) for text in self.texts[name]] for name in ("test", "oos_test")}

    def build(self, rows, owners, before=None, texts=None, vectors=None):
        texts = texts or [self.texts["train"][i] for i in rows]
        vectors = self.vectors["train"][rows] if vectors is None else vectors
        return build(texts, owners, vectors, self.background, self.background_vectors, None, before, latin_only=True)


class Draw:
    """Plugins made of intents, their aliases, and messages of three kinds: meant, of other intents, of no intent."""

    def __init__(self, data, seed, plugins, aliases, intents=(1,), among=range(150)):
        """`aliases` and `intents`: how many an intent or a plugin has, one of the numbers by chance."""
        random = np.random.default_rng([seed, plugins, *intents])
        parts = random.choice(intents, plugins)
        while parts.sum() > len(among):
            parts[parts.argmax()] -= 1
        self.intents = random.permutation(list(among))[: parts.sum()]
        self.plugins = plugins
        owner = dict(zip(self.intents.tolist(), np.repeat(np.arange(plugins), parts).tolist(), strict=True))
        count = random.choice(aliases, plugins)
        train, test = data.labels["train"], data.labels["test"]
        self.rows = np.concatenate(
            [random.permutation(np.flatnonzero(train == i))[: count[owner[i]]] for i in self.intents.tolist()]
        )
        self.owners = np.array([owner[i] for i in train[self.rows].tolist()])
        mine = np.isin(test, self.intents)
        whole = plugins == len(data.intents)
        self.meant = np.flatnonzero(mine) if whole else random.permutation(np.flatnonzero(mine))[:MESSAGES]
        self.truth = np.array([owner[i] for i in test[self.meant].tolist()])
        self.near = random.permutation(np.flatnonzero(~mine & np.isin(test, list(among))))[:MESSAGES]
        self.far = np.arange(1000) if whole else random.permutation(1000)[:MESSAGES]
        self.messages = {"meant": ("test", self.meant), "near": ("test", self.near), "far": ("oos_test", self.far)}


def unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-9)


def zoozl(data, draw):
    scorer = data.build(draw.rows, draw.owners.tolist())
    found = {}
    for kind, (part, which) in draw.messages.items():
        if len(which):
            rows = scorer.likeness.rows([data.letters[part][i] for i in which], data.vectors[part][which])
            found[kind] = scorer.model.scores(rows)
    return found, scorer.cut


def by_cosine(rule):
    def scores(data, draw):
        aliases = data.vectors["train"][draw.rows]
        cosines = {k: data.vectors[p][w] @ aliases.T for k, (p, w) in draw.messages.items() if len(w)}
        return {kind: rule(c, draw.owners, draw.plugins) for kind, c in cosines.items()}, 0.5

    return scores


def highest(cosines, owners, plugins):
    return np.stack([cosines[:, owners == i].max(axis=1) for i in range(plugins)], axis=1)


def mean_of_five_best(cosines, owners, plugins):
    """What semantic-router does by default: the five nearest aliases, their mean by plugin."""
    found = np.full((len(cosines), plugins), -1.0)
    for row, best in zip(range(len(cosines)), np.argsort(-cosines, axis=1)[:, :5], strict=True):
        for plugin in set(owners[best].tolist()):
            found[row, plugin] = cosines[row, best[owners[best] == plugin]].mean()
    return found


def plain_ridge(data, draw):
    """Kernel ridge regression without what zoozl adds: tau 0.3, lambda 0.1, centred on aliases and background."""
    aliases = data.vectors["train"][draw.rows]
    centre = (aliases.sum(axis=0) + 20 * data.background_vectors.mean(axis=0)) / (len(aliases) + 20)
    z = unit(aliases - centre)
    one_hot = np.eye(draw.plugins)[draw.owners]
    weights = np.linalg.solve(np.exp((z @ z.T - 1) / 0.3) + 0.1 * np.eye(len(z)), one_hot)
    return {
        kind: np.exp((unit(data.vectors[p][w] - centre) @ z.T - 1) / 0.3) @ weights
        for kind, (p, w) in draw.messages.items()
        if len(w)
    }, 0.5


SCORERS = {
    "zoozl": zoozl,
    "max cosine": by_cosine(highest),
    "mean of 5 best": by_cosine(mean_of_five_best),
    "plain ridge": plain_ridge,
}


def below(scores, others):
    others = np.sort(others)
    return (np.searchsorted(others, scores, "left") + np.searchsorted(others, scores, "right")) / 2 / len(others)


def measured(found, truth, strangers):
    """Accuracy, AUROC and OSCR."""
    best, right = found["meant"].max(axis=1), found["meant"].argmax(axis=1) == truth
    rank = below(best, found[strangers].max(axis=1))
    return np.array([right.mean(), rank.mean(), (rank * right).mean()]) * 100


def worth(found, truth, strangers, cut):
    """The mean of messages routed rightly and strangers refused."""
    best, right = found["meant"].max(axis=1), found["meant"].argmax(axis=1) == truth
    return ((right & (best >= cut)).mean() + (found[strangers].max(axis=1) < cut).mean()) * 50


def quality(data, seeds):
    print("all 150 intents as plugins, official out-of-scope messages: accuracy / AUROC / OSCR")
    for aliases in (1, 3, 5, 10):
        for name, scorer in SCORERS.items():
            draws = [Draw(data, seed, len(data.intents), (aliases,)) for seed in range(seeds)]
            runs = np.array([measured(scorer(data, draw)[0], draw.truth, "far") for draw in draws])
            shown = " / ".join(f"{m:.1f} ± {s:.1f}" for m, s in zip(runs.mean(0), runs.std(0), strict=True))
            print(f"  {aliases:2} aliases  {name:15} {shown}")


SHAPES = {
    "even": {"aliases": (5,)},
    "1 to 20 aliases": {"aliases": (1, 2, 3, 5, 8, 12, 20)},
    "4 intents each": {"aliases": (4,), "intents": (4,)},
    "1 to 8 intents": {"aliases": (4,), "intents": (1, 2, 4, 8)},
    "1 to 8 intents, one alias each": {"aliases": (1,), "intents": (1, 2, 4, 8)},
    "the same, 12 plugins": {"aliases": (1,), "intents": (1, 2, 4, 8), "plugins": 12},
    "1 to 8 intents of 1 to 8 aliases": {"aliases": (1, 2, 4, 8), "intents": (1, 2, 4, 8)},
}


def shapes(data, seeds):
    print(
        "shapes of tables, 30 plugins, means of twice the seeds: accuracy / OSCR far (official) / OSCR near (intents held out)"
    )
    for shape, how in SHAPES.items():
        for name, scorer in SCORERS.items():
            runs = []
            for seed in range(2 * seeds):
                draw = Draw(data, seed, **{"plugins": 30, **how})
                found = scorer(data, draw)[0]
                far, near = measured(found, draw.truth, "far"), measured(found, draw.truth, "near")
                runs.append((far[0], far[2], near[2]))
            print(f"  {shape:33} {name:15} " + " / ".join(f"{x:.1f}" for x in np.mean(runs, axis=0)))


def within_domains(data, seeds):
    if data.domains:
        print("one domain of 15 intents as a bot, 5 of them held out, 5 aliases: accuracy / OSCR near")
    for number, domain in enumerate(data.domains):
        shown = []
        for scorer in (zoozl, SCORERS["max cosine"], plain_ridge):
            draws = [Draw(data, seed, 10, (5,), among=domain) for seed in range(seeds)]
            runs = [measured(scorer(data, draw)[0], draw.truth, "near") for draw in draws]
            shown.append(" / ".join(f"{x:.1f}" for x in np.mean(runs, axis=0)[[0, 2]]))
        print(f"  domain {number}: zoozl {shown[0]}, max cosine {shown[1]}, plain ridge {shown[2]}")


def thresholds(data, seeds):
    print("automatic threshold: mean of routed rightly and refused, (best fixed cut in hindsight), gap")
    for plugins in (5, 20, 150):
        for aliases in (1, 3, 5, 10):
            gaps = {"far": [], "near": [], "both": []}
            for seed in range(seeds * {5: 5, 20: 2, 150: 1}[plugins]):
                draw = Draw(data, seed, plugins, (aliases,))
                found, cut = zoozl(data, draw)
                if "near" in found:
                    found["both"] = np.concatenate([found["far"], found["near"]])
                for kind, values in gaps.items():
                    if kind in found:
                        cuts = np.linspace(0.005, 0.6, 239)
                        best = max(worth(found, draw.truth, kind, c) for c in cuts)
                        values.append((worth(found, draw.truth, kind, cut), best))
            shown = []
            for kind, values in gaps.items():
                if values:
                    ours, best = np.mean(values, axis=0)
                    shown.append(f"{kind} {ours:.1f} ({best:.1f}) {best - ours:.1f}")
            print(f"  {plugins:3} plugins, {aliases:2} aliases: " + ", ".join(shown))


def seconds(function, times=1):
    start = time.perf_counter()
    for _ in range(times):
        result = function()
    return (time.perf_counter() - start) / times, result


def cost(data, _seeds):
    print("cost, on whatever threads numpy takes (set OMP_NUM_THREADS=1 for one)")
    order = np.random.default_rng(0).permutation(len(data.texts["train"]))
    messages = data.texts["test"][:200]
    vectors = data.vectors["test"][:200]
    model = np.median([seconds(lambda text=text: data.embedder.embed([text]))[0] for text in messages])
    print(f"  the model: {model * 1e3:.2f} ms a message")
    for size in (100, 1_000, 2_000, 10_000):
        rows = order[: size + 10]
        known, which = np.unique([data.texts["train"][i] for i in rows], return_index=True)
        rows = rows[np.sort(which)]
        owners = (np.arange(len(rows)) // 10).tolist()
        assert len(known) == len(rows)
        took, table = seconds(lambda rows=rows, owners=owners: data.build(rows[:-10], owners[:-10]))
        more, _ = seconds(lambda rows=rows, owners=owners, table=table: data.build(rows, owners, table))
        one = [
            seconds(lambda t=t, v=v, table=table: (table.literal(t), table.ranked(t, v)))[0]
            for t, v in zip(messages, vectors, strict=True)
        ]
        one = np.median(one)
        print(
            f"  {size:6} aliases: built in {took:.2f} s, ten more in {more * 1e3:.0f} ms, "
            f"a message {one * 1e3:.2f} ms = {1 + one / model:.2f} times the model alone"
        )


PARTS = {"quality": quality, "shapes": shapes, "domains": within_domains, "thresholds": thresholds, "cost": cost}


def main():
    if len(sys.argv) < 2:
        print("needs the folder of CLINC150: python tests/benchmarks/bench_routing.py PATH [SEEDS]")
        return
    data = Data(sys.argv[1])
    seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    for name in sys.argv[3:] or PARTS:
        PARTS[name](data, seeds)


if __name__ == "__main__":
    main()
