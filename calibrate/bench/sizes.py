"""How much the benchmark measures."""

from dataclasses import dataclass

Splits = tuple[int, int, int]


@dataclass(frozen=True)
class Sizes:
    """Rows, widths and steps of everything that is measured.

    Attributes:
        rows: rows of train, val and test that training is timed on.
        celeba_rows: rows that the memory of a large data set is measured on.
        dim, embedding: widths before and after the projection.
        steps: of a stage that is timed; also of each point of the grid.
        loop_pieces: of the steps, for the compiled loop alone; each ends with one evaluation.
        many_evaluations: of the loop that is timed with many of them.
        loop_steps, vectorised_steps: of the two PyTorch loops.
        run_options: of the `calibrate` runs on `rows`; none means the default settings.
        grid_points: how many points the grid has.
    """

    rows: Splits
    celeba_rows: Splits
    dim: int
    embedding: int
    steps: int
    loop_pieces: int
    many_evaluations: int
    loop_steps: int
    vectorised_steps: int
    run_options: tuple[str, ...]
    grid_points: int


WATERBIRDS: Splits = (4795, 1199, 5794)
CELEBA: Splits = (162_770, 19_867, 19_962)

# The widths are those of CLIP ViT-L/14.
FULL = Sizes(
    rows=WATERBIRDS,
    celeba_rows=CELEBA,
    dim=1024,
    embedding=768,
    steps=400,
    loop_pieces=4,
    many_evaluations=200,
    loop_steps=22,
    vectorised_steps=102,
    run_options=(),
    grid_points=32,
)
# Every path of the code, and figures that say nothing; of equal sizes, to compile less.
QUICK = Sizes(
    rows=(600, 120, 120),
    celeba_rows=(600, 120, 120),
    dim=48,
    embedding=32,
    steps=40,
    loop_pieces=4,
    many_evaluations=20,
    loop_steps=4,
    vectorised_steps=4,
    run_options=("--steps", "40", "--erm-steps", "40"),
    grid_points=2,
)
