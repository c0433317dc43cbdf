"""A server's nonces live as long as they should, take each count once, and never more memory than they may."""

from __future__ import annotations

import random

import pytest
from dracht.digest.nonces import Nonces, Standing


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def nonces(clock: Clock, *, limit: int = 100, secret: bytes = b"s" * 16) -> Nonces:
    return Nonces(secret, lifetime=60, limit=limit, clock=clock)


def test_a_nonce_is_good_for_its_lifetime_and_then_old(clock: Clock) -> None:
    held = nonces(clock)
    nonce = held.make("realm")
    for passed, standing in (
        (0, Standing.GOOD),
        (60, Standing.GOOD),
        (0.01, Standing.OLD),
        (1e9, Standing.OLD),
    ):
        clock.now += passed
        assert held.standing(nonce, "realm") is standing
    clock.now = 1_600_000_000
    assert held.standing(nonce, "realm") is Standing.OLD, "a clock that was turned back"


def test_giving_nonces_out_takes_no_memory(clock: Clock) -> None:
    held = nonces(clock)
    made = {held.make("realm") for _ in range(1000)}
    assert len(made) == 1000
    assert len(held) == 0


def test_what_was_not_signed_here_is_foreign(clock: Clock) -> None:
    held = nonces(clock)
    nonce = held.make("realm")
    other = nonces(clock, secret=b"t" * 16).make("realm")
    for wrong in (
        other,
        "",
        "x",
        nonce[:-1],
        nonce + "A",
        nonce + "=",
        "\u00e4" * 40,
        "!" * 40,
        nonce.swapcase(),
    ):
        assert held.standing(wrong, "realm") is Standing.FOREIGN
        assert not held.use(wrong, "realm", 1)
    assert held.standing(nonce, "another realm") is Standing.FOREIGN
    for at in range(len(nonce)):
        changed = nonce[:at] + ("A" if nonce[at] != "A" else "B") + nonce[at + 1 :]
        assert held.standing(changed, "realm") is Standing.FOREIGN
    assert len(held) == 0


def test_each_count_is_taken_once(clock: Clock) -> None:
    held = nonces(clock)
    nonce = held.make("realm")
    taken = [1, 3, 2, 2, 1, 3, 0, -1, 1000, 872, 873, 999, 1000, 2**32 - 1, 2**32 - 1, 1001, 4]
    assert [held.use(nonce, "realm", count) for count in taken] == [
        True, True, True, False, False, False, False, False,
        True, False, True, True, False, True, False, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
def test_no_order_of_counts_takes_one_twice(clock: Clock, seed: int) -> None:
    held, order = nonces(clock), random.Random(seed)
    nonce = held.make("realm")
    counts = [order.randint(1, 300) for _ in range(1000)]
    taken = [count for count in counts if held.use(nonce, "realm", count)]
    assert len(taken) == len(set(taken))
    assert taken[0] == counts[0]
    near = held.make("realm")
    window = list(range(1, 129))
    order.shuffle(window)
    assert all(held.use(near, "realm", count) for count in window), "requests overtake one another"


def test_the_table_is_bounded_and_what_was_dropped_is_never_new(clock: Clock) -> None:
    held = nonces(clock, limit=3)
    made = []
    for _ in range(10):
        clock.now += 1
        made.append(held.make("realm"))
        assert held.use(made[-1], "realm", 1)
        assert len(held) <= 3
    assert [held.standing(nonce, "realm") for nonce in made] == [Standing.OLD] * 7 + [Standing.GOOD] * 3
    assert not any(held.use(nonce, "realm", 2) for nonce in made[:7]), "its counts are forgotten"
    assert all(held.use(nonce, "realm", 2) for nonce in made[7:])


def test_the_one_not_used_for_longest_goes_first(clock: Clock) -> None:
    held = nonces(clock, limit=2)
    first, second, third = (held.make("realm") for _ in range(3))
    for nonce, count in ((first, 1), (second, 1), (first, 2), (third, 1)):
        clock.now += 1
        assert held.use(nonce, "realm", count)
    assert held.use(first, "realm", 3)
    assert not held.use(second, "realm", 2)


def test_expired_ones_leave_without_making_others_old(clock: Clock) -> None:
    held = nonces(clock, limit=3)
    for _ in range(3):
        held.use(held.make("realm"), "realm", 1)
    clock.now += 59
    unused = held.make("realm")
    clock.now += 2
    assert held.use(held.make("realm"), "realm", 1)
    assert len(held) == 1
    assert held.standing(unused, "realm") is Standing.GOOD


def test_a_process_that_starts_again_takes_nothing_from_before(clock: Clock) -> None:
    nonce = nonces(clock).make("realm")
    clock.now += 1
    again = nonces(clock)
    assert again.standing(nonce, "realm") is Standing.OLD, "it may have been used with any count"
    clock.now += 1
    other = nonces(clock)
    clock.now += 1
    assert other.standing(again.make("realm"), "realm") is Standing.GOOD, "they share the secret"
