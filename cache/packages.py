"""One-line messages about missing or broken packages, with the command to install them."""

import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
MISSING = (
    "the package {} is missing from {}; run the Python that has it (.venv/bin/python after `make "
    "setup`), or install it with: {} -m pip install {}"
)
# The extra that installs each optional package. All other packages are always installed.
EXTRAS = {
    **dict.fromkeys(("torch", "transformers", "tokenizers"), "extract"),
    "PIL": "extract",
    "openpyxl": "xlsx",
    **dict.fromkeys(("open_clip", "torchvision", "timm", "ftfy"), "extract,open-clip"),
    "pillow_heif": "extract,heif",
    "pydicom": "extract,dicom",
    "ray": "extract,ray",
    **dict.fromkeys(("onnx", "onnxruntime", "onnxscript"), "extract,onnx"),
    "pandas": "frame",
    "pyarrow": "parquet",
    **dict.fromkeys(("plotly", "matplotlib"), "report"),
    "umap": "report,umap",
    "tensorboard": "track",
    "mlflow": "mlflow",
}


def is_installed(name: str) -> bool:
    """Return whether a package can be found; it is not imported."""
    try:
        return find_spec(name) is not None
    except ValueError:  # An entry of sys.modules without a specification, such as None.
        return False


def missing_package(error: ModuleNotFoundError) -> str:
    """Return a one-line message that names the missing package and the command to install it.

    The command is `pip install 'clip-cfr[EXTRA]'` for a package of `EXTRAS`. For another one, the
    message also names the Python in use, and the command installs this checkout. If the error names
    no module, `broken_package` gives the message.
    """
    if error.name is None:  # transformers reports an installed but broken package in this way.
        return broken_package(error)
    package = error.name.partition(".")[0]
    if package not in EXTRAS:
        return MISSING.format(package, sys.executable, sys.executable, ROOT)
    extra = EXTRAS[package]
    return f"the package {error.name} is missing; install it with: pip install 'clip-cfr[{extra}]'"


def broken_package(error: BaseException) -> str:
    """Return a one-line message for an installed package that cannot be imported.

    It has the type and the first line of the innermost cause (`__cause__`) of the error, and the
    advice to install matching releases of torch and torchvision.
    """
    while error.__cause__ is not None:
        error = error.__cause__
    first_line = str(error).partition("\n")[0]
    return (
        f"an installed package cannot be imported ({type(error).__name__}: {first_line}); install "
        "torch and torchvision together, of one release and one build, or remove torchvision where "
        "no model of open_clip is used"
    )
