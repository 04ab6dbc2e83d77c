"""How the processors of a cluster are divided; Ray itself is not needed."""

import pytest

from clip_cfr.extract.engines.on_ray.resources import Plan, planned
from clip_cfr.extract.errors import ExtractError


def test_each_gpu_has_an_encoder_and_all_cores_decode():
    nodes = [{"CPU": 16.0, "GPU": 4.0}, {"CPU": 32.0}, {"memory": 1.0}]
    expected = Plan("cuda", encoders=4, cores=0, gpus=1, decoders=48)
    assert planned(nodes, "auto") == planned(nodes, "cuda") == expected


@pytest.mark.parametrize(
    ("cores", "encoders", "each", "decoders"),
    [((1,), 1, 0, 1), ((2,), 1, 1, 1), ((16,), 4, 3, 4), ((16, 6), 5, 3, 7), ((64, 2), 33, 1, 33)],
)
def test_without_gpus_cores_are_shared_out(cores, encoders, each, decoders):
    nodes = [{"CPU": float(count)} for count in cores]
    found = planned(nodes, "auto")
    assert found == Plan("cpu", encoders, each, gpus=0, decoders=decoders)
    assert found.encoders * found.cores + found.decoders == sum(cores)
    assert planned([*nodes, {"GPU": 1.0}], "cpu") == found


def test_what_the_cluster_lacks_is_said():
    with pytest.raises(ExtractError) as caught:
        planned([{"CPU": 8.0}, {"CPU": 8.0}], "cuda")
    assert str(caught.value) == (
        "--device cuda: no node of the Ray cluster has a GPU (2 nodes, 16 cores); start nodes with "
        "GPUs first, or use --device cpu"
    )
    with pytest.raises(ExtractError, match=r"^the Ray cluster has no CPU to decode images on"):
        planned([{"GPU": 8.0}], "auto")
