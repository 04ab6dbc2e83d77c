"""A study on disk, and a plan whose points are fitted in a moment."""

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine


@pytest.fixture(scope="session", autouse=True)
def unsynced():
    """Let SQLite not wait for the disk, which would take most of the time of these tests."""

    def switch_off(connection, _):
        connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", switch_off)
    yield
    event.remove(Engine, "connect", switch_off)


@pytest.fixture
def plan():
    """Return the plan of two learning rates of each stage, with two seeds."""
    from tests.calibrate.grid.plans import quick_plan

    return quick_plan()


@pytest.fixture
def url(tmp_path):
    """Return the URL of a study in a temporary folder."""
    from clip_cfr.calibrate.grid.storage import url_of_file

    return url_of_file(tmp_path / "study.db")


@pytest.fixture
def search(url, plan):
    """Open the search of the plan."""
    from tests.calibrate.grid.plans import open_plan

    with open_plan(url, plan) as searches:
        yield searches.methods[0]
