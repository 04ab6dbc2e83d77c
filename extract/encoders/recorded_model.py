"""Find the model that made features under the name that a cache recorded."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from clip_cfr.cache.runs.cache_of_run import locate_cache
from clip_cfr.cache.runs.recorded_path import find_recorded
from clip_cfr.cache.runs.run import Run
from clip_cfr.extract.encoders.spec import HUB, PREFIX, TINY_CLIP
from clip_cfr.extract.errors import ExtractError


def find_model_of_run(directory: Path, run: Run, model: str | None) -> tuple[str, str | None]:
    """Return the name and the revision with which the model of a run can be loaded now.

    Args:
        directory: the run folder.
        run: its contents.
        model: where the user says that it is; without, or if the run recorded it so, it is searched
            near the run and its cache, as in `find_recorded_model`.

    Raises:
        ExtractError: as in `find_recorded_model`.
    """
    features = run.provenance["cache"]
    if model and model != features["model"]:
        return model, None
    cache = locate_cache(directory, run).path
    return find_recorded_model(directory, features, [] if cache is None else [cache])


def find_recorded_model(
    owner: Path, features: Mapping[str, Any], near: Iterable[Path] = ()
) -> tuple[str, str | None]:
    """Return the name and the revision with which the model of some features can be loaded now.

    A local folder or file is searched as in `find_recorded`, near `owner` and `near`. The tiny CLIP
    of a checkout that is gone is the one of this package. A hub id without a local folder of its
    name keeps its revision; names that open_clip looks up in its own list stay as they are. That
    the weights are the same is for the caller to check.

    Args:
        owner: the run folder, or the cache, that recorded the model; for messages too.
        features: the provenance of the features, with `model` and optionally `revision`.
        near: other files that may have moved together with the model, such as the cache of a run.

    Raises:
        ExtractError: the model was local and is in none of the folders.
    """
    recorded, revision = str(features["model"]), features.get("revision")
    prefix = PREFIX if recorded.startswith(PREFIX) else ""
    name = recorded.removeprefix(PREFIX)
    if revision is not None or name.startswith(HUB):
        # Models of open_clip have no revision to ask for.
        is_hub_id = not prefix and not Path(name).expanduser().exists()
        return recorded, revision if is_hub_id else None
    folders = [owner, *near]
    found = find_local(name, folders) or (prefix and find_architecture(name, folders))
    if not found:
        places = " and ".join(map(str, folders))
        raise ExtractError(
            f"{owner}: the model {recorded}, a local folder or file, is not there (looked in the "
            f"working directory and in the folders above {places}); name it with --model"
        )
    return f"{prefix}{found}", None


def find_local(name: str, folders: list[Path]) -> str | None:
    """Return the path of a local model; None if it is in none of the folders."""
    for path in find_recorded(name, *folders):
        return str(path)
    is_tiny = Path(name).parts[-2:] == TINY_CLIP.parts[-2:]
    return str(TINY_CLIP) if is_tiny else None


def find_architecture(name: str, folders: list[Path]) -> str | None:
    """Return `ARCHITECTURE/TAG` unchanged, and `ARCHITECTURE/FILE` with the file as found.

    None stands for a name of another form, or an absolute path.
    """
    architecture, _, rest = name.partition("/")
    if not architecture or not rest:
        return None
    files = [path for path in find_recorded(rest, *folders) if path.suffix and path.is_file()]
    return f"{architecture}/{files[0]}" if files else name
