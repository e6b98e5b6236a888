"""JSON that is nearly what a platform sends: some of it is gone, or something else stands in its place."""

VALUES = [
    None,
    True,
    -1,
    1e308,
    "",
    "x",
    "\x00",
    "\ud800",
    "1.2",
    "9" * 400,
    "U1",
    [],
    {},
    [[]],
    {"type": []},
    {"id": 1},
]


def changed(value, chance, share=0.03):
    """A copy of `value`; `chance` is a random.Random, `share` how much of it is changed, and how much is gone."""
    if chance.random() < share:
        return chance.choice(VALUES)
    if isinstance(value, dict):
        return {key: changed(inner, chance, share) for key, inner in value.items() if chance.random() > share}
    return [changed(inner, chance, share) for inner in value] if isinstance(value, list) else value
