"""The vault in the store's file: forgetting, exporting, and new keys, beside a running server and without one."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest

from zoozl import config
from zoozl.chatbot.message import Address
from zoozl.chatbot.vault import Vault
from zoozl.cipher import FernetCipher, new_key, of_config, read_keys, write_key
from zoozl.errors import StoreError, VaultError
from zoozl.server import serving
from zoozl.stores.sqlite import Store
from zoozl.stores.sqlite.control import Control, ask
from zoozl.stores.sqlite.rotation import ROWS, rotate

ANNA = Address("c", account="T:1", talker="anna")
BERT = Address("c", account="T:1", talker="anna:bert")
SECRET = "xyzzy-token"
OLD, NEW = new_key(), new_key()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A bot's folder with a key file. Its path is short enough for a socket."""
    (tmp_path / "chatbot.toml").write_text(
        "websocket_port = 0\nextensions = ['zoozl.plugins.pong']\n[vault]\nkey_file = 'vault.key'\n"
    )
    write_key(tmp_path / "vault.key")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def zoozl(*arguments, code=0, conf=True):
    """What a command printed, to standard error if it fails."""
    command = [sys.executable, "-m", "zoozl", *arguments, *(["--conf", "chatbot.toml"] if conf else [])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stderr


async def zoozl_beside(*arguments, code=0):
    """The same while this process serves."""
    command = [sys.executable, "-m", "zoozl", *arguments, "--conf", "chatbot.toml"]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode == code, err
    return (out if code == 0 else err).decode()


@asynccontextmanager
async def opened(path):
    store = await Store.open(path)
    try:
        yield store
    finally:
        await store.close()


def keep(path, cipher, *addresses, plugins=("GitHub", "Mail")):
    """A store with the secret `token` of these talkers in the vaults of two plugins."""

    async def make():
        async with opened(path) as store:
            for plugin in plugins:
                for address in addresses:
                    await Vault(store, plugin, cipher).add_key(address, "token", f"{SECRET} of {address.talker}")

    asyncio.run(make())


def kept(path, cipher, *addresses):
    """What the vault of a plugin gives."""

    async def look():
        async with opened(path) as store:
            return [await Vault(store, "GitHub", cipher).get_key(address, "token") for address in addresses]

    return asyncio.run(look())


def rows(path, sql):
    db = sqlite3.connect(path)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def cipher_of(folder):
    return of_config(config.load(folder / "chatbot.toml", {}))


async def test_the_file_has_names_and_no_values(tmp_path):
    path = tmp_path / "zoozl.db"
    async with opened(path) as store:
        await Vault(store, "GitHub", FernetCipher([OLD])).add_key(ANNA, "token", SECRET)
        await store.apart(lambda db: db.execute("PRAGMA wal_checkpoint(FULL)").fetchall())
        written = path.read_bytes() + (tmp_path / "zoozl.db-wal").read_bytes()
    assert b"token" in written
    assert SECRET.encode() not in written


# Forgetting and exporting


def test_forgetting_a_talker_erases_their_secrets_and_no_others(folder):
    path, cipher = folder / "zoozl.db", cipher_of(folder)
    other = Address("d", talker="anna")
    keep(path, cipher, ANNA, BERT, other)
    sealed = [value for (value,) in rows(path, "SELECT value FROM value WHERE key LIKE 'anna:%'")]
    assert len(sealed) == 4
    assert "vault                  4" in zoozl("store", "forget", "anna", "--dry-run")
    assert "vault                  2" in zoozl("store", "forget", "anna", "--channel", "d", "--yes")
    assert kept(path, cipher, ANNA, BERT, other) == [f"{SECRET} of anna", f"{SECRET} of anna:bert", None]
    assert "vault                  2" in zoozl("store", "forget", "anna", "--yes")
    assert kept(path, cipher, ANNA, BERT, other) == [None, f"{SECRET} of anna:bert", None]
    content = path.read_bytes()
    assert not any(value.encode() in content for value in sealed), "nor does the file hold it in free pages"


def test_forgetting_leaves_the_memory_of_plugins(folder):
    async def make():
        async with opened(folder / "zoozl.db") as store:
            await store.put("GitHub", "anna:c::token", "1")

    asyncio.run(make())
    zoozl("store", "forget", "anna", "--yes")
    assert rows(folder / "zoozl.db", "SELECT value FROM value WHERE space = 'GitHub'") == [("1",)]


def test_an_export_shows_names_and_no_values(folder):
    keep(folder / "zoozl.db", cipher_of(folder), ANNA, BERT)
    exported = [json.loads(line) for line in zoozl("store", "export", "--talker", "anna").splitlines()]
    common = {"type": "secret", "talker": "anna", "channel": "c", "account": "T:1", "name": "token", "value": "●●●"}
    assert exported == [{**common, "plugin": "GitHub"}, {**common, "plugin": "Mail"}]
    everything = zoozl("store", "export")
    assert len(everything.splitlines()) == 4
    assert SECRET not in everything
    assert "gAAAAA" not in everything


# New keys


def keep_and_remove(path, cipher, value):
    """What the file held of a secret that is gone."""

    async def make():
        async with opened(path) as store:
            vault = Vault(store, "GitHub", cipher)
            await vault.add_key(ANNA, "long ago", value)
            (key,) = await store.keys("vault:GitHub", "anna:c:T%3A1:long")
            sealed = await store.get("vault:GitHub", key)
            await vault.remove_key(ANNA, "long ago")
            return sealed

    return asyncio.run(make())


def test_rotating_in_a_file_that_nobody_serves(folder):
    path, before = folder / "zoozl.db", cipher_of(folder)
    keep(path, before, ANNA, BERT)
    sealed = [value for (value,) in rows(path, "SELECT value FROM value")]
    sealed.append(keep_and_remove(path, before, "x" * 20_000)[-1000:])
    assert all(value.encode() in path.read_bytes() for value in sealed)
    assert "the first key is new" in zoozl("vault", "new-key", "vault.key", conf=False)
    assert zoozl("vault", "rotate").startswith("4 sealed with the first key, 0 were before\n")
    (new, _) = read_keys(folder / "vault.key")
    assert kept(path, FernetCipher([new]), ANNA, BERT) == [f"{SECRET} of anna", f"{SECRET} of anna:bert"]
    with pytest.raises(VaultError, match="no key of"):
        kept(path, before, ANNA)
    content = path.read_bytes()
    assert not any(value.encode() in content for value in sealed), "whoever has the old key finds nothing"
    assert zoozl("vault", "rotate").startswith("0 sealed with the first key, 4 were before\n")


def test_what_no_key_opens_stays_and_is_told(folder):
    path = folder / "zoozl.db"
    keep(path, FernetCipher([NEW]), ANNA, plugins=["GitHub"])
    keep(path, cipher_of(folder), BERT, plugins=["GitHub"])
    write_key(folder / "vault.key")
    assert "1 could not be opened by any key" in zoozl("vault", "rotate", code=1)
    assert kept(path, FernetCipher([NEW]), ANNA) == [f"{SECRET} of anna"]
    assert kept(path, cipher_of(folder), BERT) == [f"{SECRET} of anna:bert"]


async def test_rotating_goes_over_any_number_of_rows_and_what_is_added_meanwhile(tmp_path):
    cipher = FernetCipher([NEW, OLD])
    async with opened(tmp_path / "zoozl.db") as store:
        before, vault = Vault(store, "GitHub", FernetCipher([OLD])), Vault(store, "GitHub", cipher)
        many = [Address("c", talker=f"talker {n}") for n in range(2 * ROWS + 1)]
        await asyncio.gather(*(before.add_key(address, "token", SECRET) for address in many))
        await store.put("GitHub", "gAAAAA", "not sealed")
        told = []
        done, _ = await asyncio.gather(
            rotate(store, cipher, cipher.fingerprint, lambda *progress: told.append(progress)),
            asyncio.gather(*(vault.add_key(address, "token", "newer") for address in many[::2])),
        )
        assert done["renewed"] + done["current"] == len(many)
        assert done["failed"] == 0
        assert told[-1] == (len(many), len(many))
        after = Vault(store, "GitHub", FernetCipher([NEW]))
        found = [await after.get_key(address, "token") for address in many]
        assert found == [SECRET if n % 2 else "newer" for n in range(len(many))]
        assert await store.get("GitHub", "gAAAAA") == "not sealed"


async def test_secrets_in_journals_are_sealed_anew_and_other_entries_stay(tmp_path):
    cipher = FernetCipher([NEW, OLD])
    async with opened(tmp_path / "zoozl.db") as store:
        vault, look_alike = Vault(store, "GitHub", FernetCipher([OLD])), FernetCipher([new_key()]).encrypt("x")
        entries = ["a", {"secret": vault.seal("one", "1")}, look_alike, vault.seal("two"), f"x {vault.seal('three')}"]
        text = json.dumps(entries)
        await store.run(
            lambda db: db.execute("INSERT INTO journal VALUES (1, 1, 0, 0, ?), (2, 1, 1, 5, '[]')", (text,)).rowcount
        )
        done = await rotate(store, cipher, cipher.fingerprint, lambda *_: None)
        assert (done["renewed"], done["current"], done["failed"]) == (2, 0, 0)
        ((after,), (other,)) = await store.run(
            lambda db: db.execute("SELECT entries FROM journal ORDER BY n").fetchall()
        )
        opened_now, found = Vault(store, "GitHub", FernetCipher([NEW])), json.loads(after)
        assert opened_now.open(found[1]["secret"], "1") == "one"
        assert opened_now.open(found[3]) == "two"
        assert [found[0], found[2], found[4], other] == ["a", entries[2], entries[4], "[]"]


async def test_the_running_server_rotates_and_goes_on(folder):
    await asyncio.to_thread(write_key, folder / "vault.key")
    new, old = await asyncio.to_thread(read_keys, folder / "vault.key")
    loaded = await asyncio.to_thread(config.load, folder / "chatbot.toml", {})
    async with serving(loaded) as server:
        store, view = server.bot.root.store, server.bot.root.of_plugin("GitHub", "github")
        await Vault(store, "GitHub", FernetCipher([old])).add_key(ANNA, "token", SECRET)
        assert await view.vault.get_key(ANNA, "token") == SECRET
        assert "vault" not in view.conf
        assert (await zoozl_beside("vault", "rotate")).startswith("1 sealed with the first key, 0 were before\n")
        assert await Vault(store, "GitHub", FernetCipher([new])).get_key(ANNA, "token") == SECRET
        # Somebody adds a key and does not restart: nothing is sealed with what the server does not know.
        await asyncio.to_thread(write_key, folder / "vault.key")
        assert "restart it first" in await zoozl_beside("vault", "rotate", code=1)
        assert await view.vault.get_key(ANNA, "token") == SECRET


async def test_a_server_without_a_key_refuses_to_rotate(tmp_path):
    async with opened(tmp_path / "zoozl.db") as store, Control(store, store.path):
        for request, why in (
            ({"do": "rotate", "key": FernetCipher([NEW]).fingerprint}, "restart it first"),
            ({"do": "rotate", "key": None}, "must be a string"),
        ):
            with pytest.raises(StoreError, match=why):
                await asyncio.to_thread(ask, store.path, request, lambda *_: None)


# The commands


def test_rotating_needs_a_key_and_a_store(folder):
    assert "there is no store yet" in zoozl("vault", "rotate", code=1)
    (folder / "chatbot.toml").write_text("websocket_port = 0\n")
    assert "vault: there is no key" in zoozl("vault", "rotate", code=2)
    (folder / "chatbot.toml").write_text("websocket_port = 0\n[vault]\nkey_file = 'no.key'\n")
    assert "chatbot.toml:3: vault.key_file: " in zoozl("vault", "rotate", code=2)
    (folder / "chatbot.toml").write_text(f"websocket_port = 0\nstore = 'memory'\n[vault]\nkey = '{OLD}'\n")
    assert "is in memory" in zoozl("vault", "rotate", code=2)


def test_a_new_key_can_be_used_at_once(folder, monkeypatch):
    (folder / "chatbot.toml").write_text("websocket_port = 0\n")
    monkeypatch.setenv("ZOOZL_VAULT__KEY", zoozl("vault", "new-key", conf=False).strip())
    keep(folder / "zoozl.db", of_config(config.load("chatbot.toml", os.environ)), ANNA)
    assert "4 were before" not in zoozl("vault", "rotate")
    assert '[vault]\nkey_file = "own.key"' in zoozl("vault", "new-key", "own.key", conf=False)
    assert "cannot be written" in zoozl("vault", "new-key", "no/own.key", conf=False, code=1)


async def test_a_server_does_not_start_with_a_key_file_that_others_may_read(folder):
    (folder / "vault.key").chmod(0o644)
    assert "chatbot.toml:4: vault.key_file: " in (told := await zoozl_beside("serve", code=2))
    assert "chmod 600" in told
