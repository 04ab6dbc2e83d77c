"""Load the model that made the features of a run, and check that it is the same."""

from clip_cfr.extract.encoders.base import Encoder
from clip_cfr.extract.encoders.load import load_encoder
from clip_cfr.extract.encoders.recorded_model import find_model_of_run
from clip_cfr.extract.encoders.spec import EncoderSpec
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.export.selected_head import SelectedHead


def load_model_of(head: SelectedHead, model: str | None) -> Encoder:
    """Return the model of a run in float32 on the CPU.

    Args:
        head: a head of the run.
        model: where the model is now; by default it is searched as in `find_model_of_run`.

    Raises:
        ExtractError: the model is gone or cannot be loaded, has other weights, or has features of
            another width than the head.
    """
    name, revision = find_model_of_run(head.directory, head.run, model)
    encoder = load_encoder(EncoderSpec(name, revision, device="cpu", dtype="float32"))
    check_weights(head, name, encoder.provenance()["weights_sha256"])
    return encoder


def check_weights(head: SelectedHead, name: str, found: str) -> None:
    """Raise ExtractError if the digest of the weights is not the one in the run."""
    expected = head.model["weights_sha256"]
    if found != expected:
        raise ExtractError(
            f"model {name}: expected the weights with which the run's features were made, SHA-256 "
            f"{expected}, found {found}; name the right model with --model, or extract and "
            "calibrate again"
        )
