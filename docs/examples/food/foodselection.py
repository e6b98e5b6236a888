"""Food selection: who brings what to a common meal, and who would like which."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from zoozl.chatbot import Interface, InterfaceRoot, Package

OWN = "Bring your own and share"
LONGEST = 60


@dataclass
class Meal:
    """What is written after the command."""

    day: Literal["today", "tomorrow"] = "tomorrow"


def name_of_dish(text: str) -> str:
    """What somebody brings. Raises ValueError if it is no name."""
    name = " ".join(text.split())
    if not 0 < len(name) <= LONGEST:
        raise ValueError(f"Please find a name of up to {LONGEST} letters for it.")
    return name


class FoodSelection(Interface):
    """What is brought and chosen is in the plugin's memory, which all talkers share."""

    name = "foodselection"
    description = "who brings what to eat"
    aliases = ("choose what to eat together", "/foodselection")
    arguments = Meal

    async def consume(self, context: InterfaceRoot, package: Package) -> None:
        """Let somebody choose, or bring something."""
        meal: Meal = package.arguments or Meal()
        day = package.now().date() + timedelta(days=meal.day == "tomorrow")
        # A step, because tomorrow's replay would find other dishes than were offered.
        dishes = await package.step(self.dishes, context, day)
        number = f"are {len(dishes) + 1} options" if dishes else "is 1 option"
        prompt = f"{meal.day.capitalize()} there {number}. Which would you like?"
        dish = await package.ask(prompt, choices=[*dishes, OWN])
        if dish == OWN:
            await self.bring(context, package, day)
        else:
            await package.step(context.memory.put, f"{day}/eats/{package.talker}", dish)
            package.callback(f"{dish} it is.")

    async def bring(self, context: InterfaceRoot, package: Package, day: date) -> None:
        """Have a dish of the talker's own on the list."""
        question = "The more, the better! What shall the others read?"
        while True:
            dish = await package.ask(question, validate=name_of_dish)
            shown = f"{dish} (brought by {package.talker})"
            if await package.confirm(f"“{shown}”: is that how you want it?"):
                break
            question = "How then?"
        # One key for each talker: two who bring something at the same time are not in each other's way.
        await package.step(context.memory.put, f"{day}/brings/{package.talker}", shown)
        package.callback(f"“{shown}” is on the list now, for everybody.")

    async def dishes(self, context: InterfaceRoot, day: date) -> list[str]:
        """What the others bring."""
        keys = await context.memory.keys(f"{day}/brings/")
        return [await context.memory.get(key) for key in keys]
