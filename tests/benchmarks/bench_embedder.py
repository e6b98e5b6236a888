"""The bundled embedder: what a new short text costs on one thread, alone against in company, load time, memory."""

import itertools
import random
import threading
import time

import numpy as np
import psutil

from zoozl.embedders.minilm import Embedder

ROUNDS, TEXTS = 5, 200
VERBS = ("please cancel", "I want to change", "could you check", "where can I find", "tell me about")
THINGS = ("my order", "the weather", "my flight", "an invoice", "the next bus", "my password", "a good pizza")
TAILS = ("for tomorrow", "in the city", "as soon as possible", "before lunch", "without any trouble")
ODD = ("", "?", "1234", "thank you", "👍", "Straßenbahn", "取消我的订单", "one long text " * 200)


def rss():
    return psutil.Process().memory_info().rss / 2**20


def report(name, seconds, goal=""):
    p50, p99 = (np.quantile(seconds, q) * 1e3 for q in (0.5, 0.99))
    print(f"{name:26} p50 {p50:.2f} ms  p99 {p99:.2f} ms{goal}")


def timed(embedder, texts):
    seconds = []
    for text in texts:
        start = time.perf_counter()
        embedder.embed([text])
        seconds.append(time.perf_counter() - start)
    return seconds


def main():
    before = rss()
    embedder = Embedder()
    start = time.perf_counter()
    embedder.load()
    print(f"{embedder.name}: load {time.perf_counter() - start:.2f} s, with the libraries' import")

    texts = [" ".join(words) for words in itertools.product(VERBS, THINGS, TAILS)]
    random.Random(1).shuffle(texts)
    texts = [f"{text} {number}" for number in range(2) for text in texts][:TEXTS]
    timed(embedder, texts[:20])
    print(f"memory {before:.0f} MB before, {rss():.0f} MB after load and 20 texts")

    rounds = [timed(embedder, texts) for _ in range(ROUNDS)]
    for seconds in rounds:
        report("a new text of ~10 tokens", seconds)
    report("all rounds", np.concatenate(rounds), " (goal: p50 <= 3 ms)")
    report("a text of 256 tokens", timed(embedder, ["where is my parcel " * 200] * 20))

    sample = [*texts[:50], *ODD]
    company = embedder.embed(sample)
    alone = np.concatenate([embedder.embed([text]) for text in sample])
    print(f"alone against in company   cosine min {(company * alone).sum(axis=1).min():.6f} (goal: >= 0.9999)")

    threads = [threading.Thread(target=timed, args=(embedder, ["another long text " * 200] * 20)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"memory {rss():.0f} MB after 80 long texts on 4 threads")


if __name__ == "__main__":
    main()
