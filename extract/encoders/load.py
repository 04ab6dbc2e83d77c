"""Load the encoder of a model."""

from clip_cfr.extract.encoders.base import Encoder
from clip_cfr.extract.encoders.spec import EncoderSpec


def load_encoder(spec: EncoderSpec) -> Encoder:
    """Load the encoder of a model with the library that the model's name selects.

    Raises:
        ExtractError: if the model, device or compute type does not exist, the weights are damaged,
            or the image head is not linear.
    """
    if spec.model.startswith("open-clip:"):
        from clip_cfr.extract.encoders.open_clip.encoder import OpenClipEncoder

        return OpenClipEncoder.load(spec)
    from clip_cfr.extract.encoders.transformers_clip.encoder import ClipEncoder

    return ClipEncoder.load(spec)
