"""Dialogs: asked in straight-line code, answered by later messages."""

import pytest

from zoozl.chatbot import Interface
from zoozl.chatbot.clock import VirtualClock
from zoozl.errors import AskTimeout, DialogEnded
from zoozl.stores.memory import Store as MemoryStore
from zoozl.stores.sqlite import Store as SqliteStore
from zoozl.testing import Bot


class Order(Interface):
    aliases = ("order food", "/order")

    async def consume(self, package):
        package.callback("Let us see.")
        dish = await package.ask("What will it be?", choices=["Soup", "Fish", "Cake"])
        package.conversation.data["dish"] = dish
        count = await package.ask("How many?", validate=self.number)
        if await package.confirm(f"{count} times {dish}, right?"):
            package.callback(f"{count} {dish} coming.")
        else:
            package.callback("Then not.")

    def number(self, text):
        if not text.isdigit():
            raise ValueError("A number, please.")
        return int(text)


class Other(Interface):
    aliases = ("tell a joke",)

    async def consume(self, package):
        package.callback("Knock knock.")


async def test_a_dialog_is_straight_line_code():
    async with Bot(Order) as bot:
        assert await bot.say("/order") == ["Let us see.", "What will it be?\n\n1. Soup\n2. Fish\n3. Cake"]
        assert await bot.say("2") == ["How many?"]
        assert await bot.say("many") == ["A number, please."]
        assert await bot.say("3") == ["3 times Fish, right? (yes/no)"]
        assert await bot.say("sure") == ["3 Fish coming."]
        assert len(bot.chatbot._dialogs) == 0


async def test_what_is_none_of_the_choices_is_asked_again():
    async with Bot(Order) as bot:
        await bot.say("/order")
        assert await bot.say("stones") == ["Please choose one of these:\n\n1. Soup\n2. Fish\n3. Cake"]
        assert await bot.say("sup") == ["How many?"]


async def test_the_open_question_gets_what_calls_for_another_plugin():
    class Name(Interface):
        aliases = ("/name",)

        async def consume(self, package):
            package.callback("Hello " + await package.ask("Your name?"))

    async with Bot(Name, Other) as bot:
        await bot.say("/name")
        assert await bot.say("tell a joke") == ["Hello tell a joke"]


async def test_talkers_have_dialogs_of_their_own():
    async with Bot(Order) as bot:
        await bot.say("/order", "anna")
        await bot.say("/order", "bert")
        assert await bot.say("soup", "anna") == ["How many?"]
        assert await bot.say("cake", "bert") == ["How many?"]
        assert await bot.say("1", "anna") == ["1 times Soup, right? (yes/no)"]


async def test_cancel_ends_the_dialog():
    ended = []

    class Kept(Order):
        def on_end(self, conversation, reason):
            ended.append((conversation.talker, reason))

    async with Bot(Kept, "zoozl.plugins.helpers") as bot:
        await bot.say("/order", "anna")
        assert await bot.say("never mind", "anna") == ["OK, we leave it at that."]
        assert await bot.say("2", "anna") != ["How many?"]
    assert ended == [("anna", "cancelled")]


async def test_a_plugin_may_clean_up_when_it_is_cancelled():
    class Careful(Interface):
        aliases = ("/careful",)

        async def consume(self, package):
            try:
                await package.ask("Sure?")
            except DialogEnded as exc:
                package.callback(f"Undone: {exc.reason}.")
                raise

    async with Bot(Careful) as bot:
        await bot.say("/careful")
        assert await bot.say("cancel") == ["Undone: cancelled.", "Cancelled."]


async def test_a_literal_question_takes_cancel_as_an_answer():
    class Word(Interface):
        aliases = ("/word",)

        async def consume(self, package):
            package.callback("The word is " + await package.ask("Which word?", literal=True))

    async with Bot(Word) as bot:
        await bot.say("/word")
        assert await bot.say("cancel") == ["The word is cancel"]


class Quick(Interface):
    aliases = ("/quick",)

    async def consume(self, package):
        try:
            package.callback("You said " + await package.ask("Quick!", timeout=10))
        except AskTimeout:
            package.callback("Too slow.")
        package.callback(await package.ask("And now?", timeout=10, default="nothing"))


async def test_a_question_that_nobody_answers_in_time_is_over():
    clock = VirtualClock()
    async with Bot(Quick, clock=clock) as bot:
        await bot.say("/quick")
        await bot.pass_time(9.9)
        assert await bot.replies() == []
        await bot.pass_time(0.2)
        assert await bot.replies() == ["Too slow.", "And now?"]
        await bot.pass_time(11)
        assert await bot.replies() == ["nothing"]


async def test_an_answer_that_comes_too_late_is_none():
    clock = VirtualClock()
    async with Bot(Quick, clock=clock) as bot:
        await bot.say("/quick")
        clock.advance(11)
        assert (await bot.say("me!"))[:2] == ["Too slow.", "And now?"]


async def test_one_that_is_uncaught_is_told():
    class Plain(Interface):
        aliases = ("/plain",)

        async def consume(self, package):
            await package.ask("Well?", timeout=5)

    async with Bot(Plain, clock=VirtualClock()) as bot:
        await bot.say("/plain")
        await bot.pass_time(6)
        assert await bot.replies() == ["Sorry, I have waited too long for an answer. Please begin again."]


async def test_asking_in_a_def_says_what_is_wrong(caplog):
    class Sync(Interface):
        aliases = ("/sync",)

        def consume(self, package):
            package.ask("Well?")

    async with Bot(Sync) as bot:
        assert await bot.say("/sync") == ["Sorry, something went wrong here. It has been noted."]
    assert "needs an async consume" in caplog.text


async def test_a_failure_ends_the_dialog_with_an_apology():
    class Breaks(Interface):
        aliases = ("/breaks",)

        async def consume(self, package):
            await package.ask("Well?")
            raise RuntimeError("broken")

    async with Bot(Breaks, "zoozl.plugins.helpers") as bot:
        await bot.say("/breaks")
        assert await bot.say("x") == ["Sorry, something went wrong here. It has been noted."]
        assert await bot.say("/pending") == ["Nothing is waiting for your answer."]


@pytest.mark.parametrize("how", ["confirm", "cancel"])
async def test_a_question_is_answered_by_its_id(how):
    class Sure(Interface):
        aliases = ("/sure",)

        async def consume(self, package):
            package.callback("done" if await package.confirm("Delete it all?", timeout=300) else "left alone")

    async with Bot(Sure, Order, clock=VirtualClock()) as bot:
        await bot.say("/sure")
        await bot.say("/order", "bert")
        (listed,) = await bot.say("/pending")
        number = listed.split("/confirm_")[1].split()[0]
        assert f"{number}: Delete it all?, 5 min left: /confirm_{number} /cancel_{number}" in listed
        assert "What will it be" not in listed
        assert (
            await bot.say(f"/{how}_{number}", "bert") == ["That question has been answered already, or has expired."]
            or 1
        )
        assert await bot.say(f"/{how}_{number}") == [{"confirm": "done", "cancel": "left alone"}[how]]
        assert await bot.say(f"!{how}_{number}") == ["That question has been answered already, or has expired."]


# The same over restarts: a bot of its own before each message, over the same store.


class Restarted:
    """Says each message to a new process, so to speak."""

    def __init__(self, *extensions, store=None, **settings):
        self.extensions, self.settings = extensions, settings
        self.store = store or MemoryStore()

    async def say(self, text, talker="tester", **address):
        async with Bot(*self.extensions, store=self.store, **self.settings) as bot:
            return await bot.say(text, talker, **address)


async def test_a_dialog_goes_on_after_a_restart_between_any_two_messages():
    bot = Restarted(Order)
    assert await bot.say("/order") == ["Let us see.", "What will it be?\n\n1. Soup\n2. Fish\n3. Cake"]
    assert await bot.say("2") == ["How many?"]
    assert await bot.say("many") == ["A number, please."]
    assert await bot.say("3") == ["3 times Fish, right? (yes/no)"]
    assert await bot.say("sure") == ["3 Fish coming."]
    assert await bot.store.dialogs_of("test", "tester") == []


async def test_data_evolves_as_it_did():
    bot = Restarted(Order)
    await bot.say("/order")
    await bot.say("2")
    (dialog,) = await bot.store.dialogs_of("test", "tester")
    assert dialog.data == '{"dish": "Fish"}'
    await bot.say("x")
    (dialog,) = await bot.store.dialogs_of("test", "tester")
    assert dialog.data == '{"dish": "Fish"}'


async def test_steps_the_time_and_chance_are_the_same_when_it_runs_again():
    keys, seen = [], []

    class Pays(Interface):
        aliases = ("/pay",)

        async def consume(self, package):
            number = await package.step(self.pay, 5)
            moment, luck = package.now(), package.random()
            await package.ask(f"Paid {number}. Receipt?")
            seen.append((moment, luck))
            await package.ask("Sure?")
            package.callback("Fine.")

        async def pay(self, amount, key):
            keys.append(key)
            return {"amount": amount}

    bot = Restarted(Pays)
    assert await bot.say("/pay") == ["Paid {'amount': 5}. Receipt?"]
    assert await bot.say("a") == ["Sure?"]
    assert await bot.say("b") == ["Fine."]
    assert len(keys) == 1
    assert len(seen) == 2, "it ran again after the restart"
    assert len(set(seen)) == 1


class Declined(Exception):
    def __init__(self, card, *, left):
        super().__init__(f"{card} was declined")
        self.left = left


async def test_a_failed_step_fails_again_when_it_runs_again():
    tried = []

    class Pays(Interface):
        aliases = ("/pay",)

        async def consume(self, package):
            card = "visa"
            while True:
                try:
                    receipt = await package.step(self.pay, card)
                    break
                except Declined as exc:
                    card = await package.ask(f"{exc}, {exc.left} left. Another one?")
            await package.ask(f"Paid {receipt}. Sure?")
            package.callback("Fine.")

        async def pay(self, card, key):
            tried.append((card, key))
            if card != "gold":
                raise Declined(card, left=3)
            return card

    bot = Restarted(Pays)
    assert await bot.say("/pay") == ["visa was declined, 3 left. Another one?"]
    assert await bot.say("blue") == ["blue was declined, 3 left. Another one?"]
    assert await bot.say("gold") == ["Paid gold. Sure?"]
    assert await bot.say("yes") == ["Fine."]
    assert [card for card, _ in tried] == ["visa", "blue", "gold"]
    assert len({key for _, key in tried}) == 3


async def test_a_failure_that_cannot_be_made_again_ends_the_dialog_at_a_restart(caplog):
    class Here(Exception):
        pass

    class Tries(Interface):
        aliases = ("/try",)

        async def consume(self, package):
            try:
                await package.step(self.fail)
            except Here:
                await package.ask("Again?")

        async def fail(self):
            raise Here

    bot = Restarted(Tries)
    assert await bot.say("/try") == ["Again?"]
    assert await bot.say("yes") == ["Sorry, I have changed meanwhile and lost the thread. Please begin again."]
    assert "Here cannot be made" in caplog.text


async def test_code_that_has_changed_ends_the_dialog(caplog):
    class First(Interface):
        aliases = ("/go",)

        async def consume(self, package):
            await package.ask("One?")
            await package.ask("Two?")

    async def other(self, package):
        await package.ask("Another one?")
        await package.ask("Two?")

    bot = Restarted(First)
    await bot.say("/go")
    await bot.say("x")
    First.consume = other
    assert await bot.say("y") == ["Sorry, I have changed meanwhile and lost the thread. Please begin again."]
    assert "First" in caplog.text
    assert "entry 0 asks 'One?', and the plugin asks 'Another one?'" in caplog.text
    assert await bot.say("/pending") == ["Nothing is waiting for your answer."]


async def test_sleeping_goes_on_after_a_restart_and_keeps_nobody_waiting():
    class Egg(Interface):
        aliases = ("/egg",)

        async def consume(self, package):
            package.callback("Boiling.")
            await package.sleep(240)
            package.callback("Your egg!")

    clock, store = VirtualClock(), MemoryStore()
    async with Bot(Egg, Other, store=store, clock=clock) as bot:
        assert await bot.say("/egg") == ["Boiling."]
        assert await bot.say("tell a joke") == ["Knock knock."]
    clock.advance(300)
    async with Bot(Egg, Other, store=store, clock=clock) as bot:
        await bot.chatbot.look_at_deadlines()
        assert await bot.replies() == ["Your egg!"]
        assert await store.due(10) == []


async def test_cleaning_up_comes_to_a_dialog_that_was_started_anew():
    class Careful(Interface):
        aliases = ("/careful",)

        async def consume(self, package):
            try:
                await package.ask("Sure?")
            except DialogEnded as exc:
                package.callback(f"Undone: {exc.reason}.")
                raise

    bot = Restarted(Careful)
    await bot.say("/careful")
    assert await bot.say("cancel") == ["Undone: cancelled.", "Cancelled."]
    assert await bot.say("/pending") == ["Nothing is waiting for your answer."]


@pytest.mark.parametrize("durable", [False, True])
async def test_a_coroutine_that_was_let_go_cannot_act(tmp_path, durable):
    acted = []

    class Acts(Interface):
        aliases = ("/acts",)

        async def consume(self, package):
            try:
                await package.ask("Well?")
            finally:
                package.callback("from finally")
                acted.append(package.conversation.talker)

    store = await SqliteStore.open(tmp_path / "zoozl.db") if durable else MemoryStore()
    async with Bot(Acts, store=store, kept_dialogs=1, restarts=False) as bot:
        await bot.say("/acts", "anna")
        await bot.say("/acts", "bert")
        assert acted == ["anna"]
        assert await bot.replies("anna") == []
        assert await bot.say("x", "anna") == ["from finally"]


async def test_a_dialog_in_which_nothing_happens_ends_by_itself():
    reasons = []

    class Slow(Order):
        idle_timeout = 60

        async def on_end(self, conversation, reason):
            reasons.append(reason)

    async with Bot(Slow, Other, clock=VirtualClock()) as bot:
        await bot.say("/order")
        await bot.pass_time(50)
        await bot.say("1")
        await bot.pass_time(50)
        assert await bot.replies() == []
        await bot.pass_time(20)
        assert await bot.replies() == []
        assert await bot.say("tell a joke") == ["Knock knock."]
    assert reasons == ["idle"]


async def test_an_answer_closes_its_question_although_another_one_is_asked():
    class Two(Interface):
        aliases = ("/two",)

        async def consume(self, package):
            await package.ask("One?")
            await package.ask("Two?")
            package.callback("Thanks.")

    async with Bot(Two) as bot:
        closed = []
        for text in ("/two", "a", "b"):
            asked = [dialog.question.id for dialog in await bot.chatbot.root.store.dialogs_of("test", "tester")]
            await bot.post(text)
            await bot.chatbot.idle()
            closed += [list(message.closes) == asked for _, message in bot._sent]
            await bot.replies()
    assert closed == [True, True, True]
