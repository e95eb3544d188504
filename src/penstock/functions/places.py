"""How a job says which nodes may run it: by its throttle group, so that a claim reads it only where one has room."""

ONLY, NEVER = "node=", "node!="


def group_of(node: str | None, not_node: str | None, *, strict: bool) -> str | None:
    """Return the throttle group of a job that only some nodes may run; None where any may."""
    if strict and node is not None:
        return f"{ONLY}{node}"
    return f"{NEVER}{not_node}" if not_node is not None else None
