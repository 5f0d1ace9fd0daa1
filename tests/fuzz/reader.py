"""How a reader is fuzzed."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.fuzz.mutation import Mutation


@dataclass(frozen=True)
class Reader:
    """`seeds` are sound inputs with the changes that suit them; `attacks` are tried as they are."""

    name: str
    read: Callable[[bytes], object]
    allowed: tuple[type[Exception], ...]
    seeds: tuple[tuple[bytes, tuple[Mutation, ...]], ...]
    attacks: tuple[bytes, ...] = ()
