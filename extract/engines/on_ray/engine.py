"""The engine of a cluster: tasks decode, actors encode, and this process keeps what they make."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import ray
import torch
from jaxtyping import Float32
from ray.actor import ActorHandle

from clip_cfr.cache.format.schema import Head
from clip_cfr.extract.encoders.spec import EncoderSpec
from clip_cfr.extract.engines.base import Encoded, Work
from clip_cfr.extract.engines.on_ray.decoding import DECODING, Source, decode
from clip_cfr.extract.engines.on_ray.encoding import Card, EncodingActor
from clip_cfr.extract.engines.on_ray.ray_errors import explained
from clip_cfr.extract.engines.on_ray.resources import Plan, planned
from clip_cfr.extract.engines.on_ray.scheduler import LOADING, Batch, Flow, start
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.decode import read_image
from clip_cfr.extract.images.preprocessing import View
from clip_cfr.extract.manifest.manifest import Manifest

RETRIES = 3
SECONDS_BEFORE_TELLING = 60


@dataclass(frozen=True)
class RemoteModel:
    """A `Model` whose towers stand in actors; texts are embedded by the first of them."""

    actor: ActorHandle
    card: Card

    @property
    def view(self) -> View:
        """How an image becomes the pixels that the image tower takes."""
        return self.card.view

    @property
    def dim(self) -> int:
        """The width of the features."""
        return self.card.dim

    @property
    def device(self) -> torch.device:
        """Where the image towers run, each on a machine of its own."""
        return self.card.device

    def embed_texts(self, sentences: Sequence[str]) -> Float32[np.ndarray, "n embedding"]:
        """Unit-length embeddings of sentences."""
        with explained("embedding texts"):
            return ray.get(insistently(self.actor.embed_texts).remote(sentences))

    def fitting_batch_size(self) -> int:
        """A size that fits the device of the actor."""
        with explained("looking for a batch size"):
            return ray.get(insistently(self.actor.fitting_batch_size).remote())

    def head(self) -> Head:
        """The linear map from features to embeddings, and the logit scale."""
        return self.card.head

    def provenance(self) -> dict[str, Any]:
        """All that decides the bits of the features, in JSON types."""
        return self.card.provenance


@dataclass(frozen=True)
class RayEngine:
    """Encodes on all encoders of a cluster that are alike.

    Attributes:
        starting: references to the cards of the encoders.
    """

    plan: Plan
    starting: dict[ray.ObjectRef, ActorHandle]

    def fitting_batch_size(self, model: RemoteModel) -> int:
        """A size that fits the device of one encoder, and so of all."""
        return model.fitting_batch_size()

    def encoded(
        self, model: RemoteModel, work: Work, say: Callable[[str], None]
    ) -> Iterator[Encoded]:
        """The batches of the work in their order."""
        manifest, expected = work.manifest, model.provenance()
        decoders = work.workers or self.plan.decoders
        flow = Flow(work, decoder(manifest, model), decoders, dict(self.starting), expected, say)
        for batch, encoded in flow.results():
            refuse_unseen(manifest, batch)
            yield encoded


def begin(spec: EncoderSpec, say: Callable[[str], None]) -> tuple[RemoteModel, RayEngine]:
    """The model and the engine that runs it, on the cluster that this process is connected to.

    Raises:
        ExtractError: the cluster lacks what the spec asks for, or cannot load the model.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    plan = planned(nodes, spec.device)
    # Restarted as often as nodes are lost; what a batch or a model kills is counted where it runs.
    make = ray.remote(num_cpus=plan.cores, num_gpus=plan.gpus, max_restarts=-1)(EncodingActor)
    spec = replace(spec, device=plan.device)
    actors = [make.remote(spec, os.getcwd()) for _ in range(plan.encoders)]
    starting = {start(actor): actor for actor in actors}
    say(f"Ray: encoders on {plan.device}: {plan.encoders}")
    first = first_started(list(starting), plan, say)
    with explained(LOADING):
        return RemoteModel(starting[first], ray.get(first)), RayEngine(plan, starting)


def first_started(
    cards: list[ray.ObjectRef], plan: Plan, say: Callable[[str], None]
) -> ray.ObjectRef:
    """The first encoder that has loaded the model; says so where none has for long."""
    ready, _ = ray.wait(cards, timeout=SECONDS_BEFORE_TELLING)
    if not ready:
        say(f"waiting for Ray to start an encoder: {plan.gpus or plan.cores} {plan.device} each")
        ready, _ = ray.wait(cards)
    return ready[0]


def decoder(
    manifest: Manifest, model: RemoteModel
) -> Callable[[range], tuple[ray.ObjectRef, ray.ObjectRef]]:
    """Starts the decoding of rows, on any machine of the cluster."""
    versions = {name: model.provenance()["versions"][name] for name in DECODING}
    source = ray.put(Source(manifest.images, model.view, os.getcwd(), versions))
    task = ray.remote(num_cpus=1, num_returns=2, max_retries=RETRIES, scheduling_strategy="SPREAD")(
        decode
    )
    names = manifest.rows.ids
    return lambda rows: task.remote([source], rows, names[rows.start : rows.stop])


def refuse_unseen(manifest: Manifest, batch: Batch) -> None:
    """Raises ExtractError where an image cannot be read on one machine, but can on this one."""
    for row, error in batch.errors.items():
        try:
            read_image(manifest.images, row, manifest.rows.ids[row])
        except ExtractError:
            continue
        raise ExtractError(
            f"{batch.host} cannot read what can be read here ({error.partition(';')[0]}): the data "
            "set must lie under the same path on every node of the Ray cluster; mount it there, or "
            "leave the node out; what is saved is kept"
        )


def insistently(method: Any) -> Any:
    """A method of an actor that is called again where the actor dies."""
    return method.options(max_task_retries=RETRIES)
