"""Signals to a command."""

import subprocess
import sys
from textwrap import dedent


def test_a_signal_at_the_very_end_does_not_keep_the_command_from_ending():
    # The thread that wakes the main one is held until it is told to end, and then finds a signal beside that.
    program = """
        import os, signal, threading, time
        from penstock.cli.signals import stopped_by_signals
        told, write = threading.Event(), os.write
        def noted(descriptor, data):
            write(descriptor, data)
            if data == b"\\0":
                told.set()
        os.write = noted
        time.sleep = lambda seconds: told.wait(20)
        with stopped_by_signals(lambda: None, lambda: None):
            os.kill(os.getpid(), signal.SIGTERM)
        print("left")
    """
    done = subprocess.run(
        [sys.executable, "-c", dedent(program)], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == "left\n"
