"""Private parts of other libraries are used in one module for each library, which has a test of its own."""

import ast
from pathlib import Path

import andon_monitor
import pytest

ROOT = Path(andon_monitor.__file__).parent
ALLOWED = {"kafka/client_internals.py", "formats/mcap_internals.py"}
PUBLIC_DESPITE_THEIR_NAMES = {"_exit", "_replace"}  # of os and of named tuples, both documented


def private_uses(tree: ast.Module) -> list[str]:
    """Private attributes that the module uses and does not define, and imports from private modules."""
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and is_private(node.attr)]
    own |= {node.attr for node in attributes if isinstance(node.ctx, ast.Store)}
    own |= {
        node.target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    own |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    uses = [f"line {node.lineno}: .{node.attr}" for node in attributes if node.attr not in own]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any(is_private(part) for part in (node.module or "").split(".")):
            uses.append(f"line {node.lineno}: from {node.module}")
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("_Writer__"):
            uses.append(f"line {node.lineno}: {node.value!r}")
    return uses


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name not in PUBLIC_DESPITE_THEIR_NAMES


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_private_parts_are_used_where_they_are_watched(path: Path) -> None:
    uses = private_uses(ast.parse(path.read_text()))
    if path.relative_to(ROOT).as_posix() in ALLOWED:
        assert uses
    else:
        assert uses == []
