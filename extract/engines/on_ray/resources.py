"""How the processors of a cluster are divided between decoding and encoding."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clip_cfr.extract.errors import ExtractError

# On a CPU three cores encode what one decodes: see extract.loading.chosen_workers.
CORES = 4


@dataclass(frozen=True)
class Plan:
    """How many encoders and decoders run at a time, and what Ray sets aside for an encoder.

    Attributes:
        device: of the encoders, `cpu` or `cuda`.
        cores: set aside for an encoder; its threads.
        gpus: set aside for an encoder.
        decoders: images are decoded by so many tasks at a time, of a core each.
    """

    device: str
    encoders: int
    cores: int
    gpus: int
    decoders: int


def planned(nodes: Sequence[Mapping[str, float]], device: str) -> Plan:
    """The plan for nodes of these resources, as Ray names them, and `auto`, `cpu` or `cuda`.

    A GPU each, or else three cores of four each, for an encoder; the other cores decode.

    Raises:
        ExtractError: the nodes have no GPU where one is asked for, or no cores.
    """
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    cores = [count for node in nodes if (count := int(node.get("CPU", 0)))]
    if not cores:
        raise ExtractError("the Ray cluster has no CPU to decode images on; start a node with some")
    if device == "cuda" and not gpus:
        raise ExtractError(
            f"--device cuda: no node of the Ray cluster has a GPU ({len(nodes)} nodes, "
            f"{sum(cores)} cores); start nodes with GPUs first, or use --device cpu"
        )
    if gpus and device != "cpu":
        # Beside a GPU the encoder's process only hands over: no core is set aside for it.
        return Plan("cuda", gpus, cores=0, gpus=1, decoders=sum(cores))
    share = min(CORES, *cores)
    encoders = sum(count // share for count in cores)
    decoders = sum(cores) - encoders * (share - 1)
    return Plan("cpu", encoders, cores=share - 1, gpus=0, decoders=decoders)
