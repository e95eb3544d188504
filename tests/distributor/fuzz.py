"""A fuzzer for the decoder of frames: `python -m tests.distributor.fuzz [SECONDS]`, 600 by default."""

import random
import sys
import time
from datetime import UTC, datetime

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.distributor.wire import (
    Beat,
    Credentials,
    Give,
    Hello,
    Joined,
    Left,
    Refused,
    Retired,
    Retiring,
    Said,
    ToDistributor,
    ToNode,
    Welcome,
)
from penstock.errors import ProtocolError
from penstock.ids import new_id
from penstock.server.frames import Decoder, append_frame
from penstock.server.messages import Enqueued, JobDone, KindFacts, Progressed, Recall, Recalled, RunJob
from penstock.store.rows import JobRow

ROW = JobRow(new_id(), "Kind", False, datetime(2026, 1, 1, tzinfo=UTC))
MOST = 1 << 16


def whole():
    """Return a strategy for lists of messages that a node may send."""
    numbers, texts, blobs = st.integers(0, 2**62), st.text(max_size=20), st.binary(max_size=40)
    said = st.one_of(
        st.builds(lambda key, blob: JobDone(key, 0.5, None, blob, {}, {"a": [1]}), numbers, blobs),
        st.builds(Recalled, st.lists(numbers, max_size=3)),
        st.builds(lambda key: Enqueued(key, ROW), numbers),
        st.builds(lambda key, blob: Progressed(key, ROW.id, blob), numbers, blobs),
    )
    return st.lists(
        st.one_of(
            st.builds(Credentials, numbers, texts, blobs, blobs, blobs),
            st.builds(lambda a, b, c: Joined(a, b, c, 0, [KindFacts("k", False, [], "k")]), numbers, texts, numbers),
            st.builds(Said, numbers, numbers, st.lists(said, max_size=3)),
            st.builds(lambda a, b: Left(a, b, {0: {1: 2}}, {0: [1]}), numbers, texts),
            st.builds(Retiring, st.none() | st.lists(numbers, max_size=3)),
            st.builds(Beat),
        ),
        max_size=4,
    )


def framed(messages):
    """Return messages as a frame."""
    buffer = bytearray()
    append_frame(messages, buffer)
    return bytes(buffer)


def chopped(messages, steps):
    """Check that two frames, cut into packets of these sizes, give the messages twice."""
    data = framed(messages) * 2
    decoder = Decoder(ToDistributor, most=MOST)
    got, start = [], 0
    for step in [*steps, len(data)]:
        got += decoder.feed(data[start : start + step])
        start += step
    assert got == messages * 2
    assert decoder.rest() == b""


def hostile(data):
    """Check that bytes are messages or refused, to either side, and that no more is kept than a frame."""
    for incoming in (ToDistributor, ToNode):
        decoder = Decoder(incoming, most=MOST)
        try:
            decoder.feed(data)
        except ProtocolError:
            continue
        assert len(decoder.rest()) <= MOST + 4 + len(data)


def mangled(messages, place, value):
    """Check the same of a frame with one byte changed; and, where it can be read, that it is still of the types."""
    data = bytearray(framed(messages))
    data[place % len(data)] = value
    hostile(bytes(data))
    hostile(len(data).to_bytes(4) + data)


SEEDS = [
    [Hello(1, b"n" * 32), Welcome(b"p", "a"), Refused("r"), Retired([1]), Retired(None), Beat()],
    [Give(1, 0, [RunJob(1, 50, ROW), Recall([1, 2]), Recall(None)])],
    [Said(1, 0, [JobDone(1, 0.5, None, b"x", {}, {})])],
]


def havoc(chance: random.Random) -> bytes:
    """Return frames of real messages with bytes changed, dropped, doubled and swapped."""
    data = bytearray(b"".join(framed(chance.choice(SEEDS)) for _ in range(chance.randrange(1, 4))))
    for _ in range(chance.randrange(1, 12)):
        place = chance.randrange(len(data))
        match chance.randrange(4):
            case 0:
                data[place] = chance.randrange(256)
            case 1:
                del data[place : place + chance.randrange(1, 8)]
            case 2:
                data[place:place] = data[place : place + chance.randrange(1, 32)]
            case _:
                data[place:place] = chance.randbytes(chance.randrange(1, 8))
        if not data:
            return b""
    if chance.random() < 0.7:  # So that it gets past the length.
        data[:4] = (len(data) - 4).to_bytes(4) if len(data) > 4 else data[:4]
    return bytes(data)


def main(seconds: float) -> None:
    """Fuzz for so long; tells how many inputs that were."""
    deadline, count = time.monotonic() + seconds, 0
    chance = random.Random()
    while time.monotonic() < deadline:
        for _ in range(2000):
            hostile(havoc(chance))
            count += 1

        @settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(whole(), st.lists(st.integers(1, 50), max_size=50), st.integers(0, 10_000), st.integers(0, 255))
        def round_of_hypothesis(messages, steps, place, value):
            chopped(messages, steps)
            mangled(messages, place, value)

        round_of_hypothesis()
        count += 400
    print(f"{count:,} inputs in {seconds:g} s: nothing found")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 600.0)
