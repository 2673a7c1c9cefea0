"""Chance that is the same on every machine: hashed integers, no float and no state.

`hash()` differs between processes and `random` between Python versions, so neither is used; sines and square roots
of the C library differ in the last digit, so tables and integer roots stand in for them.
"""

from hashlib import shake_128

_MASK = (1 << 64) - 1


def key(*names: object) -> int:
    """A 64-bit key for what these names stand for."""
    return int.from_bytes(shake_128("\0".join(map(str, names)).encode()).digest(8), "little")


def mix(value: int) -> int:
    """64 well-mixed bits of an integer (the finaliser of splitmix64, by Sebastiano Vigna)."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def throw(seed: int, index: int, count: int) -> bytes:
    """`count` random bytes that belong to `index`, the same each time; a longer throw begins with a shorter one."""
    return shake_128(b"%d:%d" % (seed, index)).digest(count)


# The number of ones in a byte is binomial, close to a bell curve; 3/2 to its power is close to log-normal.
WEIGHT = tuple(3 ** byte.bit_count() * 2 ** (8 - byte.bit_count()) for byte in range(256))
"""Log-normal weights with a mean of 1526: how busy a minute is."""

STEP = tuple(byte.bit_count() - 4 for byte in range(256))
"""Steps of a random walk, with a mean of 0 and a variance of 2."""

GAP = tuple(1 + byte * byte * byte // 4096 for byte in range(256))
"""Waiting times between orders: mostly short, now and then long, so that trades come in clumps."""

MATCHES = tuple(
    1 if byte < 176 else 2 if byte < 216 else 3 + (byte & 3) if byte < 248 else 7 + (byte & 7) for byte in range(256)
)
"""How many resting orders a taker order meets: one for most, up to fourteen."""
