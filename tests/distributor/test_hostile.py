"""Hostile and broken peers: each costs its own connection and nothing else."""

import gc
import re
import socket
import struct

import pytest
from tests.distributor.certificates import Authority
from tests.distributor.conftest import SECRET
from tests.process.lab import wait_for

from penstock.distributor import handshake, link, listener
from penstock.distributor.wire import VERSION, Beat, Credentials, Hello, Joined, Refused, Said, ToNode, Welcome
from penstock.errors import ProtocolError
from penstock.server.frames import MAX_FRAME, Decoder, append_frame
from penstock.server.messages import Enqueued

FOREVER = 60


class Peer:
    """A socket that plays a node, byte by byte if need be."""

    def __init__(self, distributor, *, secret=SECRET, name="peer"):
        host, _, port = distributor.address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), FOREVER)
        self.decoder = Decoder(ToNode)
        self.waiting = []
        self.secret = secret.encode()
        self.name = name

    def send(self, *messages, at_once=None):
        buffer = bytearray()
        append_frame(messages, buffer)
        step = at_once or len(buffer)
        for start in range(0, len(buffer), step):
            self.socket.sendall(buffer[start : start + step])

    def receive(self):
        """Return the next message; None when the connection was closed."""
        while not self.waiting:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self.waiting = self.decoder.feed(data)
        return self.waiting.pop(0)

    def greet(self, **changes):
        hello = self.receive()
        assert isinstance(hello, Hello)
        mine = handshake.credentials(self.secret, self.name, hello, handshake.new_nonce(), b"i")
        for field, value in changes.items():
            setattr(mine, field, value)
        return hello, mine

    def admit(self):
        self.send(self.greet()[1])
        assert isinstance(self.receive(), Welcome)

    def is_closed(self):
        while (message := self.receive()) is not None:
            assert isinstance(message, Hello | Beat | Refused), message
        return True


@pytest.fixture
def connect():
    """Make peers, and close them at the end."""
    made = []

    def new(*arguments, **options):
        made.append(Peer(*arguments, **options))
        return made[-1]

    yield new
    for peer in made:
        peer.socket.close()


@pytest.fixture
def served(site, connect):
    """A distributor with an honest node, and a check that this one is still there at the end."""
    d = site.distributor()
    honest = connect(d, name="honest")
    honest.admit()
    yield d
    assert "honest" in [node.name for node in d.nodes]
    honest.send(Joined(1, "w", 0, 0, []))
    wait_for(lambda: any(node.name == "honest" and node.workers for node in d.nodes), "the honest node served")


def test_garbage_closes_the_connection(connect, served):
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 100, b"\0\0\0\1\xc1", b"\x16\x03\x01\x02\0\1\0\1\xfc\3\3"):
        peer = connect(served)
        peer.socket.sendall(garbage)
        assert peer.is_closed()


def test_before_the_handshake_no_frame_may_be_long(connect, served):
    peer = connect(served)
    peer.socket.sendall(struct.pack(">I", 4097))
    assert peer.is_closed()


def test_after_the_handshake_no_frame_may_be_longer_than_the_most(connect, served):
    peer = connect(served)
    peer.admit()
    peer.socket.sendall(struct.pack(">I", MAX_FRAME + 1))
    assert peer.is_closed()


def test_one_frame_in_packets_of_one_byte_and_two_in_one_are_the_same(connect, served):
    peer = connect(served)
    _, mine = peer.greet()
    peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    peer.send(mine, at_once=1)
    assert isinstance(peer.receive(), Welcome)
    peer.send(Joined(1, "w1", 0, 0, []), at_once=1)
    wait_for(lambda: any(node.name == "peer" and node.workers for node in served.nodes), "the worker")
    buffer = bytearray()
    append_frame([Joined(2, "w2", 0, 0, [])], buffer)
    append_frame([Joined(3, "w3", 0, 0, [])], buffer)
    peer.socket.sendall(buffer)
    wait_for(lambda: any(node.name == "peer" and node.workers == 3 for node in served.nodes), "the workers")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"proof": b"x" * 32}, "its secret is not the one of the distributor"),
        ({"proof": b""}, "its secret is not the one of the distributor"),
        ({"node": "another"}, "its secret is not the one of the distributor"),
        ({"version": VERSION + 1}, "version 2 of the protocol"),
        ({"node": "x" * 500}, "its secret"),
    ],
)
def test_credentials_that_are_not_good_are_refused_with_the_reason(connect, served, changes, reason):
    peer = connect(served)
    peer.send(peer.greet(**changes)[1])
    refusal = peer.receive()
    assert isinstance(refusal, Refused)
    assert reason in refusal.reason
    assert peer.is_closed()


def test_credentials_of_one_connection_are_worth_nothing_on_another(connect, served):
    first, second = connect(served), connect(served)
    _, mine = first.greet()
    second.receive()
    second.send(mine)
    assert isinstance(second.receive(), Refused)


def test_nothing_is_taken_before_the_handshake(connect, served):
    for message in (Joined(1, "w", 1, 0, []), Said(1, 0, []), Beat()):
        peer = connect(served)
        peer.receive()
        peer.send(message)
        assert peer.is_closed()


def test_messages_that_mean_nothing_end_a_trusted_peer_too(connect, served):
    for message in (Said(1, 7, []), Joined(1, "w", -1, 0, []), Credentials(VERSION, "p", b"", b"n" * 32, b"")):
        peer = connect(served, name=f"peer {id(message)}")
        peer.admit()
        peer.send(Joined(1, "w1", 0, 0, []))
        peer.send(message)
        assert peer.is_closed()


def test_a_peer_that_dribbles_does_not_keep_its_connection(connect, served, monkeypatch):
    monkeypatch.setattr(link, "HANDSHAKE_SECONDS", 0.2)
    peer = connect(served)
    hello_and_length = struct.pack(">I", 4000)
    peer.socket.sendall(hello_and_length[:1])
    assert peer.is_closed()


def test_a_peer_that_falls_silent_is_lost(connect, served, monkeypatch):
    monkeypatch.setattr(link, "SILENCE_SECONDS", 0.2)
    monkeypatch.setattr(link, "BEAT_SECONDS", 0.1)
    peer = connect(served)
    peer.admit()
    assert peer.is_closed()
    monkeypatch.undo()


def test_a_peer_that_reads_nothing_keeps_no_connection_open_behind_a_distributor_that_stops(site, connect, monkeypatch):
    monkeypatch.setattr(listener, "STOP_SECONDS", 0.1)
    d = site.distributor()
    peer = connect(d)
    peer.admit()
    (unread,) = d._listener._sessions
    d._loop.call_soon_threadsafe(unread.send_now, [Refused("x" * 50_000_000)])
    d.stop()
    del unread
    gc.collect()  # What is still open says so now, which is an error in these tests.


def test_many_strangers_are_turned_away_and_nodes_still_come_in(connect, served):
    strangers = [connect(served) for _ in range(140)]
    assert strangers[-1].is_closed()
    for stranger in strangers:
        stranger.socket.close()
    wait_for(lambda: connect(served, name="late").greet() is not None, "the greeting")


def test_a_node_takes_nothing_from_a_distributor_that_does_not_hold_the_secret(site):
    listening = socket.create_server(("127.0.0.1", 0))
    node = site.node("one", f"127.0.0.1:{listening.getsockname()[1]}")
    connection, _ = listening.accept()
    buffer = bytearray()
    append_frame([Hello(VERSION, b"n" * 32)], buffer)
    append_frame([Welcome(b"p" * 32, "here")], buffer)
    with listening, connection:
        connection.sendall(buffer)
        wait_for(lambda: "it does not hold the secret" in node.err, "the refusal")


def test_a_node_with_another_secret_says_so_and_keeps_looking(site):
    d = site.distributor(secret="another secret")
    node = site.node("one", d)
    wait_for(lambda: "its secret is not the one of the distributor" in node.err, "the refusal")
    assert node.process.poll() is None
    assert d.nodes == []


def test_a_child_job_comes_back_as_no_code(connect, served):
    # What is sent is data: a message with an unknown kind is stored, and waits for a node that knows it.
    assert Enqueued.__struct_fields__ == ("key", "row")
    with pytest.raises(ProtocolError):
        Decoder(ToNode).feed(b"\0\0\0\3\x80\x04N")  # A pickle.


# TLS --------------------------------------------------------------------------------------------------


def test_tls_with_certificates_on_both_sides(site, tmp_path):
    authority = Authority(tmp_path)
    cert, key = authority.issue("server")
    mine, my_key = authority.issue("node")
    d = site.distributor(cert=cert, key=key, ca=authority.path)
    site.node("good", d, options=("--ca", authority.path, "--cert", mine, "--key", my_key))
    site.ready(d, "good")
    assert d.enqueue(site.double, 4).result(FOREVER) == 8
    bare = site.node("bare", d, options=("--ca", authority.path))
    wait_for(lambda: "is tried again" in bare.err, "the refusal")
    plain = site.node("plain", d)
    wait_for(lambda: "is tried again" in plain.err, "the refusal")
    assert [node.name for node in d.nodes] == ["good"]


@pytest.mark.parametrize(
    ("days", "other", "words"),
    [(-1, False, "certificate has expired"), (1, True, "self-signed certificate|unable to get local issuer")],
)
def test_a_node_refuses_a_bad_certificate_and_says_why(site, tmp_path, days, other, words):
    authority = Authority(tmp_path)
    signer = Authority(tmp_path / "other") if other else authority
    cert, key = signer.issue("server", days=days)
    d = site.distributor(cert=cert, key=key)
    node = site.node("one", d, options=("--ca", authority.path))
    wait_for(lambda: re.search(f"its certificate is refused: .*({words})", node.err), "the refusal")
    assert d.nodes == []


def test_beyond_this_machine_a_node_wants_tls_or_the_word_insecure(site):
    node = site.node("one", "192.0.2.1:5000")
    ended = node.end()
    assert ended.code == 2
    assert "192.0.2.1:5000 is beyond this machine" in ended.err
