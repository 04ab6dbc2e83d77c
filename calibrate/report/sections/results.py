"""The result tables, with intervals, selection and prompts."""

from clip_cfr.calibrate.comparison.notes import notes
from clip_cfr.calibrate.comparison.tables import make_tables
from clip_cfr.calibrate.report.section import Section, bullet_list, table_html
from clip_cfr.calibrate.report.source import RunSource


def make(source: RunSource) -> Section:
    """Return the section with the tables that `show` prints, and their notes."""
    # The last note is the recommendation, which is on top of the page.
    parts = [table_html(each) for each in make_tables(source.result)]
    return Section("results", "Results", (*parts, bullet_list(notes(source.result)[:-1], "note")))
