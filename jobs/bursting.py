"""When few bytes become more than any honest packing gives: one rule for compressed files, archives and encrypted messages."""

RATIO = 1_000  # clear bytes a packed one: DEFLATE cannot honestly do much better
FREE = 64 << 20  # clear bytes for which the ratio is not looked at


def bursts(packed: int, clear: int) -> bool:
    return clear > FREE and clear > packed * RATIO
