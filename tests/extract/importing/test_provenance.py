import hashlib
import json

from clip_cfr.extract.importing.cache_contents import read_cache_contents
from clip_cfr.extract.importing.embedding_files import EmbeddingFiles


def test_records_the_name_and_digest_of_each_file(all_files: EmbeddingFiles):
    cache, _ = read_cache_contents(all_files)
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
    provenance = read_cache_contents(files)[0].provenance
    assert provenance["projection"] == "identity"
    assert provenance["class_embeddings"] == "class means of the training split"
