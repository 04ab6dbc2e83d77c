"""Batches on their way through a cluster: decoded anywhere, encoded by whoever is free."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayActorError

from clip_cfr.extract.engines.base import Encoded, Work
from clip_cfr.extract.engines.on_ray.encoding import Card, refuse_other
from clip_cfr.extract.engines.on_ray.ray_errors import explained
from clip_cfr.extract.errors import ExtractError

# An encoder computes one batch while the next is brought to its machine.
CALLS = 2
# Batches for each encoder that may be ahead of the first that is not done: features wait in the
# driver's memory until those before them have come.
AHEAD = 16
# Whatever ends four encoders in turn is no accident.
TRIES = 4
LOADING = "loading the model"


@dataclass(eq=False)
class Batch:
    """A batch on its way.

    Attributes:
        pixels: refers to what lies on the machine that decoded it.
        host: which that is.
        tries: encoders that it has been lost with.
    """

    rows: range
    pixels: ray.ObjectRef
    errors: dict[int, str] = field(default_factory=dict)
    host: str = ""
    tries: int = 0


@dataclass
class Flow:
    """Gives batches to decoders and encoders, and takes back what they make.

    Only so many batches are on their way at a time, whatever the number of rows. An encoder gets
    the next batch when it has done one, so that a slow one gets fewer; and when nothing else is
    left to do, an idle one repeats what another has not finished. A batch whose encoder dies goes
    to another; the dead one joins again once Ray has restarted it.

    Attributes:
        decode: takes rows, gives references to their pixels and to what is said of them.
        starting: references to the cards of encoders that load the model.
        expected: the provenance that all encoders have to share.
    """

    work: Work
    decode: Callable[[range], tuple[ray.ObjectRef, ray.ObjectRef]]
    decoders: int
    starting: dict[ray.ObjectRef, ActorHandle]
    expected: dict[str, Any]
    say: Callable[[str], None]

    def __post_init__(self):
        self.encoders = len(self.starting)
        self.size = self.work.size
        self.calls: dict[ActorHandle, int] = {}
        self.decoding: dict[ray.ObjectRef, Batch] = {}
        self.decoded: deque[Batch] = deque()
        self.encoding: dict[ray.ObjectRef, tuple[Batch, ActorHandle]] = {}
        self.done: dict[int, tuple[Batch, Encoded]] = {}
        self.left = deque(self.work.batches())
        self.first = self.work.rows.start

    def results(self) -> Iterator[tuple[Batch, Encoded]]:
        """Batches in the order of their rows."""
        for rows in self.work.batches():
            self.first = rows.start
            while self.first not in self.done:
                self.hand_out()
                self.take_in()
            yield self.done.pop(self.first)

    def hand_out(self) -> None:
        """Gives everyone as much to do as there is."""
        while self.may_decode():
            rows = self.left.popleft()
            pixels, found = self.decode(rows)
            self.decoding[found] = Batch(rows, pixels)
        while self.decoded and (encoder := self.free_encoder(CALLS)):
            self.encode(self.decoded.popleft(), encoder)
        if not self.decoded and not self.decoding:
            self.repeat_stragglers()

    def may_decode(self) -> bool:
        """Whether another batch may start: some may wait for encoders, and some for the first."""
        ahead = self.decoders + AHEAD * self.encoders
        waiting = len(self.decoding) + len(self.decoded)
        return (
            bool(self.left)
            and self.left[0].start < self.first + ahead * self.work.batch_size
            and len(self.decoding) < self.decoders
            and waiting < self.decoders + CALLS * self.encoders
        )

    def free_encoder(self, calls: int) -> ActorHandle | None:
        """The encoder that has the least to do, where that is fewer than so many calls."""
        encoder = min(self.calls, key=self.calls.get, default=None)
        return encoder if encoder is not None and self.calls[encoder] < calls else None

    def encode(self, batch: Batch, encoder: ActorHandle) -> None:
        """Sends a batch to an encoder."""
        self.calls[encoder] += 1
        result = encoder.encode.remote(batch.pixels, self.size, self.expected)
        self.encoding[result] = batch, encoder

    def repeat_stragglers(self) -> None:
        """Lets idle encoders do what others have had the longest."""
        under_way = [batch for batch, _ in self.encoding.values()]
        once = [batch for batch in under_way if under_way.count(batch) == 1]
        for batch in sorted(once, key=lambda batch: batch.rows.start):
            if encoder := self.free_encoder(1):
                self.encode(batch, encoder)

    def take_in(self) -> None:
        """Waits for the next thing that is ready."""
        waited = [*self.encoding, *self.starting, *self.decoding]
        (ready,), _ = ray.wait(waited, num_returns=1, fetch_local=False)
        if ready in self.encoding:
            self.take_encoded(ready)
        elif ready in self.starting:
            self.take_started(ready)
        else:
            self.take_decoded(ready)

    def take_started(self, ready: ray.ObjectRef) -> None:
        """Takes in an encoder that has loaded the model."""
        encoder = self.starting.pop(ready)
        with explained(LOADING):
            card: Card = ray.get(ready)
        refuse_other(self.expected, card.provenance, card.host)
        self.calls[encoder] = 0

    def take_decoded(self, ready: ray.ObjectRef) -> None:
        """Takes what is said of a batch's images; their pixels stay where they are."""
        batch = self.decoding.pop(ready)
        with explained("decoding"):
            batch.errors, batch.host = ray.get(ready)
        self.decoded.append(batch)

    def take_encoded(self, ready: ray.ObjectRef) -> None:
        """Takes features, or notices that an encoder has died."""
        batch, encoder = self.encoding.pop(ready)
        try:
            with explained("encoding"):
                features, size, said = ray.get(ready)
        except ExtractError as error:
            if not isinstance(error.__cause__, RayActorError):
                raise
            self.lose(batch, encoder, error)
            return
        if encoder in self.calls:
            self.calls[encoder] -= 1
        if size < self.size:
            self.size = size
            for line in said:
                self.say(line)
        if batch.rows.start >= self.first:
            encoded = Encoded(batch.rows.start, features, size, batch.errors)
            self.done.setdefault(batch.rows.start, (batch, encoded))

    def lose(self, batch: Batch, encoder: ActorHandle, error: ExtractError) -> None:
        """Gives a batch to another encoder; the lost one is asked to load the model again."""
        self.calls.pop(encoder, None)
        if encoder not in self.starting.values():
            self.starting[start(encoder)] = encoder
        batch.tries += 1
        if batch.tries == TRIES:
            raise ExtractError(
                f"{TRIES} processes that encoded the batch of row {batch.rows.start} died: the "
                "system ends one when memory runs out; use a smaller --batch-size with "
                f"--overwrite, or nodes with more memory ({error})"
            ) from error
        elsewhere = any(batch is other for other, _ in self.encoding.values())
        if batch.rows.start >= self.first and batch.rows.start not in self.done and not elsewhere:
            self.decoded.appendleft(batch)


def start(encoder: ActorHandle) -> ray.ObjectRef:
    """Refers to the card of an encoder, which tells it when the model is loaded."""
    return encoder.card.options(max_task_retries=TRIES - 1).remote()
