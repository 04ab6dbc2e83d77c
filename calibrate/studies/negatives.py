"""Study of random and nearest-neighbour negatives over batch sizes and pools."""

from clip_cfr.calibrate.studies.data import StudyData
from clip_cfr.calibrate.studies.sentences import capitalize, describe_gains
from clip_cfr.calibrate.studies.study import Point, Study

BATCH_SIZES = (64, 128, 256)
POOLS = {
    "RNS minibatch": {"negative": "rns", "negative_pool": "minibatch"},
    "RNS pool 256": {"negative": "rns", "negative_pool": 256},
    "NNS minibatch": {"negative": "nns", "nns_pool": "minibatch"},
    "NNS all": {"negative": "nns", "nns_pool": "all"},
}


def make_label(pool: str, size: int) -> str:
    """Return the label of a point: `NNS all, batch 128`."""
    return f"{pool}, batch {size}"


def choose_pool(data: StudyData, kind: str, size: int) -> str | None:
    """Return the label of the pool that val chooses for `RNS` or `NNS` at a batch size.

    None if none could be fitted.
    """
    pools = [make_label(pool, size) for pool in POOLS if pool.startswith(kind)]
    fitted = data.fitted(pools)
    return data.choose_on_val(fitted) if fitted else None


def answer(data: StudyData) -> tuple[str, str]:
    """Compare NNS with RNS at each batch size, and the largest with the smallest batches."""
    chosen = {
        (kind, size): choose_pool(data, kind, size)
        for kind in ("NNS", "RNS")
        for size in BATCH_SIZES
    }
    sizes = [each for each in BATCH_SIZES if chosen["NNS", each] and chosen["RNS", each]]
    small, large = BATCH_SIZES[0], BATCH_SIZES[-1]
    kinds = [kind for kind in ("NNS", "RNS") if chosen[kind, small] and chosen[kind, large]]
    share = max(1, len(sizes) + len(kinds))
    by_size = {
        f"batch {each}": data.gain(chosen["NNS", each], chosen["RNS", each], share)
        for each in sizes
    }
    by_kind = {kind: data.gain(chosen[kind, large], chosen[kind, small], share) for kind in kinds}
    first = describe_gains(by_size, "nearest-neighbour", "random negatives")
    second = describe_gains(by_kind, f"batches of {large}", f"batches of {small} rows")
    return (
        f"In {data.measure}, with the pool that val chooses, {first}.",
        f"{capitalize(second)}.",
    )


STUDY = Study(
    name="negatives",
    points=tuple(
        Point(make_label(pool, size), "cfr", {"batch_size": size, **changes})
        for size in BATCH_SIZES
        for pool, changes in POOLS.items()
    ),
    reference=make_label("RNS minibatch", 128),
    answer=answer,
    budget={"steps": 400},
)
