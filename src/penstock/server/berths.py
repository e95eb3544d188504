"""Where a piece of work may be done: in a slot or on an event loop, and on which nodes."""

import json
from typing import NamedTuple

from penstock.functions.places import HEAVY, NEVER, ONLY
from penstock.server.messages import KindFacts
from penstock.store.rows import JobRow


class Berth(NamedTuple):
    """What a piece asks of a seat."""

    on_loop: bool = False
    """Whether it runs on the event loop of a worker, beside others, and takes no slot."""
    node: str | None = None
    """The node that is to have it, if it can; with `strict`, the only one that may."""
    not_node: str | None = None
    """The node that must not have it."""
    strict: bool = False
    heavy: bool = False
    """Whether it has a worker process to itself."""

    @property
    def lane(self) -> "Berth":
        """What it asks for apart from nodes."""
        return HEAVY_SLOT if self.heavy else LOOP if self.on_loop else SLOT

    def fits(self, node: str | None) -> bool:
        """Tell whether a worker of this node may have it; None is a worker of a server."""
        return node == self.node if self.strict else self.not_node is None or node != self.not_node

    @property
    def restricts(self) -> bool:
        """Whether there may be workers that must not have it."""
        return self.strict or self.not_node is not None or self.heavy


SLOT = Berth()
LOOP = Berth(on_loop=True)
HEAVY_SLOT = Berth(heavy=True)


def berth_of_group(group: str | None, *, on_loop: bool = False, heavies: bool = False) -> Berth:
    """Return what the jobs of a throttle group ask for; heavy ones as others do where there are no `heavies`."""
    if group is not None and group.startswith(HEAVY):
        berth = berth_of_group(group.removeprefix(HEAVY), on_loop=on_loop and not heavies)
        return berth._replace(heavy=heavies)
    if group is None or not group.startswith((ONLY, NEVER)):
        return LOOP if on_loop else SLOT
    if group.startswith(ONLY):
        return Berth(on_loop, node=group.removeprefix(ONLY), strict=True)
    return Berth(on_loop, not_node=group.removeprefix(NEVER))


def berth_of(row: JobRow, facts: KindFacts, *, on_loop: bool = False, heavies: bool = False) -> Berth:
    """Return what a job asks for."""
    group = row.throttle_group if facts.answers else None
    berth = berth_of_group(group, on_loop=on_loop, heavies=heavies)
    if facts.answers and not berth.strict and '"node":"' in row.fields:
        return berth._replace(node=json.loads(row.fields).get("node"))
    return berth


def is_free(row: JobRow) -> bool:
    """Tell of a job of no group whether surely it may run at any node, and again."""
    return '"node":"' not in row.fields and '"repeatable":false' not in row.fields


def is_repeatable(row: JobRow, facts: KindFacts | None) -> bool:
    """Tell whether a job may run again when its worker was lost."""
    if facts is None or not facts.answers or '"repeatable":false' not in row.fields:
        return True
    return json.loads(row.fields).get("repeatable") is not False
