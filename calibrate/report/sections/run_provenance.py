"""Where a run comes from, and the command that computes it again."""

import json
from dataclasses import asdict

from clip_cfr.calibrate.grid.calibrate_command import calibrate_command
from clip_cfr.calibrate.report.section import Section, command_line, details, escape, paragraph
from clip_cfr.calibrate.report.source import RunSource


def make(source: RunSource) -> Section:
    """Return the section with the command, the cache, the device, the versions and the settings."""
    config, provenance, named = source.run.config, source.run.provenance, source.result.named
    command = calibrate_command(
        cache=str(config["cache"]),
        methods=config["methods"],
        varied={},
        fixed=asdict(source.result.settings),
        seeds=config["seeds"],
        hold_rows=config.get("held_rows"),
        prompts=config.get("prompts"),
        attribute_options=() if named is None else named.options,
    )
    cache = provenance.get("cache", {})
    facts = {
        "run": str(source.directory),
        "cache": str(config["cache"]),
        "SHA-256 of the cache": provenance.get("cache_sha256"),
        "model": cache.get("model"),
        "features made": cache.get("created"),
        "device of the calibration": provenance.get("device"),
        "versions": ", ".join(f"{k} {v}" for k, v in provenance.get("versions", {}).items()),
    }
    rows = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in facts.items()
        if value is not None
    )
    parts = (
        paragraph("This command calibrates again:"),
        command_line(command),
        f"<dl>{rows}</dl>",
        details("All settings and the provenance of the cache", json_block(config, cache)),
    )
    return Section("provenance", "Provenance", parts)


def json_block(config: dict, cache: dict) -> str:
    """Return settings and provenance as indented JSON."""
    return command_line(json.dumps({"config": config, "cache": cache}, indent=1))
