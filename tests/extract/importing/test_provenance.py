import hashlib
import json

from clip_cfr.extract.importing.import_embeddings import EmbeddingFiles, import_embeddings


def test_records_the_name_and_digest_of_each_file(all_files: EmbeddingFiles):
    cache, _ = import_embeddings(all_files)
    digests = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (all_files.features, all_files.projection, all_files.class_embeddings)
    }
    provenance = cache.provenance
    assert provenance["model"] == "imported"
    assert provenance["features"] == {"file": "F.npy", "sha256": digests["F.npy"]}
    assert provenance["projection"] == {"file": "W.npy", "sha256": digests["W.npy"]}
    assert provenance["class_embeddings"] == {"file": "T.npy", "sha256": digests["T.npy"]}
    assert len(provenance["manifest_sha256"]) == 64
    assert json.loads(json.dumps(provenance)) == provenance


def test_records_defaults_in_place_of_files(files: EmbeddingFiles):
    provenance = import_embeddings(files)[0].provenance
    assert provenance["projection"] == "identity"
    assert provenance["class_embeddings"] == "class means of the training split"
