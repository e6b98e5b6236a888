"""Plugins that the benchmarks talk to."""

import time

from zoozl.chatbot import Interface


class AsyncEcho(Interface):
    name = "async_echo"
    aliases = ("echo this",)

    async def consume(self, package):
        package.callback(package.last_message_text)


class SyncEcho(Interface):
    name = "sync_echo"
    aliases = ("repeat in a thread",)

    def consume(self, package):
        package.callback(package.last_message_text)


class Sleeper(Interface):
    name = "sleeper"
    aliases = ("take a nap",)

    def consume(self, package):
        time.sleep(1)
        package.callback("slept")


class Burner(Interface):
    name = "burner"
    aliases = ("burn the processor",)

    def consume(self, package):
        end = time.perf_counter() + 1
        while time.perf_counter() < end:
            sum(range(1000))
        package.callback("burnt")


class Silent(Interface):
    name = "silent"
    aliases = ("help", "greet", "cancel")

    async def consume(self, package):
        if package.last_message is not None:
            package.callback("?")


class Asker(Interface):
    name = "asker"
    aliases = ("/ask",)

    async def consume(self, package):
        text = "?"
        while True:
            text = await package.ask(text, literal=True)
