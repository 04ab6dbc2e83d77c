"""Studies on disk: whose they are, and what is said of files that are none."""

from dataclasses import replace

import optuna
import pytest

from clip_cfr.calibrate.core.errors import CalibrationError, SettingsError
from clip_cfr.calibrate.grid.axes import Choices
from clip_cfr.calibrate.grid.study import check_url, opened_study, shown, url_of_file
from tests.calibrate.grid.plans import quick_plan
from tests.calibrate.synthetic import quick_settings


def refusal(url, plan, name="grid") -> str:
    with pytest.raises(CalibrationError) as error, opened_study(url, name, plan):
        pass
    return str(error.value)


class TestIdentity:
    def test_a_study_is_opened_again_by_its_plan(self, url, plan):
        for _ in range(2):
            with opened_study(url, "grid", plan) as study:
                assert study.user_attrs["clip-cfr"] == plan.identity

    def test_another_cache_is_named_by_both_digests(self, study, url, plan, tmp_path):
        assert refusal(url, replace(plan, cache="1" * 64)) == (
            f"{tmp_path / 'study.db'}: the study grid is another one: cache is {'0' * 64}, here "
            f"{'1' * 64}; name another folder with --out, or start anew with --overwrite"
        )

    def test_all_that_differs_is_named(self, study, url, tmp_path):
        other = quick_plan(
            space={"lr": Choices((1e-3,)), "positive": Choices(("dps",))},
            fixed=quick_settings(steps=7),
            seeds=(0,),
        )
        assert refusal(url, other) == (
            f"{tmp_path / 'study.db'}: the study grid is another one: seeds is [0, 1], here [0]; "
            "steps is 60, here 7; erm_lr is [0.001, 0.003], here 0.001; "
            "lr is [0.0001, 0.001], here [0.001]; positive is dps, here ['dps']; "
            "name another folder with --out, or start anew with --overwrite"
        )

    def test_how_many_trials_are_wanted_may_change(self, url):
        for trials in (3, 5):
            with opened_study(url, "other", quick_plan(sampler="random", trials=trials)):
                pass

    def test_a_study_of_somebody_else_is_left_alone(self, url, plan, tmp_path):
        optuna.create_study(storage=url, study_name="theirs").enqueue_trial({"x": 1})
        assert refusal(url, plan, "theirs") == (
            f"{tmp_path / 'study.db'}: the study theirs is another one: it is none of this "
            "program's; name another folder with --out"
        )


class TestStorage:
    @pytest.mark.parametrize("folder", ["plain", "with space", "a?b#c%20{d}"])
    def test_a_file_may_have_any_name(self, tmp_path, plan, folder):
        path = tmp_path / folder / "study.db"
        path.parent.mkdir()
        with opened_study(url_of_file(path), "grid", plan):
            assert path.is_file()
        assert shown(url_of_file(path)) == str(path)

    def test_a_password_is_not_shown(self):
        assert shown("mysql+pymysql://me:secret@host/db") == "mysql+pymysql://me:***@host/db"

    def test_a_file_that_is_no_database_is_named(self, tmp_path, plan):
        path = tmp_path / "study.db"
        path.write_text("no database at all" * 100)
        found = refusal(url_of_file(path), plan)
        assert found.startswith(
            f"{path}: no database that Optuna can work with: (sqlite3.DatabaseError) file is not "
            "a database; name another"
        )
        assert path.read_text() == "no database at all" * 100

    def test_a_folder_that_is_not_there_is_named(self, tmp_path, plan):
        path = tmp_path / "none" / "study.db"
        assert "unable to open database file" in refusal(url_of_file(path), plan)

    def test_a_missing_driver_is_named(self, plan):
        found = refusal("postgresql+pg8000://me@localhost/db", plan)
        assert found == (
            "postgresql+pg8000://me@localhost/db: the package for this database is missing: "
            "No module named 'pg8000'"
        )

    @pytest.mark.parametrize("url", ["study.db", "", "cheese://host/db", "redis://host"])
    def test_what_is_no_url_is_refused(self, url):
        with pytest.raises(SettingsError) as error:
            check_url(url)
        assert str(error.value) == (
            f"--storage {url}: expected a database URL that Optuna takes, such as "
            "sqlite:///study.db, mysql+pymysql://USER@HOST/NAME or postgresql://USER@HOST/NAME"
        )

    def test_a_database_that_fails_on_the_way_says_how_to_go_on(self, url, plan, tmp_path):
        def lose_the_file():
            with opened_study(url, "grid", plan) as study:
                (tmp_path / "study.db").write_bytes(b"")
                study.set_user_attr("key", "value")

        with pytest.raises(CalibrationError) as error:
            lose_the_file()
        assert str(error.value) == (
            f"{tmp_path / 'study.db'}: the database failed: (sqlite3.OperationalError) no such "
            "table: studies; what is finished is kept, and the same command goes on"
        )
