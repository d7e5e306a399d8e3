"""Pseudorandom numbers for compiled code: a generator is one word of shared memory, which its owner alone steps."""

from __future__ import annotations

from shm.atomics import load, store
from shm.compiler import dual
from shm.machine import Machine

BITS = 31  # of a number
_STATE = 0x7FFFFFFFFFFFFFFF
_FACTORS = (0x9E3779B97F4A7C15, 0xD1B54A32D192ED03)


def seed_of(number: int, stream: int = 0) -> int:
    """The first state for a seed, never 0. stream: 0 or 1; the same seed gives another sequence in each."""
    return (number * _FACTORS[stream] & _STATE) | 1


@dual
def next_random(m: Machine, a: int) -> int:
    """Step the generator whose state is word `a`; returns its number, 0 to 2**BITS - 1.

    Marsaglia's xorshift of 63 bits.
    """
    x = load(m, a)
    x ^= (x << 13) & _STATE
    x ^= x >> 7
    x ^= (x << 17) & _STATE
    store(m, a, x)
    return x >> 20 & 0x7FFFFFFF
