"""Wait for results of Ray, with a limit: Ray itself would wait forever for resources."""

from collections.abc import Sequence
from typing import Any

import ray

from clip_cfr.extract.engines.on_ray.ray_errors import REMEDY
from clip_cfr.extract.errors import ExtractError

# Far longer than a batch takes on the slowest encoder, or a node to start in a cloud.
STALL_SECONDS = 3600


def wait_for_any(references: Sequence[ray.ObjectRef], operation: str) -> ray.ObjectRef:
    """Return the first reference whose result is available, or whose task has failed.

    The result is not fetched.

    Args:
        references: references to results, at least one.
        operation: name of the operation, for the message.

    Raises:
        ExtractError: there is none for STALL_SECONDS.
    """
    ready, _ = ray.wait(list(references), num_returns=1, timeout=STALL_SECONDS, fetch_local=False)
    if not ready:
        nodes = ray.nodes()
        alive = sum(node["Alive"] for node in nodes)
        raise ExtractError(
            f"{operation}: Ray has delivered nothing for {STALL_SECONDS / 60:.0f} minutes ({alive} "
            f"of {len(nodes)} nodes live); see its state with `ray status`; {REMEDY}"
        )
    return ready[0]


def fetch(reference: ray.ObjectRef) -> Any:
    """Wait for the result of a reference and return it.

    Raises:
        ray.exceptions.RayError: its task has failed, or the result does not arrive within
            STALL_SECONDS.
    """
    return ray.get(reference, timeout=STALL_SECONDS)
