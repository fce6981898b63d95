"""The layout's rules: who may import whom, what the top package imports, and that files say what they are."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import greenlane

ROOT = Path(__file__).parents[1]
SERVER = ROOT / "server" / "greenlane"
CROSSTALK = ROOT / "loadtest" / "crosstalk"

# Each may import those above it, and `demo` and the command line all of them.
ORDER = ["context", "app", "wsgi", "ops", "sql", "testing", "demo", "cli", "__main__"]
STRANGERS = {("wsgi", "app")}
"""Pairs that do not know each other although the order would allow it."""

PYTHON_FILES = sorted(
    path for folder in ("server", "loadtest", "tests", "deploy") for path in (ROOT / folder).rglob("*.py")
)


def imported(path: Path) -> Iterator[str]:
    """Yield the full name of every module that ``path`` imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import, which this test cannot place"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def package_of(path: Path) -> str:
    return path.relative_to(SERVER).parts[0].removesuffix(".py")


def server_files() -> list[Path]:
    return [path for path in sorted(SERVER.rglob("*.py")) if path != SERVER / "__init__.py"]


def test_every_part_of_the_server_is_in_the_order() -> None:
    assert {package_of(path) for path in server_files()} == set(ORDER)


@pytest.mark.parametrize("path", server_files(), ids=lambda path: str(path.relative_to(SERVER)))
def test_a_package_imports_only_those_above_it(path: Path) -> None:
    own = package_of(path)
    for name in imported(path):
        if name.partition(".")[0] != "greenlane":
            continue
        parts = name.split(".")
        other = parts[1] if len(parts) > 1 and parts[1] in ORDER else ""
        assert other or own in ("cli", "__main__"), (
            f"{path.name} imports the top package, which exports lazily"
        )
        if other:
            assert ORDER.index(other) <= ORDER.index(own), f"{own} imports {other}"
            assert (own, other) not in STRANGERS, f"{own} imports {other}"


def test_the_locals_need_greenlet_and_nothing_else() -> None:
    outside = {
        name.partition(".")[0] for path in (SERVER / "context").glob("*.py") for name in imported(path)
    }
    assert outside - set(sys.stdlib_module_names) - {"_typeshed"} == {"greenlane", "greenlet"}


@pytest.mark.parametrize(
    "path", sorted(CROSSTALK.rglob("*.py")), ids=lambda path: str(path.relative_to(CROSSTALK))
)
def test_crosstalk_never_imports_the_server(path: Path) -> None:
    assert not [name for name in imported(path) if name.partition(".")[0] == "greenlane"]


def test_importing_the_top_package_imports_nothing_else_of_ours() -> None:
    """Patching must come first, and the entry points run this package before they can patch."""
    program = (
        "import sys; before = set(sys.modules); import greenlane\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(new - {'greenlane'} - set(sys.stdlib_module_names)))\n"
        "print(sorted(name for name in sys.modules if name.startswith('greenlane.')))\n"
        "print('threading' in set(sys.modules) - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:3] == ["[]", "[]", "False"]


def test_the_top_package_exports_what_it_says() -> None:
    for name in greenlane.__all__:
        assert getattr(greenlane, name) is not None or name, name
        assert name in dir(greenlane)
    with pytest.raises(AttributeError, match="'nothing'"):
        _ = greenlane.nothing


def test_type_checkers_are_told_of_the_same_exports() -> None:
    tree = ast.parse((SERVER / "__init__.py").read_text())
    told = {
        alias.asname: node.module
        for branch in tree.body
        if isinstance(branch, ast.If)
        for node in branch.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert told == greenlane._HOME


@pytest.mark.parametrize("path", PYTHON_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), f"{path} has no docstring"
