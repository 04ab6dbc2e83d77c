"""The engine of one machine: worker processes decode ahead of an encoder in this process."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator

from clip_cfr.extract.encoders.base import Encoder, Features
from clip_cfr.extract.engines.base import Encoded, Work
from clip_cfr.extract.engines.batch_size import Fitting, fitting_batch_size
from clip_cfr.extract.images.batches import Loaded, batches, seconds_to_decode, suitable_workers


class LocalEngine:
    """Encodes here, on one GPU or CPU."""

    def fitting_batch_size(self, encoder: Encoder) -> int:
        """A size that fits the encoder's device."""
        return fitting_batch_size(encoder)

    def encoded(
        self, encoder: Encoder, work: Work, say: Callable[[str], None]
    ) -> Iterator[Encoded]:
        """The batches of the work in their order."""
        workers = work.workers
        if workers is None:
            seconds = seconds_to_decode(work.manifest, encoder.view, work.rows)
            workers = suitable_workers(encoder.device, seconds)
        on_gpu = encoder.device.type == "cuda"
        fitting = Fitting(encoder, work.size, say)
        loaded = batches(
            work.manifest, encoder.view, work.rows, work.batch_size, workers, pinned=on_gpu
        )
        # On a GPU, a batch is fetched only once the next is launched, so that it never waits.
        launched = deque()
        with contextlib.closing(loaded):
            for batch in loaded:
                launched.append((batch, fitting.launch(batch.pixels)))
                if len(launched) > on_gpu:
                    yield fetched(*launched.popleft())
            while launched:
                yield fetched(*launched.popleft())


def fetched(batch: Loaded, fetch: Callable[[], tuple[Features, int]]) -> Encoded:
    """What became of a batch that was launched."""
    features, size = fetch()
    return Encoded(batch.start, features, size, batch.errors)
