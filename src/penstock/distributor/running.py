"""A node from start to stop."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from penstock.distributor.addresses import dialling_context, parse_address, refuse_bare
from penstock.distributor.dialling import Switchboard
from penstock.distributor.handshake import checked_secret
from penstock.distributor.node import Node
from penstock.server.options import ServerOptions
from penstock.store import process_name


@contextmanager
def running_node(
    addresses: Sequence[str],
    options: ServerOptions,
    *,
    name: str | None = None,
    secret: str | None = None,
    ca: str | None = None,
    cert: str | None = None,
    key: str | None = None,
    insecure: bool = False,
    grace: float = 30.0,
) -> Iterator[Node]:
    """Run a node for the length of a `with` block; its workers are processes of their own, as always.

    At the end what it holds gets `grace` seconds to finish.

    Args:
        addresses: The distributors, each as `host:port`.
        options: The app, and how many workers; `concurrency` is the number of async jobs at once.
        name: By which jobs may ask for it; None makes one of host and process id.
        secret: What the distributors hold too; None takes it from `PENSTOCK_SECRET`.
        ca: A file with the certificate that those of the distributors are signed with, for TLS.
        cert: A file with the node's own certificate, where they ask for one.
        key: A file with its private key.
        insecure: Whether addresses beyond this machine may do without TLS.
        grace: Seconds to finish.

    Raises:
        ConfigurationError: an argument means nothing, or there is no secret.
    """
    tls = dialling_context(ca, cert, key)
    distributors = [parse_address(address) for address in addresses]
    for address in distributors:
        refuse_bare(address, tls, insecure=insecure)
    held_secret = checked_secret(secret)
    node = Node(name or process_name(), options)
    switchboard = Switchboard(node, distributors, held_secret, tls)
    node.start()
    switchboard.start()
    try:
        yield node
        if node.failed is None:
            node.drain(grace)
    finally:
        switchboard.stop()
        node.stop()
