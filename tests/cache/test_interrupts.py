"""Ctrl-C in the block of a command."""

import signal
import sys
from contextlib import suppress

import pytest

from clip_cfr.cache.interrupts import exit_on_interrupt


class InterruptedWhenDeleted:
    """An object whose destructor receives Ctrl-C: Python discards the KeyboardInterrupt."""

    def __del__(self):
        signal.raise_signal(signal.SIGINT)


def interrupt():
    signal.raise_signal(signal.SIGINT)


def interrupt_and_discard():
    """As in a destructor or in the callback of a weak reference."""
    InterruptedWhenDeleted()


def interrupt_and_catch():
    with suppress(KeyboardInterrupt):
        interrupt()


@pytest.mark.parametrize("block", [interrupt, interrupt_and_discard, interrupt_and_catch])
def test_ctrl_c_ends_the_process_with_a_message(block, monkeypatch, capsys):
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit) as ended, exit_on_interrupt("interrupted"):
        block()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"
    assert signal.getsignal(signal.SIGINT) is before


def test_only_the_inner_of_two_blocks_prints(capsys):
    with pytest.raises(SystemExit), exit_on_interrupt("outer"), exit_on_interrupt("inner"):
        interrupt_and_catch()
    assert capsys.readouterr().err == "inner\n"


def test_a_block_without_ctrl_c_goes_through(capsys):
    with exit_on_interrupt("interrupted"):
        pass
    with pytest.raises(ValueError, match="fault"), exit_on_interrupt("interrupted"):
        raise ValueError("fault")
    assert capsys.readouterr().err == ""
