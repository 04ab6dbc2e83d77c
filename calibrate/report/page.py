"""The page: sections of runs and grids with navigation, style and scripts in one file."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clip_cfr.calibrate.report.plots.plot import COLOURS, PLOTLY_SYMBOLS, Plot
from clip_cfr.calibrate.report.section import Section, command_line, escape, paragraph

FOLDER = Path(__file__).parent
NEEDS_SCRIPTS = "The plots need JavaScript; tables and texts do not."


@dataclass(frozen=True)
class Part:
    """The sections of a run or grid, or those of all of them together.

    Attributes:
        title: heading, as plain text; empty for sections without one.
        sections: the sections.
    """

    title: str
    sections: tuple[Section, ...]


def render_page(title: str, parts: Sequence[Part], note: str, command: str) -> str:
    """Return the page as HTML, which refers to no other file.

    Args:
        title: title of the page, as plain text.
        parts: the runs and grids.
        note: sentence at the bottom; may be empty.
        command: the command that makes the page.
    """
    keys = [f"part{index}" for index in range(len(parts))]
    links = "".join(navigation(key, part) for key, part in zip(keys, parts, strict=True))
    main = "".join(part_html(key, part) for key, part in zip(keys, parts, strict=True))
    bottom = paragraph(note, "note") if note else ""
    # With an empty icon, browsers ask for none.
    return (
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        '<link rel=icon href="data:,">'
        f"<title>{escape(title)}</title><style>{read_text('page.css')}</style></head><body>"
        "<a class=skip href=#main>Skip to the report</a>"
        f"<header><h1>{escape(title)}</h1><nav aria-label=Sections>{links}</nav>"
        f"<noscript>{paragraph(NEEDS_SCRIPTS)}</noscript></header>"
        f"<main id=main tabindex=-1>{main}</main>"
        f"<footer>{bottom}{paragraph('This command makes this page:', 'note')}"
        f"{command_line(command)}</footer>"
        f"<script>{plotly_script()}</script><script>{page_script()}</script></body></html>\n"
    )


def navigation(key: str, part: Part) -> str:
    """Return the links to the sections of a part."""
    links = "".join(
        f'<li><a href="#{key}-{each.name}">{escape(each.title)}</a></li>' for each in part.sections
    )
    return f"{paragraph(part.title) if part.title else ''}<ul>{links}</ul>"


def part_html(key: str, part: Part) -> str:
    """Return a part with its heading and sections."""
    heading = f"<h2>{escape(part.title)}</h2>" if part.title else ""
    level = 3 if part.title else 2
    sections = "".join(section_html(key, each, level) for each in part.sections)
    return f"<div>{heading}{sections}</div>"


def section_html(key: str, section: Section, level: int) -> str:
    """Return a section with its heading of a level from 1 to 6."""
    key = f"{key}-{section.name}"
    body = "".join(
        part.html(key) if isinstance(part, Plot) else str(part) for part in section.parts
    )
    return (
        f'<section id="{key}" aria-labelledby="{key}-heading">'
        f'<h{level} id="{key}-heading">{escape(section.title)}</h{level}>{body}</section>'
    )


def plotly_script() -> str:
    """Return plotly.js, minified; nothing in it ends the script element."""
    from plotly.offline import get_plotlyjs

    return get_plotlyjs().replace("</script", "<\\/script")


def page_script() -> str:
    """Return the script of the page, with the colours and symbols of the plots."""
    return (
        read_text("page.js")
        .replace("__COLOURS__", json.dumps(COLOURS))
        .replace("__SYMBOLS__", json.dumps(PLOTLY_SYMBOLS))
    )


def read_text(name: str) -> str:
    """Return a file of this folder."""
    return (FOLDER / name).read_text(encoding="utf-8")
