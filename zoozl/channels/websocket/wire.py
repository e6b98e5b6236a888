"""The two frames that nearly all traffic is made of; aiohttp does the rest (RFC 6455, section 5.2).

For these its general way costs as much as what is said in them.
"""

from __future__ import annotations

LONGEST = 125


def short_text(data: bytes) -> bytes | None:
    """What a client says in `data`, if that is nothing but one whole text of at most 125 bytes, masked; else None."""
    size = len(data) - 6
    if size < 0 or size > LONGEST or data[0] != 0x81 or data[1] != 0x80 + size:
        return None
    mask = int.from_bytes((data[2:6] * 32)[:size], "little")
    return (int.from_bytes(data[6:], "little") ^ mask).to_bytes(size, "little")


def text(payload: bytes) -> bytes:
    """The frame of a text to a client."""
    size = len(payload)
    if size <= LONGEST:
        return bytes((0x81, size)) + payload
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload
