"""The leaderboard of a grid."""

from clip_cfr.calibrate.grid.table import leaderboard_table, notes
from clip_cfr.calibrate.report.section import Section, bullet_list, table_html
from clip_cfr.calibrate.report.source import GridSource


def make(source: GridSource) -> Section:
    """Return the section with the table that `show` prints, and its notes."""
    # The last note is on top of the page.
    below = bullet_list(notes(source.result)[:-1], "note")
    return Section("leaderboard", "Points", (table_html(leaderboard_table(source.result)), below))
