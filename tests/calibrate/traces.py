"""A counter of the traces of a jitted function, which names the argument that caused each."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

import jax

TRACED = "/jax/core/compile/jaxpr_trace_duration"


class Traces(logging.Handler):
    """Traces of one function.

    Attributes:
        function: name of the function.
        count: how often it was traced.
        reasons: JAX's explanations: what differs from the closest trace before.
    """

    def __init__(self, function: str):
        super().__init__()
        self.function, self.count, self.reasons = function, 0, []

    def count_event(self, event: str, start: float, end: float, **values) -> None:
        """Count an event of `jax.monitoring`."""
        self.count += event == TRACED and values.get("fun_name") == self.function

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the explanation of a trace of the function."""
        message = record.getMessage()
        if re.search(rf"^\s+(for )?{self.function} (id=|defined)", message, re.MULTILINE):
            self.reasons.append(message)


@contextmanager
def record_traces(function: str) -> Iterator[Traces]:
    """Record the traces of the jitted function of this name within the block."""
    traces, explain = Traces(function), jax.config.jax_explain_cache_misses
    logging.getLogger("jax").addHandler(traces)
    jax.monitoring.register_event_time_span_listener(traces.count_event)
    jax.config.update("jax_explain_cache_misses", True)
    try:
        yield traces
    finally:
        jax.config.update("jax_explain_cache_misses", explain)
        jax.monitoring.unregister_event_time_span_listener(traces.count_event)
        logging.getLogger("jax").removeHandler(traces)


@contextmanager
def assert_max_traces(function: str, most: int) -> Iterator[None]:
    """Raise AssertionError, with the reasons, if a function is traced more than `most` times."""
    with record_traces(function) as traces:
        yield
    if traces.count > most:
        reasons = "\n".join(traces.reasons)
        raise AssertionError(
            f"{function} was traced {traces.count} times, expected at most {most}:\n{reasons}"
        )
