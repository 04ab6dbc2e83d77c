"""Plans for the resources of a cluster; Ray itself is not needed."""

import pytest

from clip_cfr.extract.engines.on_ray.resources import ResourcePlan, plan_resources
from clip_cfr.extract.errors import ExtractError


def test_each_gpu_gets_an_encoder_and_all_cores_decode():
    nodes = [{"CPU": 16.0, "GPU": 4.0}, {"CPU": 32.0}, {"memory": 1.0}]
    expected = ResourcePlan("cuda", encoders=4, cores=0, gpus=1, decoders=48)
    assert plan_resources(nodes, "auto") == plan_resources(nodes, "cuda") == expected


@pytest.mark.parametrize(
    ("cores", "encoders", "each", "decoders"),
    [
        *[((1,), 1, 0, 1), ((2,), 1, 1, 1), ((16,), 4, 3, 4), ((16, 6), 5, 3, 7)],
        *[((64, 2), 33, 1, 33), ((16, 1), 4, 3, 5), ((1, 2, 1), 1, 1, 3)],
        *[((1, 1), 1, 1, 1), ((1, 1, 1, 1, 1), 2, 1, 3)],
    ],
)
def test_without_gpus_encoders_and_decoders_share_the_cores(cores, encoders, each, decoders):
    nodes = [{"CPU": float(count)} for count in cores]
    found = plan_resources(nodes, "auto")
    assert found == ResourcePlan("cpu", encoders, each, gpus=0, decoders=decoders)
    assert found.encoders * found.cores + found.decoders == sum(cores)
    assert plan_resources([*nodes, {"GPU": 1.0}], "cpu") == found


def test_a_missing_resource_is_an_error():
    with pytest.raises(ExtractError) as caught:
        plan_resources([{"CPU": 8.0}, {"CPU": 8.0}], "cuda")
    assert str(caught.value) == (
        "--device cuda: no node of the Ray cluster has a GPU (2 nodes, 16 cores); start nodes with "
        "GPUs first, or use --device cpu"
    )
    with pytest.raises(ExtractError, match=r"^the Ray cluster has no CPU to decode images on"):
        plan_resources([{"GPU": 8.0}], "auto")
