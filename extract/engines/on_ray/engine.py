"""The engine of a Ray cluster: tasks decode, actors encode, this process collects the results."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from time import monotonic, sleep
from typing import Any

import numpy as np
import ray
import torch
from jaxtyping import Float32
from ray.actor import ActorHandle
from ray.exceptions import ActorUnavailableError

from clip_cfr.cache.format.schema import Head
from clip_cfr.extract.encoders.spec import EncoderSpec
from clip_cfr.extract.engines.base import EncodedBatch, EncodingRequest
from clip_cfr.extract.engines.on_ray.decoding import (
    DECODING_LIBRARIES,
    DecodingContext,
    decode_rows,
)
from clip_cfr.extract.engines.on_ray.encoding import EncoderInfo, EncodingActor
from clip_cfr.extract.engines.on_ray.ray_errors import convert_ray_errors
from clip_cfr.extract.engines.on_ray.resources import ResourcePlan, plan_resources
from clip_cfr.extract.engines.on_ray.scheduler import (
    LOADING,
    PendingBatch,
    Scheduler,
    request_info,
)
from clip_cfr.extract.engines.on_ray.waiting import fetch, wait_for_any
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.preprocessing import Preprocessing
from clip_cfr.extract.images.read import read_image

RETRIES = 3
# Seconds to wait for an actor that restarts and loads its model again.
RESTART_S = 300
SECONDS_BEFORE_MESSAGE = 60


@dataclass(frozen=True)
class RemoteModel:
    """A `Model` whose towers run in actors; the first actor embeds texts.

    Attributes:
        actor: the first actor that has loaded the model.
        info: the properties of its encoder.
    """

    actor: ActorHandle
    info: EncoderInfo

    @property
    def preprocessing(self) -> Preprocessing:
        """How an image becomes the pixels that the image tower takes."""
        return self.info.preprocessing

    @property
    def dim(self) -> int:
        """Width of the features."""
        return self.info.dim

    @property
    def device(self) -> torch.device:
        """Kind of device that each encoder runs on."""
        return self.info.device

    def embed_texts(self, sentences: Sequence[str]) -> Float32[np.ndarray, "n embedding"]:
        """Return the unit-length embeddings of sentences, in their order.

        Raises:
            ExtractError: a sentence has more tokens than the text tower takes, or the actor fails.
        """
        with convert_ray_errors("embedding texts"):
            return call_actor(self.actor.embed_texts, sentences)

    def choose_batch_size(self) -> int:
        """Return a batch size that fits the memory of the actor's device.

        Raises:
            ExtractError: the actor fails.
        """
        with convert_ray_errors("choosing a batch size"):
            return call_actor(self.actor.choose_batch_size)

    def head(self) -> Head:
        """Return the linear map from features to embeddings, and the logit scale."""
        return self.info.head

    def provenance(self) -> dict[str, Any]:
        """Return, in JSON types, all settings that determine the bits of the features."""
        return self.info.provenance

    def find_bad_weight(self) -> str | None:
        """Return the name of a weight that holds NaN or infinity; None if there is none.

        Raises:
            ExtractError: the actor fails.
        """
        with convert_ray_errors("checking the weights"):
            return call_actor(self.actor.find_bad_weight)


@dataclass(frozen=True)
class RayEngine:
    """Encodes on all encoders of a cluster, which must have the same provenance.

    Attributes:
        plan: how the cluster is used.
        loading: the actor of each reference to an `EncoderInfo`, which is available once the actor
            has loaded the model.
    """

    plan: ResourcePlan
    loading: dict[ray.ObjectRef, ActorHandle]

    def choose_batch_size(self, model: RemoteModel) -> int:
        """Return a batch size that fits one encoder, and so all of them."""
        return model.choose_batch_size()

    def encode_batches(
        self, model: RemoteModel, request: EncodingRequest, message: Callable[[str], None]
    ) -> Iterator[EncodedBatch]:
        """Yield the batches of a request in row order.

        `request.workers` limits the decoding tasks that run at a time; by default one per planned
        core.

        Raises:
            ExtractError: encoders differ in their provenance, an image cannot be read on another
                host but on this one, several encoders die on one batch, or nothing arrives for
                STALL_SECONDS.
        """
        scheduler = Scheduler(
            request=request,
            decode=DecodeFunction(request, model),
            max_decoding=request.workers or self.plan.decoders,
            loading=dict(self.loading),
            expected=model.provenance(),
            message=message,
        )
        for pending, encoded in scheduler.run():
            check_unreadable_here(request, pending)
            yield encoded


def start_encoders(
    spec: EncoderSpec, message: Callable[[str], None]
) -> tuple[RemoteModel, RayEngine]:
    """Start an encoder per GPU or group of cores; return once the first has loaded the model.

    This process must be connected to a cluster.

    Args:
        spec: the model; its device `auto` becomes that of the cluster's plan.
        message: callback receiving each line for the user.

    Raises:
        ExtractError: the cluster lacks the requested device, or cannot load the model.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    plan = plan_resources(nodes, spec.device)
    # Restart an actor however often nodes are lost. The scheduler counts the failures of a batch,
    # and the calls that load a model have a limit of their own.
    remote_actor = ray.remote(num_cpus=plan.cores, num_gpus=plan.gpus, max_restarts=-1)
    create_actor = remote_actor(EncodingActor).remote
    spec = replace(spec, device=plan.device)
    actors = [create_actor(spec, os.getcwd()) for _ in range(plan.encoders)]
    loading = {request_info(actor): actor for actor in actors}
    message(f"Ray: encoders on {plan.device}: {plan.encoders}")
    first = wait_for_first(list(loading), plan, message)
    with convert_ray_errors(LOADING):
        return RemoteModel(loading[first], fetch(first)), RayEngine(plan, loading)


def wait_for_first(
    infos: list[ray.ObjectRef], plan: ResourcePlan, message: Callable[[str], None]
) -> ray.ObjectRef:
    """Return the reference to the first available info; send a message if that takes long.

    The message is sent after SECONDS_BEFORE_MESSAGE.

    Args:
        infos: references to the infos of all encoders.
        plan: the resources that an encoder needs, for the message.
        message: callback receiving the message.

    Raises:
        ExtractError: none is available within a further STALL_SECONDS.
    """
    ready, _ = ray.wait(infos, timeout=SECONDS_BEFORE_MESSAGE)
    if ready:
        return ready[0]
    needed = f"{plan.gpus or plan.cores} {plan.device}"
    message(f"waiting for Ray to start an encoder, which needs {needed}")
    return wait_for_any(infos, "starting an encoder")


class DecodeFunction:
    """Starts decoding tasks on any host of the cluster, with the preprocessing of a model."""

    def __init__(self, request: EncodingRequest, model: RemoteModel):
        versions = {name: model.provenance()["versions"][name] for name in DECODING_LIBRARIES}
        context = DecodingContext(request.reader(model.preprocessing), os.getcwd(), versions)
        self.context, self.names = ray.put(context), request.manifest.rows.ids
        options = {"num_cpus": 1, "num_returns": 2, "max_retries": RETRIES}
        self.task = ray.remote(scheduling_strategy="SPREAD", **options)(decode_rows)

    def __call__(self, rows: range) -> tuple[ray.ObjectRef, ray.ObjectRef]:
        """Start decoding rows; return references to their pixels, and to their report and host."""
        return self.task.remote([self.context], rows, self.names[rows.start : rows.stop])


def check_unreadable_here(request: EncodingRequest, batch: PendingBatch) -> None:
    """Raise ExtractError if an image that another host could not read is readable on this host.

    Each image with an error in the batch's report is read again here.
    """
    manifest = request.manifest
    for row, error in batch.report.errors.items():
        try:
            read_image(manifest.images, row, manifest.rows.ids[row], request.decoding)
        except ExtractError:
            continue
        raise ExtractError(
            f"{batch.host} cannot read an image that this host can ({error.partition(';')[0]}): "
            "the data set must have the same path on every node of the Ray cluster; mount it "
            "there, or remove the node; the rows written so far are kept"
        )


def call_actor(method: Any, *arguments: Any) -> Any:
    """Call a method of an actor and return its result; repeat the call if the actor dies.

    Ray repeats a call whose actor dies, but refuses one that arrives while the actor restarts.

    Raises:
        ray.exceptions.RayError: the call failed, or the actor restarted for `RESTART_S` seconds.
    """
    deadline = monotonic() + RESTART_S
    while True:
        try:
            return fetch(method.options(max_task_retries=RETRIES).remote(*arguments))
        except ActorUnavailableError:
            if monotonic() > deadline:
                raise
            sleep(1)
