import itertools

import pytest
from andon_monitor.recipes.patterns import covers, matches

PATTERNS = [
    "",
    "*",
    "?*",
    "a*",
    "*a",
    "*a*",
    "ab",
    "a?",
    "a[bc]",
    "a[!b]",
    "[a-c]b",
    "a*b",
    "**",
    "?",
    "[",
    "a[b",
    "*[!a]",
]
TEXTS = ["".join(letters) for length in range(4) for letters in itertools.product("abcd[", repeat=length)]


@pytest.mark.parametrize("wide", PATTERNS)
@pytest.mark.parametrize("narrow", PATTERNS)
def test_a_pattern_covers_another_where_every_text_that_fits_the_other_fits_it(wide: str, narrow: str) -> None:
    expected = all(matches(wide, text) for text in TEXTS if matches(narrow, text))
    assert covers(wide, narrow) == expected


def test_names_are_matched_whole_and_letter_by_letter() -> None:
    assert matches("top*", "top-1")
    assert not matches("top", "top-1")
    assert not matches("Top*", "top-1")
    assert matches("*", "")
    assert not matches("?*", "")
    assert matches("", "")


def test_patterns_that_would_take_long_to_compare_cover_nothing() -> None:
    assert not covers("*a" * 40 + "*", "*[ab]" * 60)
