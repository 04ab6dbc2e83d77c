import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from clip_cfr.extract.importing.provenance import digest_path
from tests.extract.importing.examples import Inputs, read_contents


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_records_the_name_and_digest_of_each_file(all_inputs: Inputs):
    cache, _ = read_contents(all_inputs)
    provenance = cache.provenance
    assert provenance["model"] == "imported"
    paths = {
        "features": all_inputs.features,
        "projection": all_inputs.projection,
        "class_embeddings": all_inputs.class_embeddings,
    }
    found = {name: provenance[name] for name in paths}
    assert found == {name: {"file": p.name, "sha256": sha256(p)} for name, p in paths.items()}
    assert len(provenance["manifest_sha256"]) == 64
    assert json.loads(json.dumps(provenance)) == provenance


def test_records_defaults(inputs: Inputs):
    provenance = read_contents(inputs)[0].provenance
    assert provenance["projection"] == "identity"
    assert provenance["class_embeddings"] == "class means of the training split"


def test_records_keys_and_several_files(inputs: Inputs, features: np.ndarray):
    path = inputs.features.with_name("F.npz")
    np.savez(path, first=features[:2], last=features[2:])
    several = replace(inputs, features=[f"{path}:first", f"{path}:last"])
    assert read_contents(several)[0].provenance["features"] == [
        {"file": "F.npz", "key": key, "sha256": sha256(path)} for key in ("first", "last")
    ]


def test_the_digest_of_a_folder_covers_names_and_contents(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_text("1")
    digests = [digest_path(tmp_path)]
    (tmp_path / "a" / "b").write_text("2")
    digests.append(digest_path(tmp_path))
    (tmp_path / "a" / "b").rename(tmp_path / "a" / "c")
    digests.append(digest_path(tmp_path))
    assert len(set(digests)) == 3
