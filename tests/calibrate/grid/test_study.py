"""Studies on disk: their identity, their names, and files that hold no study."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from clip_cfr.calibrate.core.errors import CalibrationError, SettingsError
from clip_cfr.calibrate.grid.axes import Choices
from clip_cfr.calibrate.grid.grid_plan import GridPlan, make_grid_plan
from clip_cfr.calibrate.grid.storage import display_url, parse_url, url_of_file
from clip_cfr.calibrate.grid.study import IDENTITY, identity_differences, open_searches
from tests.calibrate.grid.plans import SPACE, open_plan, quick_plan
from tests.calibrate.synthetic import quick_settings

ARCHIVE = Path(__file__).parent / "archives" / "study-of-one-method.sql"


def refusal(url, plan, name="grid") -> str:
    """Return the message with which a study is refused."""
    with pytest.raises(CalibrationError) as error, open_searches(url, name, GridPlan((plan,))):
        pass
    return str(error.value)


def plan_of(*methods: str, **changes) -> GridPlan:
    """Return the plans of a grid of several methods."""
    plan = quick_plan()
    arguments = {"cache_digest": plan.cache_digest, "seeds": plan.seeds, "methods": methods}
    return make_grid_plan(plan.space, plan.fixed, **{**arguments, **changes})


def names_of(url, plan: GridPlan) -> list[str]:
    """Return the names of the methods' studies, in the order of the methods."""
    with open_searches(url, "grid", plan) as searches:
        return [each.study.study_name for each in searches.methods]


class TestIdentity:
    def test_of_the_same_plan_opens_the_study_again(self, url, plan):
        for _ in range(2):
            with open_plan(url, plan) as searches:
                assert searches.methods[0].study.user_attrs[IDENTITY] == plan.identity

    def test_of_another_cache_is_refused_with_both_digests(self, search, url, plan, tmp_path):
        assert refusal(url, replace(plan, cache_digest="1" * 64)) == (
            f"{tmp_path / 'study.db'}: the study grid belongs to another grid: cache is "
            f"{'0' * 64}, here {'1' * 64}; name another folder with --out, or start again with "
            "--overwrite"
        )

    def test_names_every_difference(self, search, url, tmp_path):
        other = quick_plan(
            space={"lr": Choices((1e-3,)), "positive": Choices(("dps",))},
            fixed=quick_settings(steps=7),
            seeds=(0,),
        )
        assert refusal(url, other) == (
            f"{tmp_path / 'study.db'}: the study grid belongs to another grid: seeds is [0, 1], "
            "here [0]; steps is 60, here 7; identification_lr is varied, here 0.001; positive is "
            "dps, here varied; name another folder with --out, or start again with --overwrite"
        )

    def test_of_another_selection_says_how_to_resume(self, search, url, plan, tmp_path):
        stored, asked = plan.fixed.selection, "average"
        assert refusal(url, replace(plan, fixed=replace(plan.fixed, selection=asked))) == (
            f"{tmp_path / 'study.db'}: the study grid belongs to another grid: selection is "
            f"{stored}, here {asked}; give --selection {stored} to resume it, name another folder "
            "with --out, or start again with --overwrite"
        )

    def test_does_not_depend_on_the_values_of_a_full_grid(self, search, url):
        with open_plan(url, quick_plan(space={**SPACE, "lr": Choices((5.0,))})):
            pass

    def test_depends_on_the_values_that_are_sampled(self, url):
        plan = quick_plan(sampler="random", trials=3)
        with open_plan(url, plan):
            pass
        other = replace(plan, space={**SPACE, "lr": Choices((5.0,))})
        assert "lr is [0.0001, 0.001], here [5.0]" in refusal(url, other)

    def test_does_not_depend_on_the_number_of_trials(self, url):
        for trials in (3, 5):
            with open_plan(url, quick_plan(sampler="random", trials=trials)):
                pass

    def test_without_a_setting_has_its_default(self, plan):
        settings = {k: v for k, v in plan.identity["settings"].items() if k != "dropout"}
        older = {**plan.identity, "settings": settings}
        assert identity_differences(older, plan.identity) == []
        changed = replace(plan, fixed=replace(plan.fixed, dropout=0.5)).identity
        assert identity_differences(older, changed) == ["dropout is 0.1, here 0.5"]

    def test_of_another_program_is_refused(self, url, plan, tmp_path):
        optuna.create_study(storage=url, study_name="theirs").enqueue_trial({"x": 1})
        assert refusal(url, plan, "theirs") == (
            f"{tmp_path / 'study.db'}: the study theirs belongs to another grid: this program did "
            "not create it; name another folder with --out"
        )


class TestNames:
    def test_of_one_method_is_that_of_the_grid(self, url):
        assert names_of(url, plan_of("erm")) == ["grid"]

    def test_of_several_methods_name_the_method(self, url):
        assert names_of(url, plan_of("erm", "cfr")) == ["grid-erm", "grid-cfr"]
        assert names_of(url, plan_of("cfr")) == ["grid-cfr"]
        assert names_of(url, plan_of("dfr", "cfr")) == ["grid-dfr", "grid-cfr"]

    def test_stay_when_a_method_is_added(self, url):
        assert names_of(url, plan_of("cfr")) == ["grid"]
        assert names_of(url, plan_of("erm", "cfr")) == ["grid-erm", "grid"]
        assert names_of(url, plan_of("cfr")) == ["grid"]
        assert names_of(url, plan_of("erm")) == ["grid-erm"]

    def test_of_one_other_method_is_refused(self, url):
        names_of(url, plan_of("cfr"))
        assert "method is cfr, here erm" in refusal(url, plan_of("erm").methods[0])

    def test_of_references_name_them(self, url):
        with open_searches(url, "grid", plan_of("cfr")) as searches:
            names = [each.study.study_name for each in searches.references]
        assert names == ["grid-reference-zeroshot", "grid-reference-erm"]


def test_a_refused_grid_leaves_no_study_behind(url):
    names_of(url, plan_of("cfr"))
    with (
        pytest.raises(CalibrationError, match=r"seeds is \[0, 1\], here \[7\]"),
        open_searches(url, "grid", plan_of("erm", "cfr", seeds=(7,))),
    ):
        pass
    assert "grid-erm" not in optuna.get_all_study_names(url)


class TestEarlierVersions:
    @pytest.fixture
    def archive(self, url):
        """Restore the study of an earlier version: two of four points are finished."""
        path = display_url(url)
        with sqlite3.connect(path) as database:
            database.executescript(ARCHIVE.read_text())
        database.close()
        return url

    def test_are_refused_whose_calibration_set_was_that_of_the_reported_erm(
        self, archive, plan, tmp_path
    ):
        """Their points have the errors of another head; points of this version differ."""
        found = refusal(archive, plan)
        assert found.startswith(f"{tmp_path / 'study.db'}: the study grid belongs to another grid:")
        for difference in (
            "erm_lr is varied, here 0.001",
            "identification_lr is missing, here varied",
            "identification_steps is missing, here 60",
            "calibration_source is erm, here identification",
        ):
            assert f" {difference};" in found
        assert found.endswith("name another folder with --out, or start again with --overwrite")

    def test_are_refused_even_if_they_used_no_errors_of_erm(self, plan):
        """With CLIP as the source, too: the head of random positives was that of ERM."""
        names = ("identification_lr", "identification_steps")
        fixed = replace(plan.fixed, calibration_source="zeroshot", dps_source="zeroshot")
        identity = quick_plan(space={"lr": SPACE["lr"]}, fixed=fixed).identity
        settings = {k: v for k, v in identity["settings"].items() if k not in names}
        assert identity_differences({**identity, "settings": settings}, identity) == [
            "identification_lr is missing, here 0.001",
            "identification_steps is missing, here 60",
        ]


class TestStorage:
    @pytest.mark.parametrize("folder", ["plain", "with space", "a?b#c%20{d}"])
    def test_a_file_may_have_any_name(self, tmp_path, plan, folder):
        path = tmp_path / folder / "study.db"
        path.parent.mkdir()
        with open_plan(url_of_file(path), plan):
            assert path.is_file()
        assert display_url(url_of_file(path)) == str(path)

    def test_a_password_is_not_shown(self):
        assert display_url("mysql+pymysql://me:secret@host/db") == "mysql+pymysql://me:***@host/db"

    def test_a_file_that_is_not_a_database_is_named(self, tmp_path, plan):
        path = tmp_path / "study.db"
        path.write_text("no database at all" * 100)
        found = refusal(url_of_file(path), plan)
        assert found.startswith(
            f"{path}: not a database that Optuna can use: (sqlite3.DatabaseError) file is not "
            "a database; name another"
        )
        assert path.read_text() == "no database at all" * 100

    def test_a_missing_folder_is_named(self, tmp_path, plan):
        path = tmp_path / "none" / "study.db"
        assert "unable to open database file" in refusal(url_of_file(path), plan)

    def test_a_missing_driver_is_named(self, plan):
        found = refusal("postgresql+pg8000://me@localhost/db", plan)
        assert found == (
            "postgresql+pg8000://me@localhost/db: the package for this database is missing: "
            "No module named 'pg8000'"
        )

    @pytest.mark.parametrize("url", ["study.db", "", "cheese://host/db", "redis://host"])
    def test_an_invalid_url_is_refused(self, url):
        with pytest.raises(SettingsError) as error:
            parse_url(url)
        assert str(error.value) == (
            f"--storage {url}: expected a database URL that Optuna accepts, such as "
            "sqlite:///study.db, mysql+pymysql://USER@HOST/NAME or postgresql://USER@HOST/NAME"
        )

    @pytest.mark.parametrize(
        "url",
        ["sqlite://", "sqlite:///:memory:", "sqlite:///file::memory:?cache=shared&uri=true"],
    )
    def test_a_database_in_memory_is_refused(self, url):
        with pytest.raises(SettingsError) as error:
            parse_url(url)
        assert str(error.value) == (
            f"--storage {url}: a database in memory ends with its process, so no other can share "
            "it and no run can resume it; name a file, such as sqlite:///study.db, or leave out "
            "--storage"
        )

    def test_a_path_that_is_not_text_is_refused(self):
        with pytest.raises(SettingsError) as error:
            url_of_file(Path("a\udce9b/study.db"))
        assert str(error.value) == (
            "--out a\udce9b: this path is not UTF-8, so the database of the grid cannot be opened "
            "there; give another --out, or change into the folder and give a relative one"
        )

    def test_a_tilde_is_the_home_folder(self, monkeypatch):
        monkeypatch.setenv("HOME", "/home/me")
        assert parse_url("sqlite:///~/study.db") == "sqlite:////home/me/study.db"

    def test_a_database_that_fails_says_how_to_resume(self, url, plan, tmp_path):
        def lose_the_file():
            with open_plan(url, plan) as searches:
                (tmp_path / "study.db").write_bytes(b"")
                searches.methods[0].study.set_user_attr("key", "value")

        with pytest.raises(CalibrationError) as error:
            lose_the_file()
        assert str(error.value) == (
            f"{tmp_path / 'study.db'}: the database failed: (sqlite3.OperationalError) no such "
            "table: studies; finished points are kept, run the same command to resume"
        )
