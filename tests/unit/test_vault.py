"""Secrets of talkers: whose they are, what the store gets to see, and which keys open them."""

import asyncio
import json
import logging
import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoozl import config, redaction
from zoozl.chatbot import Conversation, Interface, InterfaceRoot, Package
from zoozl.chatbot.message import Address
from zoozl.chatbot.vault import LONGEST_VALUE, SPACE, Entry, Vault, prefix
from zoozl.cipher import FernetCipher, new_key, of_config, read_keys, write_key
from zoozl.errors import ConfigError, ExtensionError, VaultError
from zoozl.stores.memory import Store
from zoozl.testing import Bot

ANNA = Address("slack", account="T1", talker="anna")
SECRET = "ghp_abcdefgh"


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def cipher():
    return FernetCipher([new_key()])


@pytest.fixture
def vault(store, cipher):
    return Vault(store, "GitHub", cipher)


# Whose


async def test_a_secret_is_kept_and_removed(vault):
    assert await vault.get_key(ANNA, "token") is None
    assert not await vault.has_key(ANNA, "token")
    await vault.add_key(ANNA, "token", SECRET)
    assert await vault.get_key(ANNA, "token") == SECRET
    assert await vault.has_key(ANNA, "token")
    assert not await vault.has_key(ANNA, "other")
    await vault.add_key(ANNA, "token", "newer")
    assert await vault.get_key(ANNA, "token") == "newer"
    await vault.remove_key(ANNA, "token")
    await vault.remove_key(ANNA, "token")
    assert await vault.get_key(ANNA, "token") is None


async def test_it_belongs_to_the_talker_of_the_package_wherever_they_speak(vault):
    room = Address("slack", account="T1", room="C7", thread="9", talker="anna")
    package = Package(Conversation(talker="who began the thread"), print, address=room)
    await vault.add_key(package, "token", SECRET)
    assert await vault.get_key(ANNA, "token") == SECRET


@pytest.mark.parametrize(
    "other",
    [
        Address("slack", account="T1", talker="bert"),
        Address("slack", account="T2", talker="anna"),
        Address("email", account="T1", talker="anna"),
        Address("slack:T1", talker="anna"),
        Address("slack", account="T1:token", talker="anna"),
        Address("T1", account="slack", talker="anna"),
    ],
)
async def test_nobody_else_gets_it(vault, other):
    await vault.add_key(ANNA, "token", SECRET)
    assert await vault.get_key(other, "token") is None


async def test_another_plugin_does_not_get_it(vault, store, cipher):
    await vault.add_key(ANNA, "token", SECRET)
    assert await Vault(store, "Other", cipher).get_key(ANNA, "token") is None


PARTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8) | st.sampled_from(["a:b", "%3A", ":"])
ENTRIES = st.builds(Entry, PARTS, PARTS, PARTS, PARTS)


@given(ENTRIES, ENTRIES)
def test_no_two_places_share_a_key(one, other):
    assert Entry.of_key(one.key) == one
    assert (one.key == other.key) == (one == other)
    assert one.key.startswith(prefix(one.talker, one.channel))
    assert one.key.startswith(prefix(other.talker)) == (one.talker == other.talker)


@pytest.mark.parametrize("name", ["", "x" * 129, "a\nb", "\ud800"])
async def test_a_name_that_cannot_be_shown_is_refused(vault, name):
    with pytest.raises(ValueError, match="a name must have 1 to 128 characters"):
        await vault.add_key(ANNA, name, SECRET)


async def test_an_address_without_a_talker_is_refused(vault):
    with pytest.raises(ValueError, match="names no talker"):
        await vault.add_key(Address("slack", room="C7"), "token", SECRET)


async def test_values_are_texts_within_bounds(vault):
    longest = "é" * (LONGEST_VALUE // 2)
    await vault.add_key(ANNA, "token", longest)
    assert await vault.get_key(ANNA, "token") == longest
    for value in ("", longest + "x"):
        with pytest.raises(ValueError, match=f"1 to {LONGEST_VALUE} bytes"):
            await vault.add_key(ANNA, "token", value)
    with pytest.raises(ValueError, match="not valid Unicode") as caught:
        await vault.add_key(ANNA, "token", f"{SECRET}\ud800")
    assert SECRET not in redaction.format_exception(caught.value)
    for value in (b"x", None, 1):
        with pytest.raises(TypeError, match="must be str"):
            await vault.add_key(ANNA, "token", value)
    with pytest.raises(TypeError, match="a name must be str"):
        await vault.add_key(ANNA, 1, SECRET)
    assert await vault.get_key(ANNA, "token") == longest


# What the store sees


async def test_the_store_sees_the_name_only(vault, store, caplog):
    caplog.set_level(logging.DEBUG)
    await vault.add_key(ANNA, "token", SECRET)
    await vault.get_key(ANNA, "token")
    (key,) = await store.keys("vault:GitHub", "")
    assert Entry.of_key(key) == ("anna", "slack", "T1", "token")
    sealed = await store.get("vault:GitHub", key)
    assert SECRET not in sealed
    await vault.add_key(ANNA, "token", SECRET)
    assert await store.get("vault:GitHub", key) != sealed, "never the same twice"
    assert SECRET not in caplog.text + repr(vault) + repr(vault.cipher)


async def moved(store, to_space, to_key):
    (key,) = await store.keys("vault:GitHub", "")
    await store.put(to_space, to_key, await store.get("vault:GitHub", key))


@pytest.mark.parametrize(
    ("plugin", "whose", "name"),
    [
        ("GitHub", Address("slack", account="T1", talker="mallory"), "token"),
        ("GitHub", ANNA, "shown to everybody"),
        ("Mallory", ANNA, "token"),
    ],
)
async def test_a_row_that_was_copied_elsewhere_does_not_open(vault, store, cipher, plugin, whose, name):
    await vault.add_key(ANNA, "token", SECRET)
    entry = Entry(whose.talker, whose.channel, whose.account, name)
    await moved(store, SPACE + plugin, entry.key)
    with pytest.raises(VaultError, match="sealed for another place") as caught:
        await Vault(store, plugin, cipher).get_key(whose, name)
    assert SECRET not in redaction.format_exception(caught.value)


async def test_a_changed_row_does_not_open(vault, store):
    await vault.add_key(ANNA, "token", SECRET)
    (key,) = await store.keys("vault:GitHub", "")
    sealed = await store.get("vault:GitHub", key)
    for changed in ("", "é", '"', sealed[:-10], sealed[:40] + ("A" if sealed[40] != "A" else "B") + sealed[41:]):
        await store.put("vault:GitHub", key, changed)
        with pytest.raises(VaultError, match=r"GitHub cannot open 'token': no key of \[vault\] fits"):
            await vault.get_key(ANNA, "token")


def test_what_is_sealed_opens_for_the_same_place_only(vault, store, cipher):
    sealed = vault.seal(SECRET, "lane 1")
    assert SECRET not in sealed
    assert sealed.isascii()
    assert vault.open(sealed, "lane 1") == SECRET
    assert vault.open(vault.seal("")) == ""
    for opened in (
        lambda: vault.open(sealed),
        lambda: vault.open(sealed, "lane 2"),
        lambda: Vault(store, "Other", cipher).open(sealed, "lane 1"),
    ):
        with pytest.raises(VaultError, match="sealed for another place"):
            opened()


async def test_a_sealed_text_is_no_key(vault, store):
    entry = Entry("anna", "slack", "T1", "token")
    await store.put("vault:GitHub", entry.key, vault.seal(SECRET, entry.key))
    with pytest.raises(VaultError, match="sealed for another place"):
        await vault.get_key(ANNA, "token")


# Keys


async def test_without_a_key_the_error_names_the_setting(store, vault):
    await vault.add_key(ANNA, "token", SECRET)
    keyless = Vault(store, "GitHub", None)
    for act in (
        lambda: keyless.add_key(ANNA, "token", SECRET),
        lambda: keyless.get_key(ANNA, "token"),
        lambda: keyless.has_key(ANNA, "token"),
        lambda: asyncio.to_thread(keyless.seal, SECRET),
        lambda: asyncio.to_thread(keyless.open, SECRET),
    ):
        with pytest.raises(VaultError, match=r"GitHub has no key: set `key` or `key_file` in \[vault\]") as caught:
            await act()
        assert "ZOOZL_VAULT__KEY" in str(caught.value)
        assert SECRET not in str(caught.value)
    await keyless.remove_key(ANNA, "token")
    assert not await vault.has_key(ANNA, "token")


async def test_a_wrong_key_is_told_without_any_secret(store, vault):
    await vault.add_key(ANNA, "token", SECRET)
    key = new_key()
    with pytest.raises(VaultError, match=r"no key of \[vault\] fits") as caught:
        await Vault(store, "GitHub", FernetCipher([key])).get_key(ANNA, "token")
    shown = redaction.format_exception(caught.value)
    assert SECRET not in shown
    assert key not in shown


def test_the_first_key_seals_and_all_open():
    old, new = new_key(), new_key()
    before, both, after = FernetCipher([old]), FernetCipher([new, old]), FernetCipher([new])
    sealed = before.encrypt("x")
    assert both.decrypt(sealed) == "x"
    assert after.decrypt(both.encrypt("x")) == "x"
    renewed = both.renew(sealed)
    assert after.decrypt(renewed) == "x"
    assert both.renew(renewed) is None
    with pytest.raises(VaultError):
        after.renew(sealed)
    assert both.fingerprint == after.fingerprint != before.fingerprint
    assert new not in repr(both) + both.fingerprint


# The configuration


def configured(tmp_path, toml="", environ=None):
    file = tmp_path / "chatbot.toml"
    file.write_text(f"websocket_port = 1601\n{toml}")
    return config.load(file, environ or {})


def test_a_key_of_the_environment(tmp_path):
    key, old, older = new_key(), new_key(), new_key()
    conf = configured(tmp_path, "", {"ZOOZL_VAULT__KEY": key, "ZOOZL_VAULT__OLD_KEYS": f"{old},{older}"})
    cipher = of_config(conf)
    assert [cipher.decrypt(FernetCipher([k]).encrypt("x")) for k in (key, old, older)] == ["x"] * 3
    assert cipher.fingerprint == FernetCipher([key]).fingerprint
    for secret in (key, old, older):
        assert secret not in repr(conf)
        assert redaction.clean(f"it is {secret}") == "it is ***"


def test_no_table_no_cipher(tmp_path):
    assert of_config(configured(tmp_path)) is None
    assert of_config(configured(tmp_path, "[vault]")) is None


def test_keys_of_a_file_beside_the_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    assert write_key(tmp_path / "vault.key")
    (tmp_path / "conf").mkdir()
    cipher = of_config(configured(tmp_path / "conf", "[vault]\nkey_file = '../vault.key'"))
    (key,) = read_keys(tmp_path / "vault.key")
    assert FernetCipher([key]).decrypt(cipher.encrypt("x")) == "x"


@pytest.mark.parametrize(
    ("toml", "why"),
    [
        ("key = '{bad}'", "chatbot.toml:3: vault.key: is no key of the vault: `zoozl vault new-key` makes one"),
        ("key = ''", "chatbot.toml:3: vault.key: is no key of the vault"),
        ("key = '{good}'\nold_keys = ['{good}', '{bad}']", "chatbot.toml:4: vault.old_keys[1]: is no key of the vault"),
        ("key = '{good}'\nkey_file = 'vault.key'", "key and key_file: only one of them can be set"),
        ("old_keys = ['{good}']", "chatbot.toml:3: vault.old_keys: needs vault.key or vault.key_file to be set too"),
        ("keys = '{good}'", "unknown key in [vault]"),
    ],
)
def test_what_is_wrong_in_the_table_is_told_without_the_key(tmp_path, toml, why):
    good, bad = new_key(), "Zz" * 22
    with pytest.raises(ConfigError) as caught:
        configured(tmp_path, "[vault]\n" + toml.format(good=good, bad=bad))
    text = str(caught.value)
    assert why in text
    assert good not in text
    assert bad not in text


def refused(tmp_path):
    with pytest.raises(ConfigError) as caught:
        of_config(configured(tmp_path, "[vault]\nkey_file = 'vault.key'"))
    assert "chatbot.toml:3: vault.key_file: " in str(caught.value)
    return str(caught.value)


def test_a_key_file_that_cannot_be_used_is_told(tmp_path):
    file = tmp_path / "vault.key"
    assert "there is no such file" in refused(tmp_path)
    os.mkfifo(file, 0o600)
    assert "is no regular file" in refused(tmp_path)
    file.unlink()
    file.mkdir(0o700)
    assert "is no regular file" in refused(tmp_path)
    file.rmdir()
    file.touch(0o600)
    assert "has no key in it" in refused(tmp_path)
    bad = "Zz" * 20
    file.write_text(f"{new_key()}\n{bad}\n")
    assert "line 2 is no key" in refused(tmp_path)
    assert bad not in refused(tmp_path)
    file.write_bytes(b"\xff\n")
    assert "line 1 is no key" in refused(tmp_path)
    file.write_bytes(b"x" * 100_000)
    assert "longer than" in refused(tmp_path)
    file.write_text(new_key())
    for mode in (0o640, 0o604, 0o620):
        file.chmod(mode)
        assert f"chmod 600 {file}" in refused(tmp_path)
    file.chmod(0o400)
    assert of_config(configured(tmp_path, "[vault]\nkey_file = 'vault.key'")) is not None


def test_a_new_key_goes_before_those_that_are_there(tmp_path):
    file = tmp_path / "vault.key"
    assert write_key(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    link = tmp_path / "link"
    link.symlink_to(file)
    (first,) = read_keys(file)
    assert not write_key(link)
    assert link.is_symlink()
    new, old = read_keys(file)
    assert (old, new != first) == (first, True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "vault.key"]
    # One that came to nothing, or another one that is at work.
    (tmp_path / ".vault.key.part").touch()
    with pytest.raises(VaultError, match=r"remove .*\.vault\.key\.part"):
        write_key(file)
    with pytest.raises(VaultError, match="cannot be written"):
        write_key(tmp_path / "no" / "vault.key")
    assert read_keys(file) == [new, old]


# Plugins


class Keeper(Interface):
    name = "keeper"
    aliases = ("keep", "show")

    async def consume(self, context, package):
        assert "vault" not in context.conf
        if package.last_message_text == "keep":
            await context.vault.add_key(package, "token", SECRET)
        package.callback(str(await context.vault.get_key(package, "token")))


async def test_a_plugin_has_a_vault_of_its_own():
    async with Bot(Keeper) as bot:
        assert await bot.say("show") == ["None"]
        assert await bot.say("keep") == [SECRET]
        assert await bot.say("show", "bert") == ["None"]
        assert await bot.say("show") == [SECRET]


async def test_a_bot_that_is_restarted_in_a_test_opens_what_it_has_sealed(caplog):
    store = Store()
    for text, answer in (("keep", SECRET), ("show", SECRET)):
        async with Bot(Keeper, store=store) as bot:
            assert await bot.say(text) == [answer]
    async with Bot(Keeper, store=store, vault=False) as bot:
        assert SECRET not in await bot.say("show")
    assert "keeper has no key" in caplog.text


@pytest.mark.parametrize("name", ["vault:keeper", "zoozl:vectors"])
def test_no_plugin_can_call_itself_like_a_vault(name):
    root = InterfaceRoot({"extensions": [type("Thief", (Keeper,), {"name": name})]}, embedder=Bot)
    with pytest.raises(ExtensionError, match="does not begin with zoozl: or vault:"):
        root.load()


def test_the_sealed_form_is_the_one_that_stores_hold_already(cipher, vault):
    # Another form needs another first word, and must still open this one.
    assert json.loads(cipher.decrypt(vault.seal("x", "p"))) == ["text", "vault:GitHub", "p", "x"]
