"""A study on disk, and a plan whose points are fitted in a moment."""

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine


@pytest.fixture(scope="session", autouse=True)
def unsynced():
    """SQLite does not wait for the disk, which takes most of the time of these tests."""

    def switch_off(connection, _):
        connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", switch_off)
    yield
    event.remove(Engine, "connect", switch_off)


@pytest.fixture
def plan():
    """Two learning rates of each stage, with two seeds."""
    from tests.calibrate.grid.plans import quick_plan

    return quick_plan()


@pytest.fixture
def url(tmp_path):
    """Where the study is kept."""
    from clip_cfr.calibrate.grid.study import url_of_file

    return url_of_file(tmp_path / "study.db")


@pytest.fixture
def study(url, plan):
    """The study of the plan."""
    from clip_cfr.calibrate.grid.study import opened_study

    with opened_study(url, "grid", plan) as study:
        yield study
