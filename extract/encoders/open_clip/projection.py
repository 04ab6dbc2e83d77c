"""The last linear map of an image tower, taken out of it."""

from dataclasses import dataclass

import torch
from jaxtyping import Float32
from torch import nn

# Embeddings are compared at unit length; float32 rounds at 1e-7, another head is off by 1e-1.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Projection:
    """A linear map: embeddings = features @ weight + bias."""

    weight: Float32[torch.Tensor, "dim embedding"]
    bias: Float32[torch.Tensor, " embedding"] | None


class Headless(nn.Module):
    """An image tower of open_clip that gives features (batch, dim) instead of embeddings."""

    def __init__(self, visual: nn.Module):
        super().__init__()
        self.visual = visual

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The features; towers of CoCa give every token beside them."""
        output = self.visual(images)
        return output[0] if isinstance(output, tuple) else output


@torch.no_grad()
def taken_out(model: nn.Module, side: int) -> Projection | None:
    """The last linear map of the model's image tower, which then gives that map's input.

    What a tower does around its last map cannot be read off its class, so it is tried: None where
    features and map do not give the embeddings of the whole model, on an image of noise. The tower
    is spoilt then.
    """
    image = torch.rand((1, 3, side, side), generator=torch.Generator().manual_seed(0))
    image = image.to(model.logit_scale.device)
    expected = model.encode_image(image, normalize=True)
    projection = cut(model.visual)
    if projection is None:
        return None
    try:
        features = Headless(model.visual)(image)
    except RuntimeError:  # The map stands further inside, and what follows takes another width.
        return None
    if features.shape != (1, len(projection.weight)):
        return None
    embedding = features @ projection.weight
    if projection.bias is not None:
        embedding = embedding + projection.bias
    off = (nn.functional.normalize(embedding, dim=-1) - expected).abs().max()
    return projection if off < TOLERANCE else None


def cut(visual: nn.Module) -> Projection | None:
    """The last linear map, replaced by the identity; None where there is none."""
    if isinstance(getattr(visual, "proj", None), nn.Parameter):
        weight, visual.proj = visual.proj.detach(), None
        return Projection(weight, None)
    linear = [module for module in visual.modules() if isinstance(module, nn.Linear)]
    if not linear:
        return None
    last = linear[-1]
    bias = None if last.bias is None else last.bias.detach()
    projection = Projection(last.weight.detach().T, bias)
    # The module stays, as the attention pool of a ResNet reads its weights instead of calling it.
    # Multiplied by ones and zeros, numbers stay what they are.
    last.weight = nn.Parameter(torch.eye(last.in_features, device=last.weight.device), False)
    last.bias = None
    return projection
