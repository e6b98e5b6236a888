-- Conversations: one small row each. `last` is its newest message, 0 for none.
CREATE TABLE conversation (
    id INTEGER PRIMARY KEY,
    lane TEXT NOT NULL UNIQUE,
    uuid TEXT NOT NULL,
    channel TEXT NOT NULL,
    talker TEXT NOT NULL,
    subject TEXT NOT NULL,
    greeted INTEGER NOT NULL,
    data TEXT NOT NULL,
    at REAL NOT NULL,
    last INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX conversation_at ON conversation (at);
CREATE INDEX conversation_talker ON conversation (talker);

-- What was said, by both sides: appended, never rewritten. `earlier` is the message before it in its conversation, 0
-- for the first, and `n` counts them. There is no index: an entry in the middle of one, for every message, costs more
-- than all the rest of its turn. `parts` only where it is more than one text.
CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL,
    earlier INTEGER NOT NULL,
    n INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    talker TEXT NOT NULL,
    from_bot INTEGER NOT NULL,
    author TEXT NOT NULL,
    at REAL NOT NULL,
    platform_id TEXT NOT NULL,
    text TEXT NOT NULL,
    parts TEXT
);

-- Conversations that are gone; their messages, from `last` on, follow a little at a time.
CREATE TABLE gone (conversation INTEGER PRIMARY KEY, last INTEGER NOT NULL);

-- Dialogs that wait: one row each, and what has happened in them so far.
CREATE TABLE dialog (
    id INTEGER PRIMARY KEY, -- the number of the event that began it
    lane TEXT NOT NULL,
    talker TEXT NOT NULL,
    plugin TEXT NOT NULL,
    alias TEXT NOT NULL,
    address TEXT NOT NULL,
    start TEXT NOT NULL,
    data TEXT NOT NULL,
    question TEXT, -- NULL while it sleeps
    question_id TEXT,
    deadline REAL,
    at REAL NOT NULL,
    last INTEGER NOT NULL -- the end of its journal
);
CREATE INDEX dialog_lane ON dialog (lane);
CREATE INDEX dialog_deadline ON dialog (deadline) WHERE deadline IS NOT NULL;
CREATE INDEX dialog_question ON dialog (question_id) WHERE question_id IS NOT NULL;
CREATE INDEX dialog_talker ON dialog (talker);
-- A chain like the messages: what is added to many dialogs at once stands together, and there is no index to keep.
CREATE TABLE journal (
    id INTEGER PRIMARY KEY,
    dialog INTEGER NOT NULL,
    earlier INTEGER NOT NULL, -- 0: the first one
    n INTEGER NOT NULL, -- of the first of its entries
    entries TEXT NOT NULL
);

-- Events that were accepted and are not done.
CREATE TABLE inbox (
    seq INTEGER PRIMARY KEY,
    lane TEXT NOT NULL,
    talker TEXT NOT NULL,
    event TEXT NOT NULL,
    at REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    replied INTEGER NOT NULL DEFAULT 0,
    archived INTEGER NOT NULL DEFAULT 0
);

-- Every key under which an event was taken.
CREATE TABLE dedup (
    channel TEXT NOT NULL,
    key TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (channel, key)
) WITHOUT ROWID;
CREATE INDEX dedup_at ON dedup (channel, at);

-- Replies that were recorded and are not delivered, in the order of `id`.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL,
    n INTEGER NOT NULL,
    lane TEXT NOT NULL,
    talker TEXT NOT NULL,
    address TEXT NOT NULL,
    message TEXT NOT NULL,
    at REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at REAL NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT ''
);
-- No index by lane: what waits is little, and every reply passes through here.

-- Events and replies that were given up.
CREATE TABLE dead (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('event', 'reply')),
    seq INTEGER NOT NULL,
    n INTEGER NOT NULL,
    lane TEXT NOT NULL,
    talker TEXT NOT NULL,
    address TEXT NOT NULL,
    payload TEXT NOT NULL,
    error TEXT NOT NULL,
    at REAL NOT NULL,
    archived INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX dead_at ON dead (at);

CREATE TABLE value (
    space TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (space, key)
) WITHOUT ROWID;

-- Numbers up to this one may have been given out.
CREATE TABLE counter (high INTEGER NOT NULL);
INSERT INTO counter VALUES (0);
