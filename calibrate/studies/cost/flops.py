"""FLOPs of fine-tuning, extraction and calibration, from the dimensions of the image tower.

A multiply-accumulate (MAC) is two FLOPs. Training costs three forward passes: one forward, two
backward (Kaplan et al., 2020, section 2.1, https://arxiv.org/abs/2001.08361). Evaluation is left
out on both sides, and so are normalization, softmax and activations, which are below 1 %.
"""

from dataclasses import dataclass

from clip_cfr.calibrate.core.settings import Settings

FLOPS_PER_MAC = 2
TRAINING_PASSES = 3


@dataclass(frozen=True)
class VisionTransformer:
    """Dimensions of the image tower of a CLIP.

    Attributes:
        name: name of the model.
        image_size, patch_size: sides in pixels.
        width: width of the tokens, and of the features.
        layers: number of blocks.
        mlp_width: width of the hidden layer of a block.
        embedding: width of the embeddings.
    """

    name: str
    image_size: int
    patch_size: int
    width: int
    layers: int
    mlp_width: int
    embedding: int


TOWERS = (
    VisionTransformer("ViT-B/32", 224, 32, 768, 12, 3072, 512),
    VisionTransformer("ViT-L/14", 224, 14, 1024, 24, 4096, 768),
    VisionTransformer("ViT-L/14@336", 336, 14, 1024, 24, 4096, 768),
)
# Numbers of training images: the size of Waterbirds, and of CelebA.
TRAIN_IMAGES = (5_000, 163_000)


@dataclass(frozen=True)
class PaperCost:
    """The FLOPs of one model and one number of training images.

    Attributes:
        model: name of the model.
        images: number of training images.
        forward: FLOPs of one image.
        fine_tuning: FLOPs of all epochs of full fine-tuning.
        extraction: FLOPs of one forward pass of each image.
        calibration: FLOPs of the training steps of ERM and CFR.
    """

    model: str
    images: int
    forward: float
    fine_tuning: float
    extraction: float
    calibration: float

    @property
    def ratio(self) -> float:
        """FLOPs of fine-tuning over those of extraction and calibration."""
        return self.fine_tuning / (self.extraction + self.calibration)


def forward_macs(tower: VisionTransformer) -> int:
    """Return the MACs of a forward pass of one image through tower and projection.

    With N patches of side P, T = N + 1 tokens, width D, hidden width M, L layers and embeddings of
    E numbers: N * 3 * P^2 * D for the patches; in each layer 4 * T * D^2 for queries, keys, values
    and output, 2 * T^2 * D for attention, and 2 * T * D * M for the two linear maps; D * E for the
    projection.
    """
    patches = (tower.image_size // tower.patch_size) ** 2
    tokens, width = patches + 1, tower.width
    attention = 4 * tokens * width**2 + 2 * tokens**2 * width
    mlp = 2 * tokens * width * tower.mlp_width
    embed = patches * 3 * tower.patch_size**2 * width
    return embed + tower.layers * (attention + mlp) + width * tower.embedding


def trained_rows(settings: Settings) -> int:
    """Return how many rows all training steps of ERM and CFR embed, by the batch sizes.

    A pool of random negatives counts; the rows that `nns_pool` or positives add do not.
    """
    pool = settings.negative_pool
    pool = pool if settings.negative == "rns" and isinstance(pool, int) else 0
    erm = (settings.identification_steps + settings.erm_steps) * settings.batch_size
    rows = settings.batch_size + settings.calibration_batch_size + pool
    return erm + settings.steps * rows


def calibration_flops(tower: VisionTransformer, settings: Settings) -> int:
    """Return the FLOPs of the projection in all training steps of ERM and CFR."""
    macs = trained_rows(settings) * tower.width * tower.embedding
    return TRAINING_PASSES * FLOPS_PER_MAC * macs


def paper_cost(tower: VisionTransformer, images: int, epochs: int, settings: Settings) -> PaperCost:
    """Return the FLOPs of a model and a number of training images."""
    forward = FLOPS_PER_MAC * forward_macs(tower)
    return PaperCost(
        model=tower.name,
        images=images,
        forward=forward,
        fine_tuning=TRAINING_PASSES * epochs * images * forward,
        extraction=images * forward,
        calibration=calibration_flops(tower, settings),
    )


def paper_costs(epochs: int, settings: Settings) -> tuple[PaperCost, ...]:
    """Return the FLOPs of each of `TOWERS` on each of `TRAIN_IMAGES`."""
    return tuple(
        paper_cost(tower, images, epochs, settings) for tower in TOWERS for images in TRAIN_IMAGES
    )
