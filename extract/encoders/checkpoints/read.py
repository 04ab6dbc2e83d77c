"""Read the tensors of a weights file without executing code."""

import shlex
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from clip_cfr.extract.encoders.checkpoints.file_kind import (
    SAFETENSORS,
    TORCH,
    TORCHSCRIPT,
    file_kind,
)
from clip_cfr.extract.errors import ExtractError

Tensors = dict[str, torch.Tensor]
# The entries of training checkpoints that hold the model; the first that exists counts.
STATE_NAMES = ("state_dict", "model_state_dict", "model_state", "model", "module", "net", "weights")
BUFFERS = "('input_resolution', 'context_length', 'vocab_size')"


def read_tensors(model: str, path: Path) -> Tensors:
    """Return the tensors of a weights file by name; of a training checkpoint, the model's.

    Args:
        model: the model's name, for messages.
        path: a safetensors file or a file of torch.save.

    Raises:
        ExtractError: the file is something else, damaged, or holds objects that need code.
    """
    return find_state(model, path, read_content(model, path))


def read_content(model: str, path: Path) -> Any:
    """Return the whole content of a weights file: tensors by name, or a training checkpoint.

    Raises:
        ExtractError: the file is something else, damaged, or holds objects that need code.
    """
    kind = file_kind(path)
    if kind == TORCHSCRIPT:
        raise ExtractError(describe_torchscript(path))
    if kind not in (SAFETENSORS, TORCH):
        raise ExtractError(f"model {model}: {path} is {kind}")
    try:
        return load_file(path) if kind == SAFETENSORS else load_torch(path)
    except SafetensorError as error:
        raise ExtractError(describe_damage(model, path, error)) from error
    # torch raises RuntimeError, EOFError, UnpicklingError and others for damaged files.
    except Exception as error:
        if "weights_only" in str(error) and "GLOBAL" in str(error):
            raise ExtractError(describe_pickled_code(model, path, error)) from error
        raise ExtractError(describe_damage(model, path, error)) from error


def load_torch(path: Path) -> Any:
    """Load a file of torch.save on the CPU; only tensors and plain containers are allowed.

    The tensors of a file in the format of torch 1.6 or newer are mapped into memory.
    """
    # Only archives can be mapped into memory, not the format of torch before 1.6.
    return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))


def find_state(model: str, path: Path, content: Any) -> Tensors:
    """Return the tensors by name in the content of a weights file, at most two levels down.

    The content itself comes first, then its entries in `STATE_NAMES`, in this order.

    Args:
        model: the model's name, for messages.
        path: the file, for messages.
        content: the content, as `read_content` returns it.

    Raises:
        ExtractError: no level is a dict of which most values are tensors.
    """
    for candidate in (content, *find_states(content)):
        for state in (candidate, *find_states(candidate)):
            if tensors := only_tensors(state):
                return tensors
    raise ExtractError(
        f"model {model}: {path} holds no weights by name; expected the state_dict of a model, "
        "alone or in a training checkpoint"
    )


def find_states(content: Any) -> list[Any]:
    """Return the entries of a checkpoint under the names in `STATE_NAMES`, in this order.

    The list is empty for anything but a dict with names as keys.
    """
    return [content[name] for name in STATE_NAMES if name in content] if is_dict(content) else []


def only_tensors(state: Any) -> Tensors:
    """Return the items of a dict whose values are tensors.

    Empty unless these are more than half of its items, and for anything but a dict with names as
    keys.
    """
    if not is_dict(state):
        return {}
    found = {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}
    return found if 2 * len(found) > len(state) else {}


def is_dict(content: Any) -> bool:
    """Return whether the content of a file is a dict with names as keys."""
    return isinstance(content, dict) and all(isinstance(key, str) for key in content)


def describe_damage(model: str, path: Path, error: Exception) -> str:
    """Return the message about a damaged weights file, with the first line of the error.

    Args:
        model: the model's name.
        path: the file.
        error: the error that reading it raised.
    """
    first_line = (str(error).splitlines() or [""])[0]
    return (
        f"model {model}: the weights in {path} are damaged or incomplete "
        f"({type(error).__name__}: {first_line}); copy or download the file again"
    )


def describe_pickled_code(model: str, path: Path, error: Exception) -> str:
    """Return the message about a file with pickled objects, and a command that extracts weights.

    The command writes `NAME-weights.pt` beside the file `NAME.pt`.

    Args:
        model: the model's name.
        path: the file.
        error: the error of torch.load, from which the message takes the name of an object's class.
    """
    plain = path.with_name(f"{path.stem}-weights.pt")
    program = (
        f"import torch; c = torch.load({str(path)!r}, map_location='cpu', weights_only=False); "
        f"s = c if isinstance(c, dict) else c.state_dict(); "
        f"s = next((s[k] for k in {STATE_NAMES!r} if k in s), s); "
        f"s = s if isinstance(s, dict) else s.state_dict(); torch.save(dict(s), {str(plain)!r})"
    )
    found = str(error).partition("GLOBAL ")[2].split()
    objects = f", such as {found[0]}" if found else ""
    return (
        f"model {model}: {path} holds pickled Python objects beside its weights{objects}, and "
        "loading those can execute code; if you trust the file, extract the weights with "
        f"{python_command(program)} and name {plain}"
    )


def describe_torchscript(path: Path) -> str:
    """Return the message about a TorchScript archive, and a command that extracts its weights.

    The command writes `NAME-weights.pt` beside the archive `NAME.pt`.
    """
    plain = path.with_name(f"{path.stem}-weights.pt")
    program = (
        f"import torch; w = torch.jit.load({str(path)!r}, map_location='cpu').state_dict(); "
        f"[w.pop(k, None) for k in {BUFFERS}]; torch.save(dict(w), {str(plain)!r})"
    )
    return (
        f"{path} is a TorchScript archive, which contains code; if you trust it, extract the "
        f"weights: {python_command(program)}"
    )


def python_command(program: str) -> str:
    """Return a shell command that runs a Python program, such as `python -c "import torch"`.

    The program is quoted for a POSIX shell if it has characters that double quotes do not protect.
    """
    if any(character in program for character in '"$`\\!'):
        return f"python -c {shlex.quote(program)}"
    return f'python -c "{program}"'
