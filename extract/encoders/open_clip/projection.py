"""Detach the last linear map of an image tower, so that the tower returns features."""

from dataclasses import dataclass

import torch
from jaxtyping import Float32
from torch import nn

from clip_cfr.extract.encoders.image_tower import find_bad_weight
from clip_cfr.extract.errors import ExtractError

# Largest difference of unit-length embeddings. float32 rounds at 1e-7; a wrong head is off by 1e-1.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Projection:
    """A linear map: embeddings = features @ weight + bias.

    Attributes:
        weight: (dim, embedding).
        bias: (embedding,), or None.
    """

    weight: Float32[torch.Tensor, "dim embedding"]
    bias: Float32[torch.Tensor, " embedding"] | None


class HeadlessTower(nn.Module):
    """An image tower of open_clip that returns features (batch, dim) instead of embeddings."""

    def __init__(self, visual: nn.Module):
        super().__init__()
        self.visual = visual

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the features; the towers of CoCa return all tokens as a second output."""
        output = self.visual(images)
        return output[0] if isinstance(output, tuple) else output


@torch.no_grad()
def detach_projection(model: nn.Module, side: int) -> Projection | None:
    """Detach the last linear map of the image tower, in place.

    The class of a tower does not say what the tower does around its last linear map. So the result
    is verified on an image of noise: features times projection must be the model's embedding.

    Args:
        model: the whole model; afterwards its image tower returns the input of the linear map.
        side: width and height of the images that the tower takes.

    Returns:
        The linear map, or None if the tower does not end in one; the tower is unusable then.

    Raises:
        ExtractError: the embedding is not finite, so that nothing can be verified; without the name
            of the model.
    """
    image = torch.rand((1, 3, side, side), generator=torch.Generator().manual_seed(0))
    image = image.to(model.logit_scale.device)
    expected = model.encode_image(image, normalize=True)
    if not expected.isfinite().all():
        raise ExtractError(describe_not_finite(model))
    projection = replace_last_linear(model.visual)
    if projection is None:
        return None
    try:
        features = HeadlessTower(model.visual)(image)
    except RuntimeError:  # The map is an inner layer, and later layers expect another width.
        return None
    if features.shape != (1, len(projection.weight)):
        return None
    embedding = features @ projection.weight
    if projection.bias is not None:
        embedding = embedding + projection.bias
    difference = (nn.functional.normalize(embedding, dim=-1) - expected).abs().max()
    return projection if difference < TOLERANCE else None


def describe_not_finite(model: nn.Module) -> str:
    """Return why the embeddings of a model's image tower are not finite, and what to do."""
    start = "the embeddings of its image tower hold NaN or infinity"
    if weight := find_bad_weight(model):
        return (
            f"{start}, because its weights do, such as {weight}: the training that made them "
            "failed, or the file is damaged; take another checkpoint"
        )
    return f"{start} although its weights are finite; take another model"


def replace_last_linear(visual: nn.Module) -> Projection | None:
    """Replace the last linear map of an image tower by the identity, in place, and return the map.

    It is the parameter `proj` if there is one, otherwise the last linear layer. The tower need not
    end in this layer: `detach_projection` verifies that. None if the tower has neither.
    """
    if isinstance(getattr(visual, "proj", None), nn.Parameter):
        weight, visual.proj = visual.proj.detach(), None
        return Projection(weight, None)
    linear = [module for module in visual.modules() if isinstance(module, nn.Linear)]
    if not linear:
        return None
    last = linear[-1]
    bias = None if last.bias is None else last.bias.detach()
    projection = Projection(last.weight.detach().T, bias)
    # Keep the module: the attention pool of a ResNet reads its weights instead of calling it.
    # A product with the identity matrix is exact.
    last.weight = nn.Parameter(torch.eye(last.in_features, device=last.weight.device), False)
    last.bias = None
    return projection


def projection_weights(visual: nn.Module, projection: Projection) -> dict[str, torch.Tensor]:
    """Return the weights, by their names in the whole model, that put a projection into a tower.

    Args:
        visual: an image tower whose projection was detached by `detach_projection`.
        projection: the projection to put in its place.
    """
    if hasattr(visual, "proj") and visual.proj is None:
        return {"visual.proj": projection.weight}
    *_, name = (name for name, module in visual.named_modules() if isinstance(module, nn.Linear))
    weights = {f"visual.{name}.weight": projection.weight.T}
    if projection.bias is not None:
        weights[f"visual.{name}.bias"] = projection.bias
    return weights
