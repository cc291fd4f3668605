"""The packages import one way, evaluation from learning from lagrangian from data, and no imports run in a circle."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ORDER = ("data", "lagrangian", "learning", "evaluation")


def modules() -> dict[str, Path]:
    """Path by name of every module of the four packages."""
    found = {}
    for package in ORDER:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def statements(body):
    """Import statements that run when a module is imported: not those in functions, nor what only type checkers see."""
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, ast.If):
            only_types = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
            yield from statements([*([] if only_types else node.body), *node.orelse])
        elif isinstance(node, (ast.Try, ast.With, ast.ClassDef)):
            yield from statements(node.body)


def imports(source: str, names) -> set[str]:
    """Which of the modules ``names`` a source imports at module level."""
    found = set()
    for node in statements(ast.parse(source).body):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif node.level == 0 and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} & set(names)
            found |= {node.module} if not all(f"{node.module}.{alias.name}" in names for alias in node.names) else set()
    return found & set(names)


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules of a circle of imports, its first once more at the end; empty where there is none."""
    done: set[str] = set()

    def look(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        for other in sorted(graph.get(name, ())):
            if found := look(other, [*way, name]):
                return found
        done.add(name)
        return []

    return next((found for name in sorted(graph) if (found := look(name, []))), [])


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    names = modules()
    return {name: imports(path.read_text(), names) - {name} for name, path in names.items()}


def test_packages_import_one_way(graph):
    rank = {name: ORDER.index(name.partition(".")[0]) for name in graph}
    upward = [f"{name} imports {other}" for name, others in graph.items() for other in others if rank[other] > rank[name]]
    assert not upward and sum(map(len, graph.values())) > 300


def test_no_circle_of_imports(graph):
    assert circle(graph) == []


def test_a_circle_and_an_import_within_a_function_are_told_apart():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
    names = {"data", "data.a", "data.b", "data.c"}
    source = "from data import a\nfrom data.b import x\ndef f():\n    import data.c\nif TYPE_CHECKING:\n    import data.c\n"
    assert imports(source, names) == {"data.a", "data.b"}
