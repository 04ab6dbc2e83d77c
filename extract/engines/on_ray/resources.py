"""Divide the CPUs and GPUs of a cluster between decoding and encoding."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clip_cfr.cache.wording import count_noun
from clip_cfr.extract.errors import ExtractError

# Of four cores, one decodes for the three that encode: see extract.images.workers.
CORES_PER_GROUP = 4


@dataclass(frozen=True)
class ResourcePlan:
    """Numbers of encoders and decoders, and the resources that Ray reserves for each encoder.

    Attributes:
        device: device of the encoders, `cpu` or `cuda`.
        encoders: number of encoder processes.
        cores: cores reserved per encoder, which are also its threads; 0 on GPUs.
        gpus: GPUs reserved per encoder: 0 or 1.
        decoders: decoding tasks that run at a time, on one core each.
    """

    device: str
    encoders: int
    cores: int
    gpus: int
    decoders: int


def plan_resources(nodes: Sequence[Mapping[str, float]], device: str) -> ResourcePlan:
    """Plan the use of a cluster.

    With GPUs, each gets an encoder, and all cores decode. Without, or with device `cpu`, of each
    four cores of a node three serve an encoder and one decodes; the remaining cores decode. If a
    node has two or three cores, the groups on all nodes are as small as that node. Nodes of one
    core only decode; if there are no others, every other one has an encoder. A single core does
    both.

    Args:
        nodes: resources of each node, under Ray's names.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        ExtractError: no node has a CPU, or `cuda` is requested and no node has a GPU.
    """
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    cores = [count for node in nodes if (count := int(node.get("CPU", 0)))]
    if not cores:
        raise ExtractError("the Ray cluster has no CPU to decode images on; start a node with some")
    if device == "cuda" and not gpus:
        raise ExtractError(
            "--device cuda: no node of the Ray cluster has a GPU "
            f"({count_noun(len(nodes), 'node')}, {count_noun(sum(cores), 'core')}); start nodes "
            "with GPUs first, or use --device cpu"
        )
    if gpus and device != "cpu":
        # The process of an encoder on a GPU hardly uses the CPU: reserve no core for it.
        return ResourcePlan("cuda", gpus, cores=0, gpus=1, decoders=sum(cores))
    group, encoders = divide_cores(cores)
    decoders = sum(cores) - encoders * (group - 1)
    return ResourcePlan("cpu", encoders, cores=group - 1, gpus=0, decoders=decoders)


def divide_cores(cores: Sequence[int]) -> tuple[int, int]:
    """Return the cores of a group, of which one decodes and the others encode, and the groups.

    Args:
        cores: number of cores of each node that has some, at least one node.
    """
    shared = [count for count in cores if count > 1]
    if not shared:
        # A group is a pair of nodes: an encoder cannot have cores of several nodes.
        group = min(2, len(cores))
        return group, len(cores) // group
    group = min(CORES_PER_GROUP, *shared)
    return group, sum(count // group for count in shared)
