"""The tracker of these tests is a web server on this computer."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

GOOD, WRONG = "a1b2c3d4e5f6g7h8i9j0", "00000000000000000000"


class FakeTracker(BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.headers["Authorization"] == f"Bearer {GOOD}"
        self.send_response(200 if known else 401)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        if known:
            self.wfile.write(json.dumps({"/me": {"name": "Anna"}, "/issues": ["#7 Doors squeak"]}[self.path]).encode())

    def log_message(self, *args):
        pass


@pytest.fixture
def conf():
    with ThreadingHTTPServer(("127.0.0.1", 0), FakeTracker) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield {"tracker": {"url": f"http://127.0.0.1:{server.server_port}"}}
        server.shutdown()
        thread.join()


def test_a_token_is_checked_and_kept(chatbot, conf):
    bot = chatbot("tracker", conf=conf)
    assert bot.say("/connect")[-1] == "Please paste it here."
    assert bot.say("what for?")[0].startswith("A token has 20 letters and digits.")
    assert bot.say(WRONG) == ["The tracker does not know this token.", "Please paste it here."]
    assert bot.say(GOOD) == ["Welcome, Anna! Say “my issues” whenever you like."]
    assert bot.say("show me my issues") == ["#7 Doors squeak"]
    bot.say("/disconnect")
    assert bot.say("yes") == ["It is forgotten. Delete it at the tracker as well."]
    assert bot.say("my issues") == ["First connect your account: write /connect to me, in private."]


def test_the_token_is_not_in_the_history(chatbot, conf):
    bot = chatbot("tracker", conf=conf)
    bot.say("/connect")
    bot.say(GOOD)
    messages, _ = bot.run(bot.bot.chatbot.history(bot.at().address, 0, 50))
    assert [message.text for message in messages if not message.from_bot] == ["/connect", "●●●"]


def test_nobody_works_in_anothers_name(chatbot, conf):
    bot = chatbot("tracker", conf=conf)
    bot.say("/connect", "anna")
    bot.say(GOOD, "anna")
    assert bot.say("/issues", "bert") == ["First connect your account: write /connect to me, in private."]


def test_tokens_are_not_for_rooms(chatbot, conf):
    bot = chatbot("tracker", conf=conf)
    (answer,) = bot.at("anna", room="office").say("/connect")
    assert "write to me directly" in answer


def test_a_tracker_that_is_away_can_be_tried_again(chatbot):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    bot = chatbot("tracker", conf={"tracker": {"url": f"http://127.0.0.1:{port}"}})
    bot.say("/connect")
    assert bot.say(GOOD) == [
        "The tracker cannot be reached just now. Please try again later.",
        "Please paste it here.",
    ]
