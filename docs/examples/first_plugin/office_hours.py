"""Answers when the office is open, and takes a name for a call back."""

from zoozl.chatbot import Interface, Package


class OfficeHours(Interface):
    description = "when the office is open"
    aliases = ("when are you open", "what are your office hours")

    def consume(self, context, package: Package):
        hours = context.config("office_hours").get("text", "We are open from 9 to 17.")
        package.callback(hours)


class CallBack(Interface):
    description = "have somebody call you"
    aliases = ("call me back", "I want to talk to a person")

    async def consume(self, package: Package):
        data = package.conversation.data
        if "asked" not in data:
            data["asked"] = True
            package.callback("Under which number can we reach you?")
            return
        package.callback(f"Thank you, we will call {package.last_message_text}.")
        package.finish()
