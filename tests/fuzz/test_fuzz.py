import pytest

from tests.fuzz.campaign import run
from tests.fuzz.readers import READERS


@pytest.mark.parametrize("name", READERS)
def test_no_input_surprises_a_reader_or_costs_more_than_its_bounds(name: str) -> None:
    result = run(READERS[name](), seed=1, cases=1500)
    assert result.findings == [], result
    assert result.cases == 1500
    assert sum(result.outcomes.values()) == 1500
