"""The calibrate command: from a cache to the table, the run folder, and every error."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import pytest
from click.testing import CliRunner

from clip_cfr.cache.files.atomic import write_lock
from clip_cfr.cache.format.schema import FeatureCache, Head, OtherPrompts, Rows, Texts
from clip_cfr.cache.runs.run import read_run
from clip_cfr.cache.write.writer import write_cache
from clip_cfr.calibrate.commands.options import FIELDS, SETTING_GROUPS
from clip_cfr.calibrate.core.settings import selections_of
from clip_cfr.calibrate.methods import METHODS
from clip_cfr.cli import main

ROOT = Path(__file__).parents[2]
ON_CPU = "on cpu: stages of training run one after the other\n"
QUICK = [
    *("--steps", "200", "--identification-steps", "200", "--identification-lr", "3e-4"),
    *("--erm-steps", "200", "--erm-lr", "3e-4"),
]


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def make_cache(agreement: float = 0.95, dim: int = 24) -> FeatureCache:
    """Two classes whose attribute is easier to see than they are, on 95 % of the training rows."""
    rng = np.random.default_rng(0)
    splits = np.repeat(np.arange(3), (800, 400, 800)).astype(np.int8)
    labels = rng.integers(2, size=len(splits)).astype(np.int32)
    agree = rng.random(len(splits)) < np.array([agreement, 0.5, 0.5])[splits]
    attributes = np.where(agree, labels, 1 - labels).astype(np.int32)
    features = rng.normal(size=(len(splits), dim)) * 0.5
    features[:, 0] += labels - 0.5
    features[:, 1] += 2 * (attributes - 0.5)
    class_embeddings = unit(np.array([[-1.0, -1.0], [1.0, 1.0]]) @ np.eye(2, dim))
    names = tuple(f"images/{number}.png" for number in range(len(splits)))
    prompts = (("a photo of a small one.",), ("a photo of a large one.",))
    return FeatureCache(
        dataset="toy",
        rows=Rows(names, labels, attributes, splits),
        valid=np.ones(len(splits), bool),
        features=features.astype(np.float16),
        head=Head(np.eye(dim, dtype=np.float32), None, 100.0),
        texts=Texts(
            class_names=("small", "large"),
            attribute_names=("red", "green"),
            class_prompts=prompts,
            attribute_prompts=((), ()),
            class_embeddings=class_embeddings,
            class_prompt_embeddings=class_embeddings,
        ),
        provenance={"model": "none", "manifest_sha256": "0" * 64},
    )


@pytest.fixture(scope="module")
def cache_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("caches") / "toy.h5"
    write_cache(path, make_cache())
    return path


def invoke(*arguments, code=0):
    result = CliRunner().invoke(main, ["calibrate", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def without_val() -> FeatureCache:
    """The cache of the other tests, whose validation rows are training rows."""
    cache = make_cache()
    splits = np.where(cache.rows.splits == 1, 0, cache.rows.splits).astype(np.int8)
    return replace(cache, rows=replace(cache.rows, splits=splits))


def test_val_is_drawn_from_train_on_demand(tmp_path):
    path, run = tmp_path / "toy.h5", tmp_path / "run"
    write_cache(path, without_val())
    arguments = ["--cache", path, "--out", run, *QUICK, "--method", "erm"]
    assert (
        "draw it from train with calibrate --val-fraction 0.2" in invoke(*arguments, code=1).stderr
    )
    done = invoke(*arguments, "--val-fraction", "0.25", "--json")
    result = json.loads(done.stdout)
    assert result["drawn_val"] == {"fraction": 0.25, "seed": 0, "rows": 300}
    warning = (
        "the cache has no val: 300 of its training rows are val here (--val-fraction 0.25, seed 0, "
        "by class), so training has fewer rows"
    )
    assert result["warnings"][0] == warning
    assert done.stderr.count(f"warning: {warning}\n") == 1
    assert done.stderr.count("warning: the cache has no val (see above)\n") == 1
    again = CliRunner().invoke(main, ["show", str(run)])
    assert f"warning: {warning}\n" in again.stderr
    splits = pandas.read_csv(run / "predictions.csv.gz")["split"]
    assert splits.value_counts().to_dict() == {"test": 800, "val": 300}


def test_a_drawn_val_without_attributes_is_warned_of_before_training(tmp_path):
    cache = without_val()
    rows = replace(cache.rows, attributes=np.zeros_like(cache.rows.attributes))
    texts = replace(cache.texts, attribute_names=(), attribute_prompts=())
    write_cache(tmp_path / "toy.h5", replace(cache, rows=rows, texts=texts))
    arguments = ["--cache", tmp_path / "toy.h5", "--out", tmp_path / "run", *QUICK]
    done = invoke(*arguments, "--method", "erm", "--val-fraction", "0.25", "--json")
    warning = "val was drawn from the same images as train, and no attribute is known. "
    before, training, after = done.stderr.partition("seed 0: erm\n")
    assert training
    assert before.count(f"warning: {warning}") == 1
    assert after.count(f"warning: {warning.removesuffix('. ')} (see above)\n") == 1
    assert "cannot see the repair" not in after
    assert sum("cannot see the repair" in x for x in json.loads(done.stdout)["warnings"]) == 1


def test_a_cache_with_val_needs_none(cache_file, tmp_path):
    arguments = ["--cache", cache_file, "--out", tmp_path / "run", "--val-fraction", "0.2"]
    assert "this one has 400 rows in val" in invoke(*arguments, code=1).stderr


def test_training_rows_are_drawn_anew_for_each_seed(cache_file, tmp_path):
    run = tmp_path / "run"
    methods = [word for name in ("zeroshot", "erm", "jtt") for word in ("--method", name)]
    arguments = ["--cache", cache_file, "--out", run, *QUICK, *methods, "--hold-rows", 1200]
    done = invoke(*arguments, "--seeds", 2, "--resample")
    line = "mean ± standard deviation over 2 seeds; training rows drawn anew for each seed\n"
    assert line in done.stdout
    result = read_run(run).metrics
    assert result["training_rows"] == "drawn anew for each seed"
    assert result["settings"]["resample"]
    assert result["methods"]["zeroshot"]["test"]["average_std"] == 0
    assert result["methods"]["erm"]["test"]["average_std"] > 0
    rows = pandas.read_csv(run / "calibration_rows.csv")
    assert set(rows["split"]) == {"train"}
    assert (rows["id"] == "images/" + rows["row"].astype(str) + ".png").all()
    assert rows.duplicated(["seed", "row"]).any()


def with_prompt_sets(sentences: tuple[str, ...]) -> FeatureCache:
    """The cache of the other tests, whose set `name` has these sentences, one for each class."""
    cache = make_cache()
    others = OtherPrompts(
        sentences=sentences,
        sets=("name", "name"),
        owners=np.arange(2, dtype=np.int32),
        embeddings=unit(np.array([[-1.0, 0.1], [1.0, 0.1]]) @ np.eye(2, 24)),
    )
    return replace(
        cache,
        texts=replace(cache.texts, other_prompts=others),
        provenance={**cache.provenance, "templates": "simple"},
    )


def test_the_prompts_of_a_set_are_used_and_shown(tmp_path):
    path, run = tmp_path / "toy.h5", tmp_path / "run"
    write_cache(path, cache := with_prompt_sets(("small", "large")))
    arguments = ["--cache", path, "--method", "zeroshot", "--out", run, "--overwrite"]
    own = json.loads(invoke(*arguments, "--json").stdout)
    assert own["prompt_set"] == "simple"
    done = invoke(*arguments, "--prompts", "name", "--format", "markdown")
    assert '\n\nclass prompts (name): "small"; "large"\n\n' in done.stdout
    assert "--prompts changes nothing" not in done.stderr
    found = read_run(run)
    assert found.config["prompts"] == found.metrics["prompt_set"] == "name"
    assert found.metrics["prompts"][0] == {"class": "small", "prompts": ["small"]}
    with np.load(run / "heads" / "zeroshot-seed0.npz") as head:
        assert (head["class_embeddings"] == cache.texts.other_prompts.embeddings).all()
    averages = (each["methods"]["zeroshot"]["test"]["average"] for each in (own, found.metrics))
    assert len(set(averages)) == 2


def test_complete_sentences_are_the_same_in_all_sets(tmp_path):
    path = tmp_path / "toy.h5"
    write_cache(path, with_prompt_sets(("a photo of a small one.", "a photo of a large one.")))
    arguments = ["--cache", path, "--method", "zeroshot", "--out", tmp_path / "run"]
    assert invoke(*arguments, "--prompts", "name").stderr.splitlines()[2] == (
        f"warning: {path}: its class prompts are complete sentences, which are the same in all "
        "sets: --prompts changes nothing"
    )


def test_prompts_that_the_cache_lacks_are_an_error(cache_file, tmp_path):
    path = tmp_path / "toy.h5"
    write_cache(path, with_prompt_sets(("small", "large")))
    for file, expected in (
        (
            path,
            "has the prompts name, simple only; extract the images again, which stores all that "
            "fit the text tower",
        ),
        (
            cache_file,
            "has no prompts made with templates; make it with extract from the images, or import "
            "it with --class-embeddings of other prompts",
        ),
    ):
        for command, more in (("calibrate", []), ("grid", ["--set", "lr=1e-3"])):
            arguments = [command, "--cache", str(file), "--prompts", "imagenet", *more]
            result = CliRunner().invoke(main, [*arguments, "--out", str(tmp_path / command)])
            message = f"{file}: --prompts imagenet: the cache {expected}, or leave --prompts out"
            assert (result.exit_code, result.stderr.splitlines()[-1]) == (1, f"Error: {message}")
            assert not (tmp_path / command).exists()


def test_swapped_class_embeddings_are_warned_of(tmp_path):
    cache = make_cache()
    texts = replace(
        cache.texts,
        class_embeddings=cache.texts.class_embeddings[::-1].copy(),
        class_prompt_embeddings=cache.texts.class_embeddings[::-1].copy(),
    )
    write_cache(tmp_path / "toy.h5", replace(cache, texts=texts))
    arguments = ["--cache", tmp_path / "toy.h5", "--out", tmp_path / "run", "--method", "zeroshot"]
    [warning] = json.loads(invoke(*arguments, "--json").stdout)["warnings"]
    assert "rows of 'small' look like 'large', rows of 'large' look like 'small'" in warning


def test_json_has_all_that_the_contract_names(cache_file, tmp_path):
    out = tmp_path / "run"
    result = json.loads(invoke("--cache", cache_file, "--out", out, "--json", *QUICK).stdout)
    assert result["dataset"] == "toy"
    assert result["selection"] == "inferred-groups"
    assert set(result["methods"]) == {"zeroshot", "erm", "cfr"}
    assert set(result["seconds"]) == {"import", "load", "compile", "train", "total"}
    assert sum(result["calibration_set"]["per_class"]) == result["calibration_set"]["size"]
    assert sum(result["calibration_set"]["per_group"]) == result["calibration_set"]["size"]
    assert set(result["recommendation"]) >= {"method", "criterion", "margin", "interval"}
    for method in result["methods"].values():
        assert set(method["by_selection"]) == set(selections_of(has_named=False))
        for split in (method["val"], method["test"]):
            accuracies = [group["accuracy"] for group in split["groups"]]
            assert split["worst_group"] == min(accuracies)
            assert split["group_mean"] == pytest.approx(np.mean(accuracies))
            counts = [group["n"] for group in split["groups"]]
            assert split["average"] == pytest.approx(np.average(accuracies, weights=counts))


def test_cfr_repairs_the_worst_group_and_is_recommended(cache_file, tmp_path):
    out = tmp_path / "run"
    result = json.loads(invoke("--cache", cache_file, "--out", out, "--json", *QUICK).stdout)
    worst = {name: each["test"]["worst_group"] for name, each in result["methods"].items()}
    assert worst["cfr"] > worst["erm"] + 0.2
    assert result["recommendation"]["method"] == "cfr"


def test_the_run_folder_holds_heads_that_give_the_printed_numbers(cache_file, tmp_path):
    out = tmp_path / "run"
    printed = json.loads(invoke("--cache", cache_file, "--out", out, "--json", *QUICK).stdout)
    run, cache = read_run(out), make_cache()
    assert run.metrics == printed
    assert run.config["settings"]["steps"] == 200
    assert run.provenance["cache"]["model"] == "none"
    assert list(run.history["cfr-seed0"]["step"]) == list(range(2, 201, 2))
    test = cache.rows.splits == 2
    for method in ("zeroshot", "erm", "cfr"):
        head = run.heads[f"{method}-seed0"]
        scores = cache.features[test].astype(np.float32) @ head["projection"]
        right = (scores @ head["class_embeddings"].T).argmax(1) == cache.rows.labels[test]
        assert right.mean() == pytest.approx(
            printed["methods"][method]["test"]["average"], abs=2e-3
        )


def test_seeds_give_means_with_their_deviations(cache_file, tmp_path):
    arguments = ["--cache", cache_file, "--json", *QUICK]
    both = json.loads(invoke(*arguments, "--seeds", 2, "--out", tmp_path / "both").stdout)
    single = [
        json.loads(invoke(*arguments, "--seed", seed, "--out", tmp_path / str(seed)).stdout)
        for seed in (0, 1)
    ]
    values = [each["methods"]["cfr"]["test"]["worst_group"] for each in single]
    together = both["methods"]["cfr"]["test"]
    assert together["worst_group"] == pytest.approx(np.mean(values))
    assert together["worst_group_std"] == pytest.approx(np.std(values, ddof=1))


def test_the_table_names_methods_prompts_and_the_recommendation(cache_file, tmp_path):
    result = invoke("--cache", cache_file, "--out", tmp_path / "a run", *QUICK, "--method", "dfr")
    assert "DFR" in result.stdout
    expected = 'class prompts: "a photo of a small one."; "a photo of a large one."'
    assert expected in result.stdout
    assert "Recommendation: none" in result.stdout
    assert result.stderr.splitlines()[-2:] == [
        f"run written to {tmp_path / 'a run'}",
        f"next: clip-cfr show '{tmp_path / 'a run'}'",
    ]


def test_all_methods_are_those_that_are_registered(cache_file, tmp_path):
    quick = ["--steps", "20", "--identification-steps", "20", "--identification-lr", "1e-4"]
    quick += ["--erm-steps", "20", "--erm-lr", "1e-4", "--dfr-subsamples", "1"]
    arguments = ["--cache", cache_file, "--out", tmp_path / "run", *quick, "--json"]
    result = json.loads(invoke(*arguments, "--method", "all").stdout)
    assert tuple(result["methods"]) == METHODS
    assert not result["failures"]


def test_a_method_that_cannot_be_fitted_is_named_and_the_others_are_kept(tmp_path):
    cache = make_cache()
    lonely = np.flatnonzero((cache.rows.splits == 1) & (cache.rows.attributes != cache.rows.labels))
    valid = cache.valid.copy()
    valid[lonely[1:]] = False
    write_cache(
        tmp_path / "toy.h5", replace(cache, valid=valid, features=cache.features * valid[:, None])
    )
    methods = ["--method", "erm", "--method", "dfr", "--method", "zeroshot"]
    result = invoke(
        "--cache", tmp_path / "toy.h5", "--out", tmp_path / "run", *QUICK, *methods, code=1
    )
    reason = "Error: dfr: dfr needs at least two validation rows in each group, found one in "
    assert result.stderr.splitlines()[-1].startswith(reason)
    assert "zero-shot" in result.stdout
    assert set(read_run(tmp_path / "run").metrics["methods"]) == {"erm", "zeroshot"}


def test_versus_compares_the_methods_with_one_on_test(cache_file, tmp_path):
    arguments = ["--cache", cache_file, "--out", tmp_path / "run", *QUICK, "--versus", "erm"]
    found = json.loads(invoke(*arguments, "--json").stdout)["versus"]
    assert (found["method"], list(found["methods"])) == ("erm", ["zeroshot", "cfr"])
    cfr = found["methods"]["cfr"]["worst_group"]
    methods = read_run(tmp_path / "run").metrics["methods"]
    expected = (methods[each]["test"]["worst_group"] for each in ("cfr", "erm"))
    assert cfr["difference"] == pytest.approx(np.subtract(*expected))
    assert cfr["beyond_noise"] is (cfr["adjusted_p_value"] < 0.05)
    printed = CliRunner().invoke(main, ["show", str(tmp_path / "run")]).stdout
    assert "difference from ERM on the test split, in points" in printed


def test_a_finished_run_is_not_replaced_unasked(cache_file, tmp_path):
    arguments = ["--cache", cache_file, "--out", tmp_path / "run", *QUICK, "--method", "zeroshot"]
    invoke(*arguments)
    before = (tmp_path / "run" / "metrics.json").read_bytes()
    assert "--overwrite" in invoke(*arguments, code=1).stderr
    assert (tmp_path / "run" / "metrics.json").read_bytes() == before
    invoke(*arguments, "--overwrite")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lr", "0"], "Error: lr is 0.0, expected above 0"),
        (["--nns-pool", "some"], "expected all, minibatch or a number of rows"),
        (["--positive", "best"], "Invalid value for '--positive'"),
        (["--seeds", "0"], "Invalid value for '--seeds'"),
        (["--seed", "4294967296"], "Invalid value for '--seed'"),
        (["--num-negatives", "100000"], "Error: num_negatives is 100000, expected at most"),
        (["--steps", "99999999999999"], "Error: steps is 99999999999999"),
        (["--versus", "resnet"], "Invalid value for '--versus'"),
        (["--versus", "dfr"], "are zeroshot, erm, cfr; add --method dfr"),
    ],
)
def test_wrong_values_are_usage_errors(cache_file, tmp_path, arguments, message):
    result = invoke("--cache", cache_file, "--out", tmp_path / "run", *arguments, code=2)
    assert "calibrate --help' for help." in result.stderr
    assert message in result.stderr


def test_an_empty_calibration_set_says_what_to_change(tmp_path):
    cache = make_cache()
    features = np.zeros_like(cache.features)
    features[np.arange(len(features)), cache.rows.labels] = 1
    write_cache(tmp_path / "easy.h5", replace(cache, features=features))
    arguments = ["--cache", tmp_path / "easy.h5", "--out", tmp_path / "run", *QUICK]
    result = invoke(*arguments, code=1)
    assert result.stderr.splitlines()[-1] == (
        "Error: cfr: the identification head misclassifies 0 training rows (small 0, large 0), "
        "expected at least 2 for a calibration set: train it less (--identification-steps, "
        "--identification-lr), use the errors of another head (--calibration-source zeroshot), "
        "or use the rows of smallest margin "
        "(--calibration-fallback margin)"
    )
    assert set(read_run(tmp_path / "run").metrics["methods"]) == {"zeroshot", "erm"}
    helped = invoke(*arguments, "--calibration-fallback", "margin", "--overwrite")
    assert (
        "warning: the source head misclassifies too few rows: the 128 training rows"
        in helped.stderr
    )


def test_one_class_only_is_an_error(tmp_path):
    cache = make_cache()
    rows = replace(cache.rows, labels=np.zeros_like(cache.rows.labels))
    write_cache(tmp_path / "one.h5", replace(cache, rows=rows))
    result = invoke("--cache", tmp_path / "one.h5", "--out", tmp_path / "run", *QUICK, code=1)
    assert "the training split holds only class 'small'" in result.stderr


def test_a_group_without_rows_is_named(tmp_path):
    cache = make_cache()
    test = cache.rows.splits == 2
    hidden = test & (cache.rows.labels == 0) & (cache.rows.attributes == 1)
    rows = replace(cache.rows, splits=np.where(hidden, 0, cache.rows.splits).astype(np.int8))
    write_cache(tmp_path / "gap.h5", replace(cache, rows=rows))
    out = tmp_path / "run"
    result = invoke("--cache", tmp_path / "gap.h5", "--out", out, "--json", *QUICK)
    assert "warning: no rows in test of (small, green)" in result.stderr
    groups = json.loads(result.stdout)["methods"]["erm"]["test"]["groups"]
    assert [group["accuracy"] is None for group in groups] == [False, True, False, False]


def test_a_missing_cache_is_named(tmp_path):
    result = invoke("--cache", tmp_path / "none.h5", "--out", tmp_path / "run", code=1)
    assert str(tmp_path / "none.h5") in result.stderr


def test_the_preset_says_what_it_does_not_reproduce(cache_file, tmp_path):
    arguments = ["--cache", cache_file, "--out", tmp_path / "run", "--preset", "release", *QUICK]
    result = invoke(*arguments)
    assert "not reproduced from the release" in result.stderr
    settings = read_run(tmp_path / "run").config["settings"]
    assert settings["alpha"] == 1.5
    assert settings["steps"] == 200, "what is given on the command line wins"


def test_a_real_process_prints_one_json_object_and_nothing_else(cache_file, tmp_path):
    command = [sys.executable, ROOT / "cli.py", "calibrate", "--cache", cache_file, "--json"]
    done = subprocess.run(
        [*command, "--out", tmp_path / "run", *QUICK], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cache"] == str(cache_file)


def test_too_few_rows_in_memory_are_an_error_before_anything_is_fitted(cache_file, tmp_path):
    out = tmp_path / "run"
    result = invoke("--cache", cache_file, "--hold-rows", 500, "--out", out, code=2)
    assert "--hold-rows 500: expected at least 912, for the 400 rows" in result.stderr
    assert "seed 0: zeroshot" not in result.stderr
    assert not out.exists()


def test_what_does_not_fit_in_memory_is_said_before_training(cache_file, tmp_path):
    sizes = ["--erm-steps", "1000000000", "--batch-size", "1000000"]
    result = invoke("--cache", cache_file, "--out", tmp_path / "run", *sizes, code=2)
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Error: erm_steps is 1000000000: drawing the rows of 1000000000 steps ")
    assert last.endswith("; lower erm_steps or batch_size")
    assert "seed 0" not in result.stderr


def test_where_no_run_can_be_written_nothing_is_trained(cache_file, tmp_path):
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "run"
    result = invoke("--cache", cache_file, "--out", out, code=1)
    assert result.stderr == (
        f"Error: {out}: expected {tmp_path / 'file'} to be a folder; name another one\n"
    )


def test_a_full_disk_still_shows_the_result(cache_file, tmp_path):
    limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); "
    main = "from cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", limit + main, "calibrate", "--cache", cache_file, "--json"]
    zeroshot = ["--method", "zeroshot", "--out", tmp_path / "run"]
    done = subprocess.run([*command, *zeroshot], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert json.loads(done.stdout)["methods"]["zeroshot"]
    assert "run: cannot be written: File too large" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "run").exists()
    with open("/dev/full", "w") as full:  # Standard output is on the full disk, too.
        lost = subprocess.run(
            [*command, *zeroshot], stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
    last = lost.stderr.splitlines()[-1]
    assert lost.returncode == 1
    assert f"{tmp_path / 'run'}: cannot be written: File too large; " in last
    assert " bytes are needed; make room" in last


def test_without_a_folder_for_compiled_programs_nothing_is_said(cache_file, tmp_path):
    (tmp_path / "file").touch()
    command = [sys.executable, ROOT / "cli.py", "calibrate", "--cache", cache_file]
    arguments = ["--out", tmp_path / "run", "--method", "erm", "--erm-steps", "2"]
    arguments += ["--precision", "bfloat16"]
    homeless = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "file")}
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, env=homeless)
    run = tmp_path / "run"
    assert done.stderr == (
        f"{ON_CPU}precision: bfloat16 in the large products of training\nseed 0: erm\n"
        f"run written to {run}\nhead to use: {run}/heads/erm-seed0.npz\n"
        f"next: python cli.py show {run}\n"
    )


def test_finished_steps_are_followed_by_the_head_to_use_and_the_next_command(cache_file, tmp_path):
    run = tmp_path / "run"
    result = invoke("--cache", cache_file, "--out", run, *QUICK)
    head = read_run(run).recommended
    assert result.stderr.splitlines()[-3:] == [
        f"run written to {run}",
        f"head to use: {run}/heads/{head}.npz",
        f"next: clip-cfr show {run}",
    ]
    assert head == "cfr-seed0"


@pytest.mark.parametrize("form", ["table", "markdown", "latex", "csv"])
def test_show_prints_what_calibrate_printed(cache_file, tmp_path, form):
    run = tmp_path / "run"
    printed = invoke("--cache", cache_file, "--out", run, "--format", form, *QUICK).stdout
    shown = CliRunner().invoke(main, ["show", str(run), "--format", form])
    assert shown.exit_code == 0, shown.output
    without_time = [line for line in printed.splitlines() if not line.startswith("Seconds: ")]
    found = [line for line in shown.stdout.splitlines() if not line.startswith("Seconds: ")]
    assert found == without_time


def test_show_gives_the_json_of_the_run(cache_file, tmp_path):
    run = tmp_path / "run"
    printed = json.loads(invoke("--cache", cache_file, "--out", run, "--json", *QUICK).stdout)
    shown = json.loads(CliRunner().invoke(main, ["show", str(run), "--json"]).stdout)
    assert shown == printed


def test_predictions_give_the_printed_accuracies(cache_file, tmp_path):
    run = tmp_path / "run"
    arguments = ["--cache", cache_file, "--out", run, "--json", "--seeds", 2, *QUICK]
    printed = json.loads(invoke(*arguments).stdout)
    frame = pandas.read_csv(run / "predictions.csv.gz")
    test = frame[frame.split == "test"]
    for method in ("zeroshot", "erm", "cfr"):
        for each in printed["methods"][method]["seeds"]:
            name = f"{method}_seed{each['seed']}"
            right = test[name] == test.label
            groups = right.groupby([test.label, test.attribute]).mean()
            expected = each["by_selection"]["inferred-groups"]["test"]
            assert right.mean() == pytest.approx(expected["average"])
            assert groups.min() == pytest.approx(expected["worst_group"])
            probabilities = test[[f"{name}_p0", f"{name}_p1"]]
            assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
            assert (probabilities.to_numpy().argmax(axis=1) == (test[name] == "large")).all()


def test_calibration_rows_are_named_by_id(cache_file, tmp_path):
    run = tmp_path / "run"
    printed = json.loads(
        invoke("--cache", cache_file, "--out", run, "--json", "--seeds", 2, *QUICK).stdout
    )
    frame = pandas.read_csv(run / "calibration_rows.csv")
    assert len(frame) / 2 == printed["calibration_set"]["size"]
    assert set(frame.split) == {"train"}
    assert (frame.predicted != frame.label).all()
    assert (frame.id == [f"images/{row}.png" for row in frame.row]).all()


def test_two_runs_into_one_folder_at_once_are_refused(cache_file, tmp_path):
    run = tmp_path / "run"
    with write_lock(run):
        error = invoke("--cache", cache_file, "--out", run, *QUICK, code=1).stderr
    assert f"Error: {run}: another process is writing this" in error
    assert not run.exists()


def test_settings_are_grouped_in_the_help():
    assert sorted(name for names in SETTING_GROUPS.values() for name in names) == sorted(FIELDS)
    text = invoke("--help").stdout
    first = ("Data", "Run", "Attributes named in words", "Tracking")
    headings = [f"  {title}:" for title in (*first, *SETTING_GROUPS)]
    places = [text.index(heading) for heading in headings]
    assert places == sorted(places)


def test_tuned_methods_are_shown_with_a_command_that_fits_them_again(cache_file, tmp_path):
    out = tmp_path / "run"
    options = ["--cache", cache_file, "--method", "zeroshot", "--method", "erm", "--out", out]
    result = invoke(*options, "--tune", 2, "--dropout", 0.2, *QUICK)
    assert "2 of 2: erm_lr" not in result.stderr  # QUICK fixes it.
    assert "2 of 2: weight_decay" in result.stderr
    for text in (result.stdout, CliRunner().invoke(main, ["show", str(out)]).stdout):
        assert "each method tuned with 2 trials on the validation split (seed 0)" in text
        assert "zero-shot: not tuned: it has no settings to tune" in text
        assert "Fixed, not tuned for any method: erm_lr, dropout" in text
        assert f"calibrate --cache {cache_file} --method erm --steps 200 " in text


def test_workers_without_trials_are_wrong_usage(cache_file):
    assert invoke("--cache", cache_file, "--workers", 2, code=2).stderr.endswith(
        "Error: --workers is for the trials of --tune; leave it out\n"
    )
