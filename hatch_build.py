"""Metadata that depends on where the repository is: project URLs, and a README whose links also work on an index.

The address comes from ANDON_REPOSITORY, or from GitHub's variables in a workflow. Without one, the package names no
URLs and its description no pictures, since a relative path leads nowhere on an index page.
"""

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

PICTURE = re.compile(r"!\[([^\]]*)\]\((?!\w+:)([^)]+)\)")
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!\w+:|#)([^)]+)\)")


class RepositoryHook(MetadataHookInterface):
    """Fills in `readme` and `urls`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Called by hatchling with what pyproject.toml says."""
        repository = address()
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": with_absolute_links(text, repository)}
        metadata["urls"] = urls(repository)


def address() -> str | None:
    """Where the repository is on the web, if known, without a slash at the end."""
    environment = os.environ
    if environment.get("GITHUB_REPOSITORY"):
        default = f"{environment.get('GITHUB_SERVER_URL', 'https://github.com')}/{environment['GITHUB_REPOSITORY']}"
    else:
        default = ""
    return environment.get("ANDON_REPOSITORY", default).rstrip("/") or None


def with_absolute_links(text: str, repository: str | None) -> str:
    """Markdown with its relative pictures and links made absolute; without a repository, their words alone."""
    if repository is None:
        return LINK.sub(r"\1", PICTURE.sub("", text))
    pictures = PICTURE.sub(rf"![\1]({repository}/raw/HEAD/\2)", text)
    return LINK.sub(rf"[\1]({repository}/blob/HEAD/\2)", pictures)


def urls(repository: str | None) -> dict[str, str]:
    """The links that an index shows next to the description."""
    if repository is None:
        return {}
    return {
        "Homepage": repository,
        "Documentation": f"{repository}/tree/HEAD/docs",
        "Changelog": f"{repository}/blob/HEAD/CHANGELOG.md",
        "Issues": f"{repository}/issues",
    }
