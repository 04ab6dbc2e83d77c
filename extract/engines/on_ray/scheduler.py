"""Schedule batches on a cluster: decode them on any host, encode them on a free encoder."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayActorError

from clip_cfr.extract.engines.base import EncodedBatch, EncodingRequest
from clip_cfr.extract.engines.on_ray.encoding import EncoderInfo, check_provenance
from clip_cfr.extract.engines.on_ray.ray_errors import convert_ray_errors
from clip_cfr.extract.engines.on_ray.waiting import fetch, wait_for_any
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.read import ReadReport

# Batches per encoder at a time: the next one is transferred while the encoder computes.
CALLS_PER_ENCODER = 2
# Batches per encoder that may be ahead of the first unfinished batch. Their features wait in the
# driver's memory, because results are in row order.
BATCHES_AHEAD = 16
# Four encoders that die on one batch are not an accident.
MAX_TRIES = 4
LOADING = "loading the model"


@dataclass(eq=False)
class PendingBatch:
    """A batch that is being decoded or encoded.

    Attributes:
        rows: row indices.
        pixels: reference to the pixels, on the host that decoded them.
        report: errors and notes of the rows.
        host: name of the host that decoded the batch.
        tries: number of encoders that died while encoding the batch.
    """

    rows: range
    pixels: ray.ObjectRef
    report: ReadReport = field(default_factory=ReadReport)
    host: str = ""
    tries: int = 0


@dataclass
class Scheduler:
    """Distributes batches to decoders and encoders and collects the results.

    The number of batches in flight is bounded, whatever the number of rows. An encoder receives a
    batch when it has finished one, so that a slow encoder receives fewer. Once no other work is
    left, an idle encoder repeats a batch that another one has not finished. When an encoder dies,
    its batch moves to another one, and it receives batches again after Ray has restarted it.

    Attributes:
        request: the rows to encode.
        decode: starts a decoding task; returns references to the pixels and to report and host.
        max_decoding: maximum number of decoding tasks at a time.
        loading: the actor of each reference to an `EncoderInfo` that is not available yet.
        expected: provenance that all encoders must have.
        message: callback receiving each line for the user.
        num_encoders: number of encoders at the start.
        microbatch_size: the smallest size that any encoder needed; sent with each further batch.
        calls: number of batches that each loaded encoder has been sent and not returned.
        decoding: batches that are being decoded, by the reference to their report.
        decoded: decoded batches that wait for an encoder.
        encoding: batch and encoder by the reference to the features; a batch may occur twice.
        done: encoded batches that have not been yielded, by their first row.
        waiting: rows of the batches that are not being decoded yet.
        first_row: first row of the next batch to yield.
    """

    request: EncodingRequest
    decode: Callable[[range], tuple[ray.ObjectRef, ray.ObjectRef]]
    max_decoding: int
    loading: dict[ray.ObjectRef, ActorHandle]
    expected: dict[str, Any]
    message: Callable[[str], None]

    def __post_init__(self):
        self.num_encoders = len(self.loading)
        self.microbatch_size = self.request.microbatch_size
        self.calls: dict[ActorHandle, int] = {}
        self.decoding: dict[ray.ObjectRef, PendingBatch] = {}
        self.decoded: deque[PendingBatch] = deque()
        self.encoding: dict[ray.ObjectRef, tuple[PendingBatch, ActorHandle]] = {}
        self.done: dict[int, tuple[PendingBatch, EncodedBatch]] = {}
        self.waiting = deque(self.request.batches())
        self.first_row = self.request.rows.start

    def run(self) -> Iterator[tuple[PendingBatch, EncodedBatch]]:
        """Yield each batch in row order: the batch as it was decoded, and its features.

        Raises:
            ExtractError: encoders differ in their provenance, a task fails, several encoders die on
                one batch, or nothing arrives for STALL_SECONDS.
        """
        for rows in self.request.batches():
            self.first_row = rows.start
            while self.first_row not in self.done:
                self.dispatch()
                self.handle_next_result()
            yield self.done.pop(self.first_row)

    def dispatch(self) -> None:
        """Start all decoding and encoding calls that the limits allow; do not wait for results."""
        while self.can_decode():
            rows = self.waiting.popleft()
            pixels, report_and_host = self.decode(rows)
            self.decoding[report_and_host] = PendingBatch(rows, pixels)
        while self.decoded and (encoder := self.find_encoder(CALLS_PER_ENCODER)):
            self.encode(self.decoded.popleft(), encoder)
        if not self.decoded and not self.decoding:
            self.repeat_stragglers()

    def can_decode(self) -> bool:
        """Return whether the limits allow another decoding task."""
        batches_ahead = self.max_decoding + BATCHES_AHEAD * self.num_encoders
        not_encoding = len(self.decoding) + len(self.decoded)
        return (
            bool(self.waiting)
            and self.waiting[0].start < self.first_row + batches_ahead * self.request.batch_size
            and len(self.decoding) < self.max_decoding
            and not_encoding < self.max_decoding + CALLS_PER_ENCODER * self.num_encoders
        )

    def find_encoder(self, max_calls: int) -> ActorHandle | None:
        """Return the encoder with the fewest calls; None if all have at least `max_calls`."""
        encoder = min(self.calls, key=self.calls.get, default=None)
        return encoder if encoder is not None and self.calls[encoder] < max_calls else None

    def encode(self, batch: PendingBatch, encoder: ActorHandle) -> None:
        """Send a batch to an encoder and record the call, without waiting for the features."""
        self.calls[encoder] += 1
        result = encoder.encode.remote(batch.pixels, self.microbatch_size, self.expected)
        self.encoding[result] = batch, encoder

    def repeat_stragglers(self) -> None:
        """Send the earliest batches that one encoder has not finished to idle encoders as well."""
        in_flight = [batch for batch, _ in self.encoding.values()]
        sent_once = [batch for batch in in_flight if in_flight.count(batch) == 1]
        for batch in sorted(sent_once, key=lambda batch: batch.rows.start):
            if encoder := self.find_encoder(1):
                self.encode(batch, encoder)

    def handle_next_result(self) -> None:
        """Wait for the next encoded batch, loaded encoder or decoded batch, and handle it.

        Raises:
            ExtractError: its task has failed for good, or nothing arrives for STALL_SECONDS.
        """
        results = [*self.encoding, *self.loading, *self.decoding]
        ready = wait_for_any(results, "extracting")
        if ready in self.encoding:
            self.handle_encoded(ready)
        elif ready in self.loading:
            self.handle_loaded(ready)
        else:
            self.handle_decoded(ready)

    def handle_loaded(self, ready: ray.ObjectRef) -> None:
        """Let an encoder that has loaded the model receive batches.

        Raises:
            ExtractError: it could not load the model, or its provenance differs from the expected
                one.
        """
        encoder = self.loading.pop(ready)
        with convert_ray_errors(LOADING):
            info: EncoderInfo = fetch(ready)
        check_provenance(self.expected, info.provenance, info.host)
        self.calls[encoder] = 0

    def handle_decoded(self, ready: ray.ObjectRef) -> None:
        """Fetch the report of a decoded batch; its pixels stay on the host that decoded them.

        Raises:
            ExtractError: decoding has failed.
        """
        batch = self.decoding.pop(ready)
        with convert_ray_errors("decoding"):
            batch.report, batch.host = fetch(ready)
        self.decoded.append(batch)

    def handle_encoded(self, ready: ray.ObjectRef) -> None:
        """Store the features of a batch in `done`, or handle the death of its encoder.

        Features of a batch that has been stored or yielded already are dropped. A smaller
        micro-batch size holds for all further batches.

        Raises:
            ExtractError: encoding has failed, or several encoders died while encoding the batch.
        """
        batch, encoder = self.encoding.pop(ready)
        try:
            with convert_ray_errors("encoding"):
                features, microbatch_size, messages = fetch(ready)
        except ExtractError as error:
            if not isinstance(error.__cause__, RayActorError):
                raise
            self.handle_death(batch, encoder, error)
            return
        if encoder in self.calls:
            self.calls[encoder] -= 1
        if microbatch_size < self.microbatch_size:
            self.microbatch_size = microbatch_size
            for line in messages:
                self.message(line)
        if batch.rows.start >= self.first_row:
            encoded = EncodedBatch(
                batch.rows.start,
                features,
                microbatch_size,
                batch.report.errors,
                batch.report.notes,
            )
            self.done.setdefault(batch.rows.start, (batch, encoded))

    def handle_death(self, batch: PendingBatch, encoder: ActorHandle, error: ExtractError) -> None:
        """Queue the batch of a dead encoder again, and wait for the encoder's restart.

        The batch is not queued if another encoder has or had it.

        Raises:
            ExtractError: MAX_TRIES encoders died while encoding the batch.
        """
        self.calls.pop(encoder, None)
        if encoder not in self.loading.values():
            self.loading[request_info(encoder)] = encoder
        batch.tries += 1
        if batch.tries == MAX_TRIES:
            raise ExtractError(
                f"{MAX_TRIES} processes died while encoding the batch of row {batch.rows.start}: "
                "the system kills one when memory runs out; use a smaller --batch-size with "
                f"--overwrite, or nodes with more memory ({error})"
            ) from error
        is_elsewhere = any(batch is other for other, _ in self.encoding.values())
        is_needed = batch.rows.start >= self.first_row and batch.rows.start not in self.done
        if is_needed and not is_elsewhere:
            self.decoded.appendleft(batch)


def request_info(encoder: ActorHandle) -> ray.ObjectRef:
    """Return a reference to the info of an encoder, available once it has loaded the model."""
    return encoder.describe.options(max_task_retries=MAX_TRIES - 1).remote()
