"""What a distributor and its nodes say to each other. The messages of workers go through as they are."""

from msgspec import Struct

from penstock.server.messages import (
    Enqueued,
    ForgetJob,
    JobDone,
    KindFacts,
    LearnJob,
    Progressed,
    Recall,
    Recalled,
    RunHook,
    RunJob,
    RunSlice,
    SliceDone,
)

VERSION = 1
"""Of this protocol. Both sides must have the same."""
NONCE_BYTES = 32
MOST_OF_HANDSHAKE = 4096
"""Bytes of the longest frame of a peer that has not shown yet that it holds the secret."""


class Hello(Struct, array_like=True, tag=1):
    """From a distributor, first of all: prove that you hold the secret."""

    version: int
    nonce: bytes


class Credentials(Struct, array_like=True, tag=2):
    """From a node: the proof, and the same question back."""

    version: int
    node: str
    instance: bytes
    """What tells one run of the node from another."""
    nonce: bytes
    proof: bytes


class Welcome(Struct, array_like=True, tag=3):
    """From a distributor: its own proof. From here on both talk freely."""

    proof: bytes
    address: str


class Refused(Struct, array_like=True, tag=4):
    """From a distributor: why it closes the connection."""

    reason: str


class Joined(Struct, array_like=True, tag=5):
    """From a node: a worker of it is ready."""

    worker: int
    name: str
    slots: int
    concurrency: int
    kinds: list[KindFacts]
    heavy: bool = False
    """Whether it does heavy work, one piece at a time, and nothing else."""


class Said(Struct, array_like=True, tag=6):
    """From a node: what a worker says, to one of the dispatchers of the distributor."""

    worker: int
    desk: int
    messages: list[JobDone | SliceDone | Recalled | Enqueued | Progressed]


class Left(Struct, array_like=True, tag=7):
    """From a node: a worker of it has ended."""

    worker: int
    evidence: str
    working_on: dict[int, dict[int, int]]
    """For each dispatcher what the worker was at, each with the record it was at; as `Markers.working_on`."""
    overdue: dict[int, list[int]]


class Retiring(Struct, array_like=True, tag=8):
    """From a node: give these workers nothing more. None means all: the node is about to leave."""

    workers: list[int] | None


class Give(Struct, array_like=True, tag=9):
    """To a node: messages for a worker, from one of the dispatchers of the distributor."""

    worker: int
    desk: int
    messages: list[RunJob | RunHook | RunSlice | LearnJob | ForgetJob | Recall]


class Retired(Struct, array_like=True, tag=10):
    """To a node: what was given to these workers is all that they get."""

    workers: list[int] | None


class Beat(Struct, array_like=True, tag=11):
    """From either side: I live."""


ToNode = Hello | Welcome | Refused | Give | Retired | Beat
ToDistributor = Credentials | Joined | Said | Left | Retiring | Beat
