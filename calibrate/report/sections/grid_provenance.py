"""Where a grid comes from, and the command of Optuna's dashboard."""

import json
import shlex
from pathlib import Path

from clip_cfr.cache.runs.grid_contents import STUDY
from clip_cfr.calibrate.grid.storage import url_of_file
from clip_cfr.calibrate.report.section import Section, command_line, details, escape, paragraph
from clip_cfr.calibrate.report.source import GridSource


def make(source: GridSource) -> Section:
    """Return the section with the cache, the study and the fixed settings."""
    result = source.result
    facts = {
        "grid": str(source.directory),
        "cache": result.cache,
        "SHA-256 of the cache": result.cache_sha256,
        "model": result.model,
        "sampler": result.sampler,
        "seeds": ", ".join(map(str, result.seeds)),
        "study": result.storage,
    }
    rows = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in facts.items()
    )
    fixed = command_line(json.dumps({"space": result.space, "fixed": result.settings}, indent=1))
    parts = (
        f"<dl>{rows}</dl>",
        paragraph("Optuna's own dashboard (pip install optuna-dashboard) shows the study:"),
        command_line(f"optuna-dashboard {shlex.quote(storage_url(source))}"),
        details("Search space and fixed settings", fixed),
    )
    return Section("provenance", "Provenance", parts)


def storage_url(source: GridSource) -> str:
    """Return the URL of the study; a database that moved with its grid folder is found there."""
    storage = source.result.storage
    if "://" in storage:
        return storage
    moved = source.directory / STUDY
    stays = Path(storage).is_file() or not moved.is_file()
    return url_of_file(Path(storage) if stays else moved.absolute())
