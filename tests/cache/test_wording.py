"""Words that agree with a number."""

import pytest

from clip_cfr.cache.wording import agree, count_noun, join_or


@pytest.mark.parametrize(
    ("number", "expected"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1200, "1,200 rows")]
)
def test_a_noun_agrees_with_its_number(number: int, expected: str):
    assert count_noun(number, "row") == expected


def test_a_plural_and_a_verb_may_be_irregular():
    assert [count_noun(number, "entry", "entries") for number in (1, 2)] == ["1 entry", "2 entries"]
    assert [agree(number, "is", "are") for number in (0, 1, 2)] == ["are", "is", "are"]


def test_alternatives_are_listed():
    found = [join_or(words) for words in (["a"], ["a", "b"], ["a", "b", "c"])]
    assert found == ["a", "a or b", "a, b or c"]
