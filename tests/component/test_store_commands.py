"""`zoozl store`: beside a running server, and without one."""

import asyncio
import json
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner
from websockets.sync.client import connect as websocket

from zoozl.chatbot import Address, Message
from zoozl.chatbot.message import Event, scope_key
from zoozl.chatbot.ports import Dialog, Entry, Outcome, Reply, State, Step
from zoozl.chatbot.question import Question
from zoozl.cli import main
from zoozl.errors import StoreError
from zoozl.stores.sqlite import Store
from zoozl.stores.sqlite.commands import PERSONAL, forget, retry
from zoozl.stores.sqlite.control import LONGEST_LINE, Control, ask

FAKES = Path(__file__).parents[1] / "fakes"
ZOOZL = [sys.executable, "-m", "zoozl"]


@pytest.fixture
def folder(tmp_path):
    """A bot's folder, with a configuration. Its path is short enough for a socket."""
    configure(tmp_path)
    return tmp_path


def configure(folder, store=""):
    folder.mkdir(exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "chatbot.toml").write_text(f'extensions = ["fake_plugins"]\nwebsocket_port = {port}\n{store}')
    return port


def environment():
    return {**os.environ, "PYTHONPATH": str(FAKES)}


def zoozl(folder, *arguments, code=0, stdin=""):
    """What `zoozl store ...` printed."""
    done = subprocess.run(
        [*ZOOZL, "store", *arguments, "--conf", "chatbot.toml"],
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stderr


class Started:
    """A server process."""

    def __init__(self, folder):
        self.folder = folder
        self.port = int((folder / "chatbot.toml").read_text().split("websocket_port = ")[1].split()[0])
        self.process = subprocess.Popen(
            [*ZOOZL, "--conf", "chatbot.toml"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        for line in self.process.stdout:
            if "Ctrl+C" in line:
                break
        else:
            raise AssertionError(self.process.stderr.read())

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.errors = self.process.communicate(timeout=20)[1]

    def say(self, *texts):
        """Talk to it as somebody new."""
        with websocket(f"ws://127.0.0.1:{self.port}/") as client:
            assert json.loads(client.recv(10))["text"] == "welcome"
            for text in texts:
                client.send(json.dumps({"text": text}))
                assert json.loads(client.recv(10))["text"] == f"echo {text}"


def exported(folder, *arguments):
    return [json.loads(line) for line in zoozl(folder, "export", *arguments).splitlines()]


def fill(path, *talkers, secret="secret"):
    """A store with a conversation, a message under way, a waiting reply and two dead letters of each talker."""

    async def make():
        store = await Store.open(path)
        for talker in talkers:
            address = Address("c", talker=talker)
            lane = scope_key(address)
            receipt = store.accept(Event(address, Message(f"{secret} {talker}")), lane)
            await receipt.acknowledged()
            replies = [
                Reply(store.next_number(), receipt.seq, n, lane, address, Message(f"{secret} reply", from_bot=True))
                for n in range(2)
            ]
            state = State("u", talker, "s", data=json.dumps({"x": secret}))
            await store.commit(Outcome(receipt, state, [receipt.event.message], replies))
            store.dead(replies[0], "gone")
            lost = store.accept(Event(address, Message(f"{secret} poison {talker}")), lane)
            await lost.acknowledged()
            await store.bury(lost, "it crashed", [])
            await store.accept(Event(address, Message(f"{secret} undone")), lane).acknowledged()
        await store.close()

    asyncio.run(make())


def rows(path, sql):
    db = sqlite3.connect(path)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


# Beside a running server


def test_beside_a_running_server(folder):
    with Started(folder) as server:
        server.say("my name is Anna", "I paint fences")
        server.say("another one")
        path = folder / "zoozl.db.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_ISSOCK(path.stat().st_mode)

        everything = exported(folder)
        anna = next(row["talker"] for row in everything if row.get("text") == "my name is Anna")
        assert [row["text"] for row in exported(folder, "--talker", anna) if row["type"] == "message"] == [
            "welcome",
            "my name is Anna",
            "echo my name is Anna",
            "I paint fences",
            "echo I paint fences",
        ]
        assert "conversation" in zoozl(folder, "stats")
        assert "ok" in zoozl(folder, "check")

        # A backup, which is not written over, and from which a second server starts.
        zoozl(folder, "backup", "copy.db")
        assert "is there already" in zoozl(folder, "backup", "copy.db", code=1)
        assert sorted(p.name for p in folder.iterdir() if "copy" in p.name) == ["copy.db"]
        assert stat.S_IMODE((folder / "copy.db").stat().st_mode) == 0o600

        shown = zoozl(folder, "forget", anna, "--dry-run")
        assert "message                5" in shown
        assert len(exported(folder, "--talker", anna)) > 0
        shown = zoozl(folder, "forget", anna, "--yes")
        assert "message                5" in shown
        assert exported(folder, "--talker", anna) == []
        assert len(exported(folder)) > 0
        assert b"Anna" not in (folder / "zoozl.db").read_bytes()
        assert b"Anna" not in (folder / "zoozl.db-wal").read_bytes()
        server.say("it goes on")

        other = folder / "other"
        configure(other, 'store = "sqlite:///../copy.db"\n')
        with Started(other) as second:
            second.say("fences of the copy")
            assert len(exported(other, "--talker", anna)) > 0
            assert "fences of the copy" not in zoozl(folder, "export")
        assert second.process.returncode == 0, second.errors
    assert server.process.returncode == 0, server.errors
    assert not path.exists()


def test_a_backup_while_the_server_writes_is_of_one_moment(folder):
    with Started(folder) as server:
        with websocket(f"ws://127.0.0.1:{server.port}/") as client:
            for number in range(50):
                client.send(json.dumps({"text": str(number)}))
            while json.loads(client.recv(10))["text"] != "echo 0":
                pass  # the first one waits for the model
            backing_up = threading.Thread(target=zoozl, args=(folder, "backup", "copy.db"))
            backing_up.start()
            while backing_up.is_alive():
                number += 1
                client.send(json.dumps({"text": str(number)}))
                client.recv(10)
            while json.loads(client.recv(10))["text"] != f"echo {number}":
                pass
    said = [
        int(t)
        for (t,) in rows(folder / "copy.db", "SELECT text FROM message WHERE NOT from_bot AND text != '' ORDER BY id")
    ]
    assert said == list(range(len(said)))
    assert said
    assert rows(folder / "copy.db", "PRAGMA integrity_check") == [("ok",)]


def test_dead_letters_through_the_server(folder):
    fill(folder / "zoozl.db", "anna")
    with Started(folder):
        listed = zoozl(folder, "dead", "list")
        assert ("it crashed" in listed, "gone" in listed) == (True, True)
        ids = [line.split()[0] for line in listed.splitlines()]
        assert "1 deleted" in zoozl(folder, "dead", "drop", ids[0])
        assert "no dead letter 999" in zoozl(folder, "dead", "drop", "999", code=1)
        assert "1 put back" in zoozl(folder, "dead", "retry", ids[1])
        zoozl(folder, "dead", "retry", code=2)


def test_after_a_kill_the_socket_is_replaced(folder):
    with Started(folder) as server:
        server.process.kill()
    assert (folder / "zoozl.db.sock").exists()
    assert "erased" in zoozl(folder, "forget", "nobody", "--yes"), "without a server, beside a socket of the dead one"
    with Started(folder):
        assert "erased" in zoozl(folder, "forget", "nobody", "--yes")


def test_a_path_too_long_for_a_socket_is_a_clear_message(tmp_path):
    folder = tmp_path / ("x" * 60) / ("y" * 60)
    folder.mkdir(parents=True)
    configure(folder)
    with Started(folder) as server:
        server.say("fences")
        assert "too long for a Unix socket" in zoozl(folder, "forget", "nobody", "--yes", code=1)
        zoozl(folder, "stats")
    assert "`zoozl store` can only read" in server.errors
    assert server.process.returncode == 0
    zoozl(folder, "forget", "nobody", "--yes")


# Without a server


def test_forgetting_erases_one_person_everywhere(folder):
    path = folder / "zoozl.db"
    fill(path, "anna", "bert", secret="XYZZY")
    assert path.read_bytes().count(b"XYZZY")
    assert "erased" in zoozl(folder, "forget", "-1001", "--yes"), "a name, and no option"
    shown = zoozl(folder, "forget", "anna", "--yes")
    for table, number in {"conversation": 1, "message": 1, "inbox": 1, "outbox": 1, "dead": 2}.items():
        assert f"{table:14}{number:>10}" in shown
        assert rows(path, f"SELECT DISTINCT talker FROM {table}") == [("bert",)]
    zoozl(folder, "forget", "bert", "--yes")
    assert b"XYZZY" not in path.read_bytes(), "nor does the file hold it in free pages"
    assert rows(path, "SELECT count(*) FROM value") == [(0,)]
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


def test_forgetting_asks_first(folder):
    fill(folder / "zoozl.db", "anna")
    assert "Aborted" in zoozl(folder, "forget", "anna", code=1, stdin="n\n")
    assert rows(folder / "zoozl.db", "SELECT count(*) FROM message") == [(1,)]
    zoozl(folder, "forget", "anna", stdin="y\n")
    assert rows(folder / "zoozl.db", "SELECT count(*) FROM message") == [(0,)]


def test_forgetting_in_one_channel_leaves_the_others(folder):
    fill(folder / "zoozl.db", "anna")
    zoozl(folder, "forget", "anna", "--channel", "d", "--yes")
    assert rows(folder / "zoozl.db", "SELECT count(*) FROM message") == [(1,)]
    zoozl(folder, "forget", "anna", "--channel", "c", "--yes")
    for table in PERSONAL:
        assert rows(folder / "zoozl.db", f"SELECT count(*) FROM {table}") == [(0,)]


def test_forgetting_leaves_what_others_said_in_the_room(folder):
    path = folder / "zoozl.db"
    room = {who: Address("c", room="r", thread="1", talker=who) for who in ("anna", "bert")}
    lane = scope_key(room["anna"])

    async def said(store, who, text):
        receipt = store.accept(Event(room[who], Message(text)), lane)
        answer = Message(f"answer to {text}", from_bot=True)
        state = State("u", "anna", "s", data='{"x": "secret"}')
        await store.commit(Outcome(receipt, state, [receipt.event.message, answer], []))

    async def talk(*lines):
        store = await Store.open(path)
        for who, text in lines:
            await said(store, who, text)
        found = await store.history(lane, 0, 100), await store.load(lane)
        await store.close()
        return found

    asyncio.run(talk(("anna", "XYZZY"), ("bert", "two"), ("anna", "three"), ("bert", "four")))
    zoozl(folder, "forget", "anna", "--yes")
    (left, total), (state, _, _) = asyncio.run(talk())
    assert [m.text for m in left] == ["two", "answer to two", "four", "answer to four"]
    assert total == 4
    assert (state.talker, state.subject, state.data) == ("", "", "{}")
    assert b"XYZZY" not in path.read_bytes()
    (left, total), _ = asyncio.run(talk(("bert", "five")))
    assert [m.text for m in left][-3:] == ["answer to four", "five", "answer to five"]
    assert total == 6


def waiting(number, address, *entries, talker=None, start='{"message": {"text": "XYZZY"}}', data='{"a": "XYZZY"}'):
    """A dialog that its address began, with a journal; `entries` are (turn, kind, value)."""
    question = Question(f"{number:x}", "Well?", talker=talker if talker is not None else address.talker)
    made = tuple(Entry(*entry) for entry in entries)
    return Step(Dialog(number, scope_key(address), "p:P", "/p", address, start, data, question, 5e9, len(made)), made)


def test_forgetting_ends_a_talkers_dialogs_and_those_in_which_he_has_answered(folder):
    path = folder / "zoozl.db"
    room = {who: Address("c", room="r", thread="1", talker=who) for who in ("anna", "bert", "carl")}
    lane = scope_key(room["anna"])

    async def make():
        store = await Store.open(path)
        turns = {}
        for who in ("bert", "anna", "carl"):
            receipt = store.accept(Event(room[who], Message(f"says {who}")), lane)
            turns[who] = receipt.seq
            await store.commit(Outcome(receipt, State("u", "", ""), [receipt.event.message], []))
        for step in (
            waiting(1001, Address("c", talker="anna"), (1, "answer", {"value": "XYZZY"})),
            waiting(1002, room["anna"], (turns["anna"], "ask", {})),
            waiting(1003, room["bert"], (turns["bert"], "ask", {}), (turns["anna"], "answer", {"value": "XYZZY"})),
            waiting(1004, room["bert"], (turns["carl"], "answer", {"value": "no"}), start="{}", data="{}"),
            waiting(1005, Address("d", talker="anna"), (1, "ask", {}), start="{}", data="{}"),
        ):
            await store.note(step)
        await store.close()

    asyncio.run(make())
    assert "dialog                 3" in zoozl(folder, "forget", "anna", "--channel", "c", "--yes")
    assert rows(path, "SELECT id FROM dialog ORDER BY id") == [(1004,), (1005,)]
    assert rows(path, "SELECT dialog FROM journal ORDER BY dialog") == [(1004,), (1005,)]
    assert b"XYZZY" not in path.read_bytes()
    assert "dialog                 1" in zoozl(folder, "forget", "anna", "--dry-run")
    zoozl(folder, "forget", "anna", "--yes")
    assert rows(path, "SELECT id FROM dialog") == [(1004,)]


def test_dialogs_are_exported_without_secrets(folder):
    async def make():
        store = await Store.open(folder / "zoozl.db")
        for number, who in ((7, "anna"), (8, "bert")):
            sealed = (1, "answer", {"sealed": "XYZZY"})
            await store.note(waiting(number, Address("c", talker=who), (1, "ask", {"prompt": "Token?"}), sealed))
        await store.close()

    asyncio.run(make())
    (dialog,) = exported(folder, "--talker", "anna")
    assert (dialog["type"], dialog["talker"], dialog["plugin"], dialog["question"]) == (
        "dialog", "anna", "p:P", "Well?",
    )  # fmt: skip
    assert dialog["deadline"] == "2128-06-11T08:53:20+00:00"
    assert dialog["journal"] == [["ask", {"prompt": "Token?"}], ["answer", {"value": "●●●"}]]
    assert "sealed" not in json.dumps(dialog)
    assert [row["talker"] for row in exported(folder)] == ["anna", "bert"]
    stats = zoozl(folder, "stats")
    assert "dialog                 2" in stats
    assert "journal                2" in stats
    assert "2 dialogs without a conversation" in zoozl(folder, "check")
    assert "0 journal entries without a dialog" in zoozl(folder, "check")


async def test_forgetting_lets_go_of_what_is_in_memory(store):
    address = Address("c", talker="t")
    await store.note(waiting(1, address, (1, "ask", {})))
    assert len((await store.load(scope_key(address))).dialogs) == 1
    told = []

    async def on_forget():
        told.append((await store.load(scope_key(address))).dialogs)

    async with Control(store, store.path, on_forget=on_forget):
        request = {"do": "forget", "talker": "t", "channel": None}
        answer = await asyncio.to_thread(ask, store.path, request, lambda *_: None)
    assert answer["counts"]["dialog"] == 1
    assert told == [()]
    # Its turn was under way: what it notes now has lost its beginning, and would be of no use.
    await store.note(Step(Dialog(1, scope_key(address), "p:P", "/p", address, "{}", entries=2), (Entry(2, "x", 1),)))
    assert await store.entries(1) == []


def test_dead_letters_are_put_back_for_the_next_start(folder):
    path = folder / "zoozl.db"
    fill(path, "anna", "bert")
    assert "next start" in zoozl(folder, "dead", "retry", "--all")
    assert rows(path, "SELECT count(*) FROM dead") == [(0,)]

    async def look():
        store = await Store.open(path)
        try:
            events = await store.unfinished()
            replies = await store.undelivered()
            assert [r.event.message.text for r in events][-2:] == ["secret poison anna", "secret poison bert"]
            # They come after all that somebody may have seen already.
            assert [r.n for r in replies] == [1, 1, 0, 0]
            assert len({r.key for r in replies}) == 4
            assert store.next_number() > max(r.seq for r in events)
            assert store.next_number() > max(r.id for r in replies)
        finally:
            await store.close()

    asyncio.run(look())


def test_export_to_a_file(folder):
    fill(folder / "zoozl.db", "anna")
    zoozl(folder, "export", "out.jsonl")
    lines = [json.loads(line) for line in (folder / "out.jsonl").read_text("utf-8").splitlines()]
    assert [(line["type"], line["talker"]) for line in lines] == [("conversation", "anna"), ("message", "anna")]
    assert stat.S_IMODE((folder / "out.jsonl").stat().st_mode) == 0o600
    assert "is there already" in zoozl(folder, "export", "out.jsonl", code=1)


def test_reading_changes_nothing(folder):
    path = folder / "zoozl.db"
    fill(path, "anna")
    before = path.read_bytes()
    for command in (["stats"], ["dead", "list"], ["export"], ["check"], ["forget", "anna", "--dry-run"]):
        zoozl(folder, *command)
    assert path.read_bytes() == before


def test_a_damaged_file_is_told(folder):
    path = folder / "zoozl.db"
    fill(path, *(f"talker {n}" for n in range(50)))
    content = bytearray(path.read_bytes())
    for page in range(20, len(content) // 4096):
        content[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(content)
    zoozl(folder, "check", code=1)


@pytest.mark.parametrize(
    "command", ["stats", "check", "export", "backup copy.db", "dead list", "dead drop 1", "forget x --yes"]
)
def test_what_is_not_there_is_told(folder, command, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def zoozl(folder, *arguments, code):
        done = CliRunner().invoke(main, ["store", *arguments, "--conf", "chatbot.toml"])
        assert done.exit_code == code
        return done.stderr

    assert "there is no store yet" in zoozl(folder, *command.split(), code=1)
    assert not (folder / "zoozl.db").exists()
    configure(folder, 'store = "memory"\n')
    assert "chatbot.toml:3: store: is in memory" in zoozl(folder, *command.split(), code=2)
    (folder / "chatbot.toml").write_text('websocket_port = 0\nstore = "sqlite:///theirs.db"\n')
    with sqlite3.connect(folder / "theirs.db") as db:
        db.execute("CREATE TABLE theirs (x)")
    db.close()
    assert "another program's database" in zoozl(folder, *command.split(), code=1)


def test_without_a_configuration_there_is_no_store(tmp_path):
    done = subprocess.run([*ZOOZL, "store", "stats"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "--conf" in done.stderr


# The socket


def beside(store):
    return store.path.with_name("zoozl.db.sock")


async def talk(path, data):
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(data)
    try:
        return [json.loads(line) async for line in reader]
    finally:
        writer.close()


@pytest.fixture
async def store(tmp_path):
    store = await Store.open(tmp_path / "zoozl.db")
    yield store
    await store.close()


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"no json\n",
        b"[]\n",
        b'{"do": "format"}\n',
        b'{"do": "forget"}\n',
        b'{"do": "forget", "talker": "\\ud800"}\n',
        b'{"do": "drop", "ids": "1"}\n',
        b'{"do": "drop", "ids": [true]}\n',
        b"x" * (LONGEST_LINE + 10),
    ],
)
async def test_nonsense_is_refused_and_the_server_goes_on(store, line):
    async with Control(store, store.path):
        assert "error" in (await talk(beside(store), line))[-1]
        answer = await asyncio.to_thread(ask, store.path, {"do": "drop", "ids": [2**80]}, lambda *_: None)
        assert answer == {"changed": 0, "missing": [2**80]}


async def test_a_file_in_the_place_of_the_socket_is_left_alone(store, caplog):
    beside(store).write_text("mine")
    async with Control(store, store.path):
        pass
    assert beside(store).read_text() == "mine"
    assert "is not a socket" in caplog.text


async def test_a_retry_is_told_to_the_bot(store):
    address = Address("c", talker="t")
    receipt = store.accept(Event(address, Message("poison")), scope_key(address))
    await store.bury(receipt, "e", [])
    told = []

    async def on_retry():
        told.append([r.event.message.text for r in await store.unfinished()])

    async with Control(store, store.path, on_retry):
        answer = await asyncio.to_thread(ask, store.path, {"do": "retry", "ids": None}, lambda *_: None)
    assert answer == {"changed": 1, "missing": [], "taken_up": True}
    assert told == [["poison"]]


async def test_a_message_that_is_in_the_history_is_not_put_there_again(store):
    address = Address("c", talker="t")
    lane = scope_key(address)
    receipt = store.accept(Event(address, Message("poison")), lane)
    reply = Reply(store.next_number(), receipt.seq, 0, lane, address, Message("one moment", from_bot=True))
    await store.record([reply], [receipt.event.message, reply.message])
    await store.bury(receipt, "e", [])
    await retry(store, None, lambda *_: None)
    (again,) = await store.unfinished()
    assert (again.archived, again.replied, again.attempts) == (True, 0, 0)
    assert again.seq > receipt.seq


async def test_forgetting_goes_on_while_others_write(store):
    address = Address("c", talker="t")
    for number in range(20):
        receipt = store.accept(Event(address, Message(f"old {number}" * 100)), scope_key(address))
        await store.commit(Outcome(receipt, State("u", "t", "s"), [receipt.event.message], []))
    await store.load(scope_key(address))
    other = Address("c", talker="o")
    forgetting = asyncio.ensure_future(forget(store, "t", None, lambda *_: None))
    accepted = []
    while not forgetting.done():
        receipt = store.accept(Event(other, Message("new"), (f"k{len(accepted)}",)), scope_key(other))
        assert await receipt.acknowledged()
        await store.commit(Outcome(receipt, State("u", "o", "s"), [receipt.event.message], []))
        accepted.append(receipt)
    assert (await forgetting)["counts"]["message"] == 20
    assert await store.load(scope_key(address)) == (None, [], ())
    count = await store.run(lambda db: db.execute("SELECT count(*) FROM message").fetchone()[0])
    assert count == len(accepted) > 0


async def test_an_error_outside_of_a_transaction_hurts_nobody_else(store):
    with pytest.raises(StoreError):
        await store.apart(lambda db: db.execute("nonsense"))
    assert await store.accept(Event(Address("c", talker="t"), Message("m")), "lane").acknowledged()
