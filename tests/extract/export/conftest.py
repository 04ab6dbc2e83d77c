"""A run on features of the tiny CLIP, with heads made by hand, on a few rendered digits."""

from pathlib import Path

import numpy as np
import pytest

from clip_cfr.cache.read.info import content_digest
from clip_cfr.cache.read.reader import read_cache
from clip_cfr.cache.runs.apply_head import apply_head, to_probabilities
from clip_cfr.cache.runs.run import Run, write_run
from clip_cfr.extract.encoders.spec import TINY_CLIP, EncoderSpec
from clip_cfr.extract.options import ExtractOptions
from clip_cfr.extract.pipeline import extract_dataset
from tests.extract.export.heads import make_heads

SPLITS = ("train", "val", "test")


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory) -> Path:
    """A folder with `images`, the cache `digits.h5` and the run folder `run`."""
    root = tmp_path_factory.mktemp("digits_run")
    extract_dataset(
        "digits",
        root / "images",
        root / "digits.h5",
        encoder=EncoderSpec(str(TINY_CLIP), device="cpu"),
        options=ExtractOptions(limit=60, workers=0, features_dtype="float32"),
    )
    write_run(root / "run", make_run(root / "digits.h5"))
    return root


def make_run(path: Path, recommended: str | None = "cfr-seed1") -> Run:
    """Return a run on a cache with the heads of `make_heads`."""
    cache = read_cache(path)
    heads, texts = make_heads(cache), cache.texts
    rows = np.flatnonzero((cache.rows.splits > 0) & cache.valid)
    names, attributes = np.array(texts.class_names), np.array(texts.attribute_names or ("any",))
    columns = {
        "row": rows.tolist(),
        "id": [cache.rows.ids[row] for row in rows],
        "split": [SPLITS[split] for split in cache.rows.splits[rows]],
        "label": names[cache.rows.labels[rows]].tolist(),
        "attribute": attributes[cache.rows.attributes[rows]].tolist(),
    }
    for name, arrays in heads.items():
        column = name.replace("-seed", "_seed")
        scores = apply_head(arrays, cache.features[rows])
        columns[column] = names[scores.argmax(1)].tolist()
        for label, values in enumerate(to_probabilities(arrays, scores).T):
            columns[f"{column}_p{label}"] = [f"{value:.6g}" for value in values]
    groups = [{"label": a, "attribute": b} for a in names.tolist() for b in attributes.tolist()]
    return Run(
        config={
            "cache": str(path),
            "methods": ["zeroshot", "cfr"],
            "seeds": [0, 1],
            "settings": {},
        },
        provenance={
            "cache_sha256": content_digest(path),
            "cache": cache.provenance,
            "versions": {"jax": "0"},
        },
        metrics={
            "dataset": cache.dataset,
            "groups": groups,
            "selection": "worst-class",
            "methods": {
                method: method_metrics(columns, groups, method)
                for method in dict.fromkeys(name.partition("-seed")[0] for name in heads)
            },
        },
        heads=heads,
        formulas=dict.fromkeys(heads, "a formula"),
        recommended=recommended,
        predictions=columns,
    )


def method_metrics(columns: dict[str, list], groups: list[dict], method: str) -> dict:
    """Return the test metrics of each seed of a method, as in `metrics.json`."""
    table = {name: np.array(column) for name, column in columns.items()}
    of_test = table["split"] == "test"
    seeds = []
    for seed in (seed for seed in (0, 1) if f"{method}_seed{seed}" in table):
        correct = (table[f"{method}_seed{seed}"] == table["label"])[of_test]
        found = []
        for group in groups:
            rows = [(table[name] == value)[of_test] for name, value in group.items()]
            chosen = correct[rows[0] & rows[1]]
            found.append({**group, "n": len(chosen), "accuracy": float(chosen.mean())})
        worst = min(group["accuracy"] for group in found)
        test = {"average": float(correct.mean()), "worst_group": worst, "groups": found}
        seeds.append({"seed": seed, "by_selection": {"worst-class": {"test": test}}})
    return {"test": {"worst_group_interval": [0.25, 0.75]}, "seeds": seeds}
