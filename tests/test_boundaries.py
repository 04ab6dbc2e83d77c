"""What each package may import, in fresh processes and in every line; import cycles."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("cache", "calibrate", "extract")
TORCH = {"torch", "torchvision", "transformers"}
JAX = {"jax", "jaxlib", "optax"}
NUMBERS = {"numpy", "scipy", "sklearn"}

# What a package may not import, not even inside a function.
FORBIDDEN = {
    "cache": {*TORCH, *JAX, "PIL", "clip_cfr.calibrate", "clip_cfr.extract", "clip_cfr.cli"},
    "calibrate": {*TORCH, "h5py", "PIL", "clip_cfr.extract", "clip_cfr.cli"},
    "extract": {*JAX, "h5py", "clip_cfr.calibrate", "clip_cfr.cli"},
}
# The core imports these and itself.
CORE = ("jax", "optax", "numpy", "jaxtyping", "clip_cfr.calibrate.core")
READS_FILES = {
    *("open", "fdopen", "read", "readinto", "read_text", "read_bytes", "write_text", "write_bytes"),
    *("load", "loadtxt", "genfromtxt", "fromfile", "memmap", "save", "savez", "savetxt", "tofile"),
}
TALKS = {"print", "input", "breakpoint"}

LIST_MODULES = """
import pkgutil, sys
from importlib import import_module
for name in sys.argv[1:]:
    module = import_module(name)
    for each in pkgutil.walk_packages(getattr(module, "__path__", ()), name + "."):
        import_module(each.name)
print(*sorted(sys.modules))
"""


def modules(folder: str) -> list[Path]:
    """Return the modules below a folder; programs that run in processes of their own are none."""
    found = sorted((ROOT / folder).rglob("*.py"))
    return [path for path in found if (path.parent / "__init__.py").exists()]


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("clip_cfr", *(part for part in parts if part != "__init__")))


ALL = [*modules("cache"), *modules("calibrate"), *modules("extract"), ROOT / "cli.py"]
CORE_MODULES = modules("calibrate/core")


def imports_of(path: Path) -> Iterator[str]:
    """Yield the dotted names that a file imports anywhere, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_within(name: str, packages) -> bool:
    """Whether a dotted name is one of the packages or lies inside one."""
    return any(name == each or name.startswith(f"{each}.") for each in packages)


def loaded_by(*names: str) -> set[str]:
    """Return the modules in a fresh process after importing these and all that is in them."""
    command = [sys.executable, "-W", "error", "-c", LIST_MODULES, *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def heavy_among(loaded: set[str], names: set[str]) -> set[str]:
    return {each for each in names if is_within_any(each, loaded)}


def is_within_any(package: str, loaded: set[str]) -> bool:
    return any(is_within(name, [package]) for name in loaded)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_loads_nothing_beyond_its_boundary(package):
    through_cache = {"h5py"} if package != "cache" else set()
    found = heavy_among(loaded_by(f"clip_cfr.{package}"), FORBIDDEN[package])
    assert found - through_cache == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_no_line_of_a_package_imports_beyond_its_boundary(package):
    found = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(package)
        for name in imports_of(path)
        if is_within(name, FORBIDDEN[package])
    }
    assert found == set()


def test_no_shipped_module_reaches_into_the_tests():
    found = {
        str(path.relative_to(ROOT))
        for path in [*ALL, *sorted((ROOT / "calibrate/bench/pytorch").glob("*.py"))]
        if '"tests"' in path.read_text(encoding="utf-8")
        or any(is_within(name, ["tests"]) for name in imports_of(path))
    }
    assert found == set()


def test_the_command_line_starts_with_nothing_heavy():
    heavy = {*TORCH, *JAX, *NUMBERS, "h5py", "PIL", "rich", "jaxtyping", "optuna", "yaml"}
    assert heavy_among(loaded_by("clip_cfr.cli"), heavy) == set()


@pytest.mark.parametrize("name", ["clip_cfr", *(f"clip_cfr.{each}" for each in PACKAGES)])
def test_importing_a_package_loads_nothing_heavy(name):
    command = [sys.executable, "-c", f"import sys, {name}; print(*sys.modules)"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = {*TORCH, *JAX, *NUMBERS, "h5py", "PIL"}
    assert heavy_among(set(done.stdout.split()), heavy) == set()


def test_importing_embeddings_needs_no_extra():
    """A laptop that only calibrates has neither torch nor transformers nor Pillow."""
    assert heavy_among(loaded_by("clip_cfr.extract.importing"), {*TORCH, "PIL"}) == set()


def test_data_sets_are_read_without_a_model():
    assert heavy_among(loaded_by("clip_cfr.extract.datasets"), TORCH) == set()


@pytest.mark.parametrize("path", CORE_MODULES, ids=lambda path: path.stem)
def test_the_core_imports_arrays_and_itself_alone(path):
    standard = sys.stdlib_module_names
    allowed = [*CORE, *(standard - {"time", "datetime", "logging", "warnings", "io", "pathlib"})]
    assert [name for name in imports_of(path) if not is_within(name, allowed)] == []


@pytest.mark.parametrize("path", CORE_MODULES, ids=lambda path: path.stem)
def test_the_core_neither_prints_nor_touches_files(path):
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    called = {
        node.func.attr
        for node in nodes
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert names & (TALKS | READS_FILES) == set()
    assert called & READS_FILES == set()


def test_no_import_cycle():
    """Imports inside functions count: a cycle is one wherever the line stands."""
    known = {name_of(path) for path in ALL}

    def module_of(name: str) -> str | None:
        return name if name in known else name.rpartition(".")[0]

    graph = {
        name_of(path): {
            module
            for name in imports_of(path)
            if (module := module_of(name)) in known and module != name_of(path)
        }
        for path in ALL
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))
