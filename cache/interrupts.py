"""Ctrl-C: exit code 130 after a message, wherever in the program it arrives."""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from clip_cfr.cache.console import echo

# Exit code of a process that Ctrl-C ended: 128 plus the number of SIGINT, as in a shell.
INTERRUPTED = 130
# Seconds after which an interrupt that Python has discarded is raised again.
REPEAT_AFTER_S = 0.05


@contextmanager
def exit_on_interrupt(message: str) -> Iterator[None]:
    """On Ctrl-C in the block, print a message on standard error and exit with code 130.

    Python discards a KeyboardInterrupt that is raised in a destructor or a weak reference's
    callback, such as those of an import; it is raised again soon after. If a library catches the
    KeyboardInterrupt, the block runs to its end before the process exits.

    Raises:
        SystemExit: Ctrl-C was pressed in the block; its code is `INTERRUPTED`.
    """
    with _record_interrupts() as interrupts, _repeat_discarded_interrupts(interrupts):
        try:
            yield
        except KeyboardInterrupt:  # Another handler may have received the signal.
            interrupts.append(signal.SIGINT)
        if not interrupts:
            return
    echo(message, err=True)
    raise SystemExit(INTERRUPTED)


def run_program(main: Callable[[], None]) -> None:
    """Call `main`, and see that a process that exits with code 130 runs no destructors.

    An interrupted compilation leaves XLA in a state in which its destructors crash. If `main` exits
    with code 130, the last handler of `atexit` flushes the standard streams and ends the process
    with this code. This function itself does not end the process: exceptions of `main`, SystemExit
    included, propagate. After `main` has ended, SIGINT is ignored.

    SIGINT raises KeyboardInterrupt in `main` also where Python left it at its default action.
    """
    interrupted: list[int] = []
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    atexit.register(_end_process, interrupted)  # As the first one registered it runs last.
    try:
        main()
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            interrupted.append(INTERRUPTED)
        raise
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end_process(interrupted: list[int]) -> None:
    """End the process at once if it was interrupted."""
    if not interrupted:
        return
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # A full disk, or a closed stream.
            stream.flush()
    os._exit(INTERRUPTED)


@contextmanager
def _record_interrupts() -> Iterator[list[int]]:
    """Yield a list to which each SIGINT in the block is added, before its handler is called."""
    interrupts: list[int] = []
    handler = signal.getsignal(signal.SIGINT)

    def record(number: int, frame: FrameType | None) -> None:
        interrupts.append(number)
        handler(number, frame)

    # Python delivers Ctrl-C to the main thread only, and only there may a handler be set.
    if not callable(handler) or threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    signal.signal(signal.SIGINT, record)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, handler)


@contextmanager
def _repeat_discarded_interrupts(interrupts: list[int]) -> Iterator[None]:
    """Raise each KeyboardInterrupt that Python discards in the block again, without its traceback.

    A hook cannot raise it itself: Python would discard that one too. After an interrupt, errors in
    destructors are not printed: they are those of objects that it left unfinished.
    """
    timers: list[threading.Timer] = []
    hook = sys.unraisablehook

    def repeat(discarded: "sys.UnraisableHookArgs") -> None:
        if discarded.exc_type is not KeyboardInterrupt:
            if not interrupts:
                hook(discarded)
            return
        timer = threading.Timer(REPEAT_AFTER_S, _send_interrupt)
        timer.daemon = True
        timers.append(timer)
        timer.start()

    sys.unraisablehook = repeat
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for timer in timers:
            timer.cancel()
            timer.join()


def _send_interrupt() -> None:
    """Send SIGINT to the main thread, which also wakes it where it waits."""
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
