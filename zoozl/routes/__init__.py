"""A bot's routing looked at from outside: whether it is sound, how good it is, what it could learn."""
