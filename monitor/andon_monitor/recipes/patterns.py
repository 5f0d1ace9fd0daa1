"""Glob patterns of cameras and products, and whether one takes everything that another takes."""

import fnmatch
import re
from dataclasses import dataclass
from functools import lru_cache

EVERYTHING = "*"
_STAR = "*"
_ANY = "?"
# Longer patterns with many stars are compared no further; nobody writes them.
MAX_STATES = 20_000


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern))


def matches(pattern: str, text: str) -> bool:
    """Whether a text fits a glob: * any text, ? one character, [ab] one of these, [!ab] one of the others."""
    return pattern == EVERYTHING or _compiled(pattern).match(text) is not None


@dataclass(frozen=True)
class _Token:
    """One element of a pattern: `_STAR`, or what one character must match."""

    text: str

    def takes(self, character: str) -> bool:
        return self.text in (_STAR, _ANY) or matches(self.text, character)


def covers(wide: str, narrow: str) -> bool:
    """Whether every text that fits `narrow` fits `wide`.

    Both are read side by side, character by character, as nondeterministic automata: `narrow` is left out of `wide` if
    some text takes `narrow` to its end and `wide` not. One character stands for all that neither pattern names.
    """
    if wide in (EVERYTHING, narrow):
        return True
    first, second = _tokens(wide), _tokens(narrow)
    alphabet = {*wide, *narrow, *_neighbours(wide + narrow), "\0"}
    start = (_closure(second, frozenset((0,))), _closure(first, frozenset((0,))))
    seen, waiting = {start}, [start]
    while waiting:
        behind, ahead = waiting.pop()
        if len(second) in behind and len(first) not in ahead:
            return False
        for character in alphabet:
            following = _step(second, behind, character)
            if not following:
                continue
            pair = following, _step(first, ahead, character)
            if pair not in seen:
                if len(seen) >= MAX_STATES:
                    return False
                seen.add(pair)
                waiting.append(pair)
    return True


def _neighbours(text: str) -> set[str]:
    """Characters next to those of the patterns, and within ranges such as [a-f]."""
    around = {chr(ord(character) + by) for character in text for by in (-1, 1) if 0 < ord(character) + by < 0x10FFFF}
    ranges = re.findall(r"(.)-(.)", text)
    inside = {chr(code) for a, b in ranges for code in range(ord(a), min(ord(b), ord(a) + 128) + 1)}
    return around | inside


def _tokens(pattern: str) -> list[_Token]:
    """A pattern as elements; a bracket that is not closed stands for itself, as in `fnmatch`."""
    tokens: list[_Token] = []
    i = 0
    while i < len(pattern):
        end = i + 1
        if pattern[i] == "[":
            closing = pattern.find("]", i + 2 + (pattern[i + 1 : i + 2] == "!"))
            end = closing + 1 if closing >= 0 else end
        text = pattern[i:end]
        tokens.append(_Token("[[]" if text == "[" else text))
        i = end
    return tokens


def _closure(tokens: list[_Token], states: frozenset[int]) -> frozenset[int]:
    """States with those that are reached without a character: a star may stand for nothing."""
    found = set(states)
    for state in states:
        while state < len(tokens) and tokens[state].text == _STAR:
            state += 1
            found.add(state)
    return frozenset(found)


def _step(tokens: list[_Token], states: frozenset[int], character: str) -> frozenset[int]:
    following = set()
    for state in states:
        if state < len(tokens) and tokens[state].takes(character):
            following.add(state if tokens[state].text == _STAR else state + 1)
    return _closure(tokens, frozenset(following))
