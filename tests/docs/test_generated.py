"""What docs/reference says is what the code says, and the README stays short."""

import re
from pathlib import Path

import pytest

from docs.generate import FOLDER, pages

ROOT = Path(__file__).parents[2]
README_LINES = 150


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    return pages()


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.iterdir()))
def test_a_reference_page_is_what_the_code_says(generated: dict[str, str], name: str) -> None:
    assert name in generated, f"docs/reference/{name} is not generated"
    assert (FOLDER / name).read_text() == generated[name], "run python -m docs.generate"


def test_every_generated_page_is_there(generated: dict[str, str]) -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(generated)


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES


def test_the_readme_leads_to_pages_and_pictures_that_exist() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text())
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).is_file()] == []
