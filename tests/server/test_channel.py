"""Frames over a socket: whole messages or a ProtocolError, whatever comes."""

import socket
import threading
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import ProtocolError
from penstock.server.channel import Channel
from penstock.server.frames import MAX_FRAME
from penstock.server.messages import FromWorker, JobDone, Ready, Recall, Recalled, RunSlice, SliceDone, ToWorker
from penstock.store.rows import NewOutput


@pytest.fixture
def ends():
    """Return a channel and the bare socket at its other end."""
    ours, theirs = socket.socketpair()
    ours.settimeout(20)
    theirs.settimeout(20)
    channel = Channel(ours, FromWorker)
    yield channel, theirs
    channel.close()
    theirs.close()


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    server, worker = Channel(ours, FromWorker), Channel(theirs, ToWorker)
    yield server, worker
    server.close()
    worker.close()


def frame(body):
    return len(body).to_bytes(4) + body


def frame_of(*messages):
    return frame(msgspec.msgpack.encode(messages))


def test_messages_arrive_as_they_were_sent_in_order(pair):
    server, worker = pair
    sent = [Ready([]), SliceDone(7, 0.5, 3, [NewOutput("main", 3, b"Ta\n")], None), Recalled([1, 2])]
    assert worker.send(sent)
    assert server.receive() == sent
    assert server.send([Recall(None)])
    assert worker.receive() == [Recall(None)]


def test_a_frame_in_pieces_of_one_byte_is_put_together(ends):
    channel, other = ends
    data = frame_of(Recalled([1, 2, 3]))
    found = []
    for position in range(len(data)):
        other.sendall(data[position : position + 1])
        found.append(channel.receive())
    assert found == [[]] * (len(data) - 1) + [[Recalled([1, 2, 3])]]


def test_two_frames_and_the_begin_of_a_third_in_one_piece_are_taken_apart(ends):
    channel, other = ends
    third = frame_of(Recalled([3]))
    other.sendall(frame_of(Recalled([1])) + frame_of(Recalled([2])) + third[:5])
    assert channel.receive() == [Recalled([1]), Recalled([2])]
    other.sendall(third[5:])
    assert channel.receive() == [Recalled([3])]


def test_an_empty_list_is_no_message(ends):
    channel, other = ends
    other.sendall(frame_of())
    assert channel.receive() == []


def test_a_frame_of_64_megabytes_comes_through_and_flush_sends_what_the_socket_did_not_take(pair):
    server, worker = pair
    server.socket.setblocking(False)
    payload = bytes(range(256)) * (1 << 18)
    task = RunSlice(1, 50, UUID(int=1), 1, 1, 0, 0, payload)
    assert not server.send([task])
    assert not server.send([Recall([1])])
    worker.socket.setblocking(False)
    found = []
    while len(found) < 2:
        server.flush()
        found += worker.receive()
    assert server.flush()
    assert found == [task, Recall([1])]


def test_the_end_of_the_stream_is_none(ends):
    channel, other = ends
    other.close()
    assert channel.receive() is None


def test_a_channel_whose_other_end_is_gone_takes_everything(ends):
    channel, other = ends
    other.close()
    for _ in range(3):
        assert channel.send([Recall(None)])
    assert channel.flush()


def test_a_socket_that_does_not_block_says_that_nothing_is_there(ends):
    channel, _ = ends
    channel.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        channel.receive()


def test_too_long_a_length_is_refused_before_anything_is_read(ends):
    channel, other = ends
    other.sendall((MAX_FRAME + 1).to_bytes(4))
    with pytest.raises(ProtocolError, match="the most is"):
        channel.receive()


def nested(depth):
    """Return a job's end whose columns hold a list in a list in a list …"""
    deep = b"\x91" * depth + b"\xc0"
    return b"\x91" + b"\x97\x0d\x01\xcb" + b"\0" * 8 + b"\xc0\xc0" + b"\x81\xa1a" + deep + b"\x80"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"GET / HTTP/1.1\r\n",
        b"\x91",
        msgspec.msgpack.encode({"a": 1}),
        msgspec.msgpack.encode([[99, 1]]),
        msgspec.msgpack.encode([[14, "key", 1.0, 1, [], None]]),
        msgspec.msgpack.encode([Recall(None)]),
        b"\x91\x92\x0f\x91\xa2\xff\xff",
        nested(100_000),
    ],
    ids=["empty", "reserved", "http", "short", "map", "tag", "type", "direction", "no utf-8", "nested"],
)
def test_hostile_bytes_are_a_protocol_error(ends, body):
    channel, other = ends
    other.sendall(frame(body))
    other.close()

    def read():
        while channel.receive() is not None:
            pass

    with pytest.raises(ProtocolError):
        read()


@given(st.binary(max_size=60))
def test_any_bytes_are_messages_or_a_protocol_error(body):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = Channel(ours, FromWorker)
        theirs.sendall(frame(body))
        try:
            found = channel.receive()
        except ProtocolError:
            return
        assert isinstance(found, list)


def test_what_is_sent_from_several_threads_is_not_mixed_up(pair):
    server, worker = pair
    threads = [
        threading.Thread(target=lambda n=n: [worker.send([Recalled([n] * 100)]) for _ in range(50)]) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    found = []
    while len(found) < 200:
        found += server.receive()
    for thread in threads:
        thread.join()
    assert sorted(message.keys[0] for message in found) == sorted(list(range(4)) * 50)
    assert all(len(set(message.keys)) == 1 for message in found)


def test_a_job_that_ends_keeps_the_types_of_its_columns(pair):
    server, worker = pair
    sent = JobDone(1, 0.1, None, b"x", {"percent_complete": 7}, {"a": [1, {"b": None}]})
    worker.send([sent])
    assert server.receive() == [sent]
