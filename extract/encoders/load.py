"""Loads the encoder of a model, from the library that its name belongs to."""

from clip_cfr.extract.encoders.base import Encoder
from clip_cfr.extract.encoders.spec import EncoderSpec


def load_encoder(spec: EncoderSpec) -> Encoder:
    """The encoder of a model, from the library that its name belongs to.

    Raises:
        ExtractError: no such model, device or type; damaged weights; a head that is not linear.
    """
    if spec.model.startswith("open-clip:"):
        from clip_cfr.extract.encoders.open_clip.encoder import OpenClipEncoder

        return OpenClipEncoder.load(spec)
    from clip_cfr.extract.encoders.transformers_clip.encoder import ClipEncoder

    return ClipEncoder.load(spec)
