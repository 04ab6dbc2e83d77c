"""Say which head of a run predicts, and why."""

from collections.abc import Sequence
from pathlib import Path

from clip_cfr.cache.runs.heads import SavedHead, parse_head_name
from clip_cfr.cache.runs.run import Run


def describe_head(
    directory: Path, run: Run, heads: Sequence[SavedHead], is_default_method: bool
) -> str:
    """Return the head, or the heads whose mean is taken, as a line.

    For example, `head: erm, seed 0, of runs/x (recommended)`. For the default method of a run whose
    validation split could not decide between two, the line names the other one.

    Args:
        directory: the run folder.
        run: its contents.
        heads: the chosen heads, of one method.
        is_default_method: whether the run, not the user, chose the method.
    """
    seeds = [str(head.seed) for head in heads]
    which = f"seed {seeds[0]}" if len(seeds) == 1 else f"mean of the seeds {', '.join(seeds)}"
    reason = explain_method(run, heads, is_default_method)
    return f"head: {heads[0].method}, {which}, of {directory}{reason}"


def explain_method(run: Run, heads: Sequence[SavedHead], is_default_method: bool) -> str:
    """Return why the heads were chosen, as the end of a line; empty if the user chose others."""
    method, trade = heads[0].method, run.metrics.get("trade")
    if trade is not None:
        pair = (trade["over"], trade["method"])
        if not is_default_method or method not in pair:
            return ""
        other = pair[1 - pair.index(method)]
        return (
            f"; val could not decide between {' and '.join(pair)}: --method {other} uses the other"
        )
    recommended = run.recommended and parse_head_name(run.recommended)
    is_recommended = [recommended] == [(head.method, head.seed) for head in heads]
    # The only method of a run is its default without a comparison.
    return " (recommended)" if is_recommended and run.metrics.get("recommendation") else ""
