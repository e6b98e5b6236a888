"""Colours of the chat page: from the two or three that somebody chose to all that keep its text readable."""

from __future__ import annotations

import re

Rgb = tuple[int, int, int]

# As in chat.css: what text stands on, and the fainter of the two inks, by theme.
LIGHT_PAPER, DARK_PAPER = (0xFF, 0xFF, 0xFF), (0x1D, 0x23, 0x2C)
LIGHT_CODE, DARK_CODE = (0xEE, 0xF0, 0xF4), (0x14, 0x19, 0x1F)
LIGHT_BACK, DARK_BACK = (0xF4, 0xF5, 0xF7), (0x12, 0x16, 0x1C)
LIGHT_FAINT, DARK_FAINT = (0x56, 0x61, 0x70), (0xA3, 0xAE, 0xBC)
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
# WCAG 2 AA for text of ordinary size.
READABLE = 4.5


def parse(colour: str) -> Rgb:
    """`#rgb` or `#rrggbb`. Raises ValueError for anything else."""
    if not re.fullmatch(r"#([0-9a-fA-F]{3}){1,2}", colour):
        raise ValueError(colour)
    digits = colour[1:]
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    return int(digits[0:2], 16), int(digits[2:4], 16), int(digits[4:6], 16)


def contrast(one: Rgb, other: Rgb) -> float:
    """The contrast ratio of WCAG 2, from 1 to 21."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def ink_on(colour: Rgb) -> Rgb:
    """Black or white, whichever is read better on `colour`; one of them always is readable."""
    return max(WHITE, BLACK, key=lambda ink: contrast(ink, colour))


def readable(colour: Rgb, *grounds: Rgb) -> Rgb:
    """`colour`, darkened or lightened just enough to be read on all `grounds`, which are alike."""
    towards = ink_on(grounds[0])
    for step in range(101):
        mixed = _mix(colour, towards, step / 100)
        if all(contrast(mixed, ground) >= READABLE for ground in grounds):
            return mixed
    return towards


def theme(accent: str, background: str | None, background_dark: str | None) -> str:
    """The CSS that sets these colours, to come after chat.css."""
    strong = parse(accent)
    light = parse(background) if background else LIGHT_BACK
    dark = parse(background_dark) if background_dark else DARK_BACK
    return (
        f":root{{--accent:{_css(strong)};--accent-ink:{_css(ink_on(strong))};"
        f"--accent-text:{_css(readable(strong, light, LIGHT_PAPER, LIGHT_CODE))};--back:{_css(light)}}}\n"
        "@media(prefers-color-scheme:dark){:root{"
        f"--accent-text:{_css(readable(strong, dark, DARK_PAPER, DARK_CODE))};--back:{_css(dark)}}}}}\n"
    )


def _luminance(colour: Rgb) -> float:
    red, green, blue = (
        (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4) for c in (v / 255 for v in colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _mix(one: Rgb, other: Rgb, share: float) -> Rgb:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _css(colour: Rgb) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
