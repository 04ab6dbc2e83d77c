"""What each package imports, and what it must not: in fresh processes, and in every line."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TORCH = {"torch", "torchvision", "transformers"}
JAX = {"jax", "jaxlib", "optax"}
NUMBERS = {"numpy", "scipy", "sklearn"}
TERMINAL = {"click", "rich"}

# What a package may not import, not even inside a function; other packages of ours among it.
FORBIDDEN = {
    "cache": {*TORCH, *JAX, "PIL", "calibrate", "extract", "cli"},
    "calibrate": {*TORCH, "h5py", "PIL", "cache", "extract", "cli"},
    "extract": {*JAX, "h5py", "calibrate", "cli"},
}
# Rooms of `calibrate` that drive its numeric core, which prints nothing and opens no file.
DRIVING = ("comparison", "grid", "bench")
CORE = [
    path
    for path in (ROOT / "calibrate").rglob("*.py")
    if path.relative_to(ROOT / "calibrate").parts[0] not in DRIVING
]

LIST_MODULES = """
import pkgutil, sys
from importlib import import_module
for name in sys.argv[1:]:
    module = import_module(name)
    for each in pkgutil.walk_packages(getattr(module, "__path__", ()), name + "."):
        import_module(each.name)
print(*sorted({name.split(".")[0] for name in sys.modules}))
"""


def loaded_by(*modules: str) -> set[str]:
    """Packages that a fresh process holds after it imported modules, with all that is in them."""
    command = [sys.executable, "-W", "error", "-c", LIST_MODULES, *modules]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def imports_of(path: Path) -> set[str]:
    """Packages that a file imports anywhere, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", FORBIDDEN)
def test_a_package_loads_nothing_beyond_its_boundary(package):
    through_cache = {"h5py"} if package == "extract" else set()
    assert loaded_by(package) & FORBIDDEN[package] <= through_cache


@pytest.mark.parametrize("package", FORBIDDEN)
def test_no_line_of_a_package_imports_beyond_its_boundary(package):
    for path in (ROOT / package).rglob("*.py"):
        assert imports_of(path) & FORBIDDEN[package] == set(), path


def test_the_command_line_starts_with_nothing_heavy():
    heavy = {*TORCH, *JAX, *NUMBERS, "h5py", "PIL", "rich", "jaxtyping"}
    assert loaded_by("cli") & heavy == set()


def test_importing_embeddings_needs_no_extra():
    """A laptop that only calibrates has neither torch nor transformers nor Pillow."""
    assert loaded_by("extract.importing.import_embeddings") & {*TORCH, "PIL"} == set()


def test_data_sets_are_read_without_a_model():
    assert loaded_by("extract.datasets") & TORCH == set()


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_core_neither_prints_nor_reads_files_or_clocks(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert names & {"print", "open", "input"} == set()
    assert imports_of(path) & {*TERMINAL, "time", "datetime", "optuna"} == set()


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_core_does_not_know_what_drives_it(path):
    text = path.read_text(encoding="utf-8")
    assert not [room for room in DRIVING if f"calibrate.{room}" in text]
