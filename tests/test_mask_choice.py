"""Which keys get a mask: the hash that chooses them, against the published generator."""

from __future__ import annotations

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from facekit.jobs.mask.plan import copies_of, hash_keys

WORD = (1 << 64) - 1


def splitmix64(state: int, steps: int) -> int:
    """The output of SplitMix64 (Steele, Lea and Flood 2014, figure 17) after so many steps from a state."""
    value = (state + steps * 0x9E3779B97F4A7C15) & WORD
    value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) & WORD
    value = ((value ^ value >> 27) * 0x94D049BB133111EB) & WORD
    return value ^ value >> 31


def test_the_reference_gives_the_published_numbers() -> None:
    """Of the seed 1234567, as the test vectors of the generator that is in general use have them."""
    published = [
        6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821,
    ]  # fmt: skip
    assert [splitmix64(1234567, steps) for steps in range(1, 6)] == published


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=20), st.integers(0, 2**64 - 1))
def test_the_hash_of_a_key_is_that_output_of_the_generator(keys: list[int], seed: int) -> None:
    """A changed constant would choose other pictures for the same seed: packs could not be made again."""
    start = splitmix64(seed, 1)
    assert hash_keys(np.array(keys), seed).tolist() == [splitmix64(start, key) for key in keys]


def test_the_pictures_that_are_chosen_stay_the_same() -> None:
    """The positions that a plan chooses among 1,000 keys, as one digest. It changes on purpose only, with a note in the
    changelog: every pack that was masked before would come out differently."""
    chosen = [np.flatnonzero(copies_of(np.arange(1, 1001), seed, 0.3, "replace")) for seed in range(3)]
    assert [len(part) for part in chosen] == [300, 300, 300]
    assert hashlib.sha256(np.concatenate(chosen).astype("<i8").tobytes()).hexdigest()[:16] == "c4b59c4faf14b0ab"
