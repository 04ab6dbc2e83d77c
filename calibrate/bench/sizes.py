"""Sizes of the benchmark: rows, widths and steps."""

from dataclasses import dataclass

# Rows of train, val and test.
Splits = tuple[int, int, int]


@dataclass(frozen=True)
class Sizes:
    """Rows, widths and steps of the benchmark.

    Attributes:
        rows: rows of train, val and test for the training times.
        small_rows: rows of train, val and test for the time of a small data set.
        celeba_rows: rows of train, val and test for the memory of a large data set.
        dim: width of the features.
        embedding: width of the embeddings.
        steps: steps of each timed stage, and of each point of the grid.
        loop_segments: segments into which these steps are split when the compiled loop is timed
            alone; each ends with one evaluation.
        many_evaluations: evaluations, in these steps, of a loop from which their cost is computed.
        loop_steps, vectorised_steps: steps of the two PyTorch loops, those of the warm-up included.
        run_options: options of the timed `calibrate` runs; empty for the default settings.
        grid_points: number of points of the grid.
    """

    rows: Splits
    small_rows: Splits
    celeba_rows: Splits
    dim: int
    embedding: int
    steps: int
    loop_segments: int
    many_evaluations: int
    loop_steps: int
    vectorised_steps: int
    run_options: tuple[str, ...]
    grid_points: int


WATERBIRDS: Splits = (4795, 1199, 5794)
SMALL: Splits = (657, 300, 1000)
CELEBA: Splits = (162_770, 19_867, 19_962)

# With the widths of CLIP ViT-L/14.
FULL = Sizes(
    rows=WATERBIRDS,
    small_rows=SMALL,
    celeba_rows=CELEBA,
    dim=1024,
    embedding=768,
    steps=400,
    loop_segments=4,
    many_evaluations=200,
    loop_steps=22,
    vectorised_steps=102,
    run_options=(),
    grid_points=32,
)
# Runs all code; the figures mean nothing. Equal sizes, so that fewer programs are compiled.
QUICK = Sizes(
    rows=(600, 120, 120),
    small_rows=(600, 120, 120),
    celeba_rows=(600, 120, 120),
    dim=48,
    embedding=32,
    steps=40,
    loop_segments=4,
    many_evaluations=20,
    loop_steps=4,
    vectorised_steps=4,
    run_options=("--steps", "40", "--erm-steps", "40", "--identification-steps", "40"),
    grid_points=2,
)
