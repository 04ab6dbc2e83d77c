"""Load the model that made the features of a run, and check that it is the same."""

from pathlib import Path

from clip_cfr.extract.encoders.base import Encoder
from clip_cfr.extract.encoders.load import load_encoder
from clip_cfr.extract.encoders.spec import PREFIX, EncoderSpec
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.export.selected_head import SelectedHead

HUB = "hf-hub:"


def load_model_of(head: SelectedHead, model: str | None) -> Encoder:
    """Return the model of a run in float32 on the CPU.

    Args:
        head: a head of the run.
        model: where the model is now; by default as named when its features were extracted.

    Raises:
        ExtractError: the model is gone or cannot be loaded, has other weights, or has features of
            another width than the head.
    """
    recorded = head.model["model"]
    name = model or recorded
    if name == recorded and is_missing_folder(recorded, head.model.get("revision")):
        raise ExtractError(
            f"model {recorded}: the run's features were made with this local model, which is not "
            f"there (looked in {Path.cwd()}); name its folder with --model"
        )
    # Models of open_clip have no revision to ask for; the digest of the weights is checked below.
    is_hub_id = not name.startswith(PREFIX) and not Path(name).expanduser().exists()
    revision = head.model.get("revision") if is_hub_id and name == recorded else None
    encoder = load_encoder(EncoderSpec(name, revision, device="cpu", dtype="float32"))
    check_weights(head, name, encoder.provenance()["weights_sha256"])
    return encoder


def is_missing_folder(model: str, revision: str | None) -> bool:
    """Return whether a model was local when its features were extracted, and is not there now."""
    if revision is not None or model.startswith(PREFIX + HUB):
        return False
    rest = model.removeprefix(PREFIX)
    if model.startswith(PREFIX) and not Path(rest).is_absolute() and rest.count("/") == 1:
        return False  # ARCHITECTURE/TAG or ARCHITECTURE/FILE, which the loader explains.
    return not Path(rest).expanduser().exists()


def check_weights(head: SelectedHead, name: str, found: str) -> None:
    """Raise ExtractError if the digest of the weights is not the one in the run."""
    expected = head.model["weights_sha256"]
    if found != expected:
        raise ExtractError(
            f"model {name}: expected the weights with which the run's features were made, SHA-256 "
            f"{expected}, found {found}; name the right model with --model, or extract and "
            "calibrate again"
        )
