"""Dialogs over the websocket: buttons and forms for clients that said hello, words for the others."""

import asyncio
import json

import jwt
import pytest
from websockets.asyncio.client import connect

DISHES = [
    {"value": "s", "label": "Soup"},
    {"value": "f", "label": "Fish of the *day*"},
    {"value": "c", "label": "Cake"},
]
NUMBERED = "What will it be?\n\n1. Soup\n2. Fish of the *day*\n3. Cake"
KEY = "a secret of thirty-two bytes, at the least"


class Client:
    """`replies` are the frames with a seq, `shown` the others that a bot sends."""

    def __init__(self, server, hello=True, token=None, acks=True):
        self.url = f"ws://127.0.0.1:{server.port('websocket')}/"
        self.hello, self.token, self.acks = hello, token, acks
        self.resume, self.last = None, 0
        self.replies, self.shown, self.acked = [], [], []
        self.number = 0

    async def __aenter__(self):
        self.socket = await connect(self.url)
        auth = {"auth": {"token": self.token}} if self.token else {}
        if self.hello:
            await self.send({"hello": {"resume": self.resume, "last": self.last, **auth}})
            self.resume = json.loads(await self.socket.recv())["welcome"]["resume"]
        elif self.token:
            await self.send(auth)
        return self

    async def __aexit__(self, *exc):
        await self.socket.close()

    async def send(self, packet):
        await self.socket.send(json.dumps(packet))

    async def frame(self):
        """Read one frame."""
        packet = json.loads(await asyncio.wait_for(self.socket.recv(), 10))
        if "ack" in packet:
            self.acked.append(packet["ack"])
        elif "seq" in packet or not self.hello:
            self.replies.append(packet)
            self.last = packet.get("seq", 0)
            if self.hello and self.acks:
                await self.send({"ack": self.last})
        else:
            self.shown.append(packet)
        return packet

    async def reply(self):
        """The next reply."""
        before = len(self.replies)
        while len(self.replies) == before:
            await self.frame()
        return self.replies[-1]

    async def show(self):
        """The next frame that is no reply."""
        before = len(self.shown)
        while len(self.shown) == before:
            await self.frame()
        return self.shown[-1]

    async def say(self, text, **more):
        self.number += 1
        await self.send({"text": text, **({"id": f"m{self.number}"} if self.hello else {}), **more})
        return await self.reply()

    async def tap(self, reply, label):
        asked = reply["choices"]
        value = next(option["value"] for option in asked["options"] if option["label"] == label)
        return await self.say(label, choice={"question": asked["question"], "value": value})

    async def fill(self, reply, **values):
        return await self.say("", form={"question": reply["form"]["question"], "values": values})


@pytest.fixture
def talk(serve, tmp_path):
    """`async with talk() as server`: on a store that is still there the next time."""

    def make(**conf):
        return serve(extensions=["fake_dialogs"], store=f"sqlite:///{tmp_path}/zoozl.db", **conf)

    return make


async def test_choices_are_buttons_for_those_who_said_hello(talk):
    async with talk() as server, Client(server) as client:
        asked = await client.say("/order")
        assert (asked["text"], asked["plain"]) == ("What will it be?", NUMBERED)
        assert asked["html"] == "<p>What will it be?</p>\n"
        assert asked["choices"] == {"question": asked["choices"]["question"], "options": DISHES}
        count = await client.tap(asked, "Fish of the *day*")
        assert (count["text"], "choices" in count) == ("How many?", False)
        assert count["answered"] == [asked["choices"]["question"]]
        sure = await client.say("2")
        assert sure["text"] == "2 times f, right?"
        assert [option["label"] for option in sure["choices"]["options"]] == ["Yes", "No"]
        assert (await client.tap(sure, "Yes"))["text"] == "2 f coming."


async def test_plain_clients_get_what_they_always_got(talk):
    async with talk() as server, Client(server, hello=False) as client:
        assert await client.say("/order") == {"author": "", "text": NUMBERED}
        assert await client.say("fish") == {"author": "", "text": "How many?"}
        assert await client.say("3") == {"author": "", "text": "3 times f, right? (yes/no)"}
        assert await client.say("yes") == {"author": "", "text": "3 f coming."}


async def test_a_tap_that_is_sent_again_is_one_answer(talk):
    async with talk() as server, Client(server) as client:
        asked = await client.say("/order")
        tap = {"id": "a", "text": "Soup", "choice": {"question": asked["choices"]["question"], "value": "s"}}
        await client.send(tap)
        await client.send(tap)
        assert (await client.reply())["text"] == "How many?"
        sure = await client.say("1")
        assert sure["text"] == "1 times s, right?", "the second tap was no answer to the second question"
        assert client.acked.count("a") == 2


async def test_a_tap_on_an_old_button_is_answered_in_words(talk):
    async with talk() as server, Client(server) as client:
        asked = await client.say("/order")
        await client.tap(asked, "Soup")
        assert "answered already" in (await client.tap(asked, "Cake"))["text"]
        assert (await client.say("4"))["text"] == "4 times s, right?"


async def test_a_value_that_was_not_offered_is_not_taken(talk):
    async with talk() as server, Client(server) as client:
        asked = await client.say("/order")
        question = asked["choices"]["question"]
        again = await client.say("x", choice={"question": question, "value": "lobster"})
        assert again["text"] == "Please choose one of these:"
        assert again["choices"] == asked["choices"]
        again = await client.say("x", form={"question": question, "values": {"a": "s", "b": "f"}})
        assert again["text"] == "Please choose one of these:"
        assert (await client.say("x", choice={"question": question, "value": "c"}))["text"] == "How many?"


async def test_a_form_is_filled_in_and_what_is_wrong_comes_back_filled_in(talk):
    async with talk() as server, Client(server) as client:
        asked = await client.say("/table")
        form = asked["form"]
        assert (asked["text"], form["title"]) == ("A table for you", "A table for you")
        assert [(field["name"], field["type"], field["required"]) for field in form["fields"]] == [
            ("name", "text", True),
            ("people", "number", True),
            ("day", "date", True),
            ("place", "select", True),
            ("dog", "checkbox", False),
            ("wish", "text", False),
        ]
        assert form["fields"][1]["default"] == "2"
        assert form["fields"][3]["options"] == [
            {"value": "in", "label": "Inside"},
            {"value": "out", "label": "Outside"},
        ]
        assert (form["fields"][4]["default"], "default" in form["fields"][5]) == (False, False)
        given = {"name": "Ann", "people": 3.0, "day": "soon", "place": "out", "dog": True, "wish": None}
        again = await client.fill(asked, **given)
        assert again["text"] == "Which day: please write the day like 2026-11-21."
        defaults = [field.get("default") for field in again["form"]["fields"]]
        assert defaults == ["Ann", "3", "soon", "out", True, None]
        done = await client.fill(again, **{**given, "day": "2026-11-21"})
        assert done["text"] == "name=Ann, people=3, day=2026-11-21, place=out, dog=yes, wish="


async def test_plain_clients_of_the_same_channel_are_asked_one_by_one(talk):
    async with talk() as server, Client(server) as page, Client(server, hello=False) as plain:
        assert "form" in await page.say("/table")
        assert await plain.say("/table") == {"author": "", "text": "A table for you"}
        assert (await plain.reply())["text"] == "Your name"
        for text, asked in [
            ("Bert", "How many people"),
            ("4", "Which day"),
            ("2026-12-24", "Where\n\n1. Inside\n2. Outside"),
            ("2", "With a dog (yes/no)"),
            ("no", "Anything else (- to leave it out)"),
            ("-", "name=Bert, people=4, day=2026-12-24, place=out, dog=no, wish="),
        ]:
            assert (await plain.say(text))["text"] == asked


@pytest.mark.parametrize("hello", [True, False])
async def test_who_has_a_token_gets_forms_if_the_client_has_them_also_after_a_restart(talk, hello):
    token = jwt.encode({"sub": "ann", "exp": 4e9}, KEY, "HS256")
    conf = {"websocket": {"auth_secret": KEY}}
    async with talk(**conf) as server, Client(server, hello, token) as client:
        asked = await client.say("/table")
        assert ("form" in asked) == hello
        if not hello:
            await client.reply()
    async with talk(**conf) as server, Client(server, not hello, token) as other:
        # What was begun one way is ended that way: the journal knows.
        assert (await other.say("Ann"))["text"] == "How many people"


async def test_a_secret_is_asked_for_by_a_form_and_stays_nowhere(talk, tmp_path, monkeypatch):
    async with talk(vault={"key": "5CJ_kbj3ZrZ7zCgAUXv7R_dCHxZkl2pUcs3Rt3zLd0Q="}) as server:
        async with Client(server) as client:
            asked = await client.say("/login")
            assert asked["text"] == "Your word?"
            assert [field["type"] for field in asked["form"]["fields"]] == ["password"]
            assert (await client.fill(asked, answer="hunter2"))["text"] == "7 characters."
    left = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    assert b"hunter2" not in left


async def test_who_was_away_gets_the_question_with_its_buttons(talk):
    async with talk() as server:
        client = Client(server, acks=False)
        async with client:
            asked = await client.say("/order")
        client.last = 0
        async with client:
            assert await client.reply() == asked
            assert (await client.tap(asked, "Soup"))["text"] == "How many?"


async def test_a_dialog_goes_on_after_a_restart_and_its_old_buttons_work(talk):
    async with talk() as server:
        client = Client(server)
        async with client:
            asked = await client.say("/order")
    async with talk() as server:
        client.url = Client(server).url
        async with client:
            count = await client.tap(asked, "Cake")
            assert (count["text"], count["answered"]) == ("How many?", [asked["choices"]["question"]])


async def test_typing_is_shown_for_turns_that_take_long_only(talk):
    async with talk() as server, Client(server) as client, Client(server, hello=False) as plain:
        await client.say("hello")
        assert client.shown == []
        from fake_dialogs import Slow

        await plain.send({"text": "/slow"})
        await client.send({"text": "/slow", "id": "slow"})
        assert await client.show() == {"typing": True}
        Slow.go_on.set()
        assert (await client.reply())["text"] == "There."
        assert client.shown == [{"typing": True}, {"typing": False}]
        assert await plain.reply() == {"author": "", "text": "There."}, "and nothing before"


async def test_a_message_whose_answer_takes_long_is_in_the_history(talk):
    async with talk() as server, Client(server) as client:
        from fake_dialogs import Slow

        await client.send({"text": "/slow", "id": "slow"})
        assert await client.show() == {"typing": True}
        Slow.go_on.set()
        await client.reply()
        await client.send({"operation": "list_messages"})
        while "data" not in (packet := await client.frame()):
            pass
        assert [record["text"] for record in packet["data"]] == ["/slow", "There."]


async def test_an_answer_that_has_arrived_does_not_grow_again_after_a_restart(talk):
    async with talk(shutdown_timeout=0.1) as server, Client(server) as client:
        from fake_dialogs import Slow, Tale

        await client.send({"text": "/both", "id": "both"})
        Tale.more.put_nowait("Once.")
        assert (await client.reply())["text"] == "Once."
        assert [frame["stream"]["text"] for frame in client.shown if "stream" in frame] == ["Once."]
    client.shown.clear()
    async with talk() as server:
        client.url = Client(server).url
        async with client:
            assert await client.show() == {"typing": True}
            Tale.more.put_nowait("Once.")
            Slow.go_on.set()
            assert (await client.reply())["text"] == "There."
            assert not [frame for frame in client.shown if "stream" in frame]


async def test_an_answer_grows_below_what_was_said_before_it(talk):
    async with talk() as server, Client(server) as client, Client(server, hello=False) as plain:
        from fake_dialogs import Tale

        await client.send({"text": "/tale", "id": "tale"})
        Tale.more.put_nowait("Once **upon** ")
        assert (await client.reply())["text"] == "Listen."
        assert not [frame for frame in client.shown if "stream" in frame], "or it would stand above"
        grown = []
        while len(grown) < 2:
            # It is shown at most four times a second: not each word by itself.
            Tale.more.put_nowait("a ")
            try:
                async with asyncio.timeout(0.05):
                    grown += [packet["stream"] for packet in [await client.show()] if "stream" in packet]
            except TimeoutError:
                continue
        assert grown[0]["html"].startswith("<p>Once <strong>upon</strong>")
        assert grown[0]["text"] != grown[1]["text"]
        Tale.more.put_nowait(None)
        final = await client.reply()
        assert final["text"].startswith(grown[1]["text"])
        assert final["stream"] == grown[0]["id"] == grown[1]["id"]
        await plain.send({"text": "/tale"})
        for words in ["Once", " more", None]:
            Tale.more.put_nowait(words)
        assert [(await plain.reply())["text"] for _ in range(2)] == ["Listen.", "Once more"]
        assert all(set(reply) == {"author", "text"} for reply in plain.replies)
