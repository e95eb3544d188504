"""What each thread of this process does at this moment, as text for people."""

import sys
import threading
import traceback


def stacks() -> str:
    """Return the stack of every thread, the innermost call last; threads by name."""
    frames = sys._current_frames()
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    told = sorted((names.get(ident, f"thread {ident}"), frame) for ident, frame in frames.items() if frame)
    return "\n".join(f"{name}:\n{''.join(traceback.format_stack(frame)).rstrip()}" for name, frame in told)
