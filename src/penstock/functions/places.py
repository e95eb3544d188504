"""How a job says where it may run: by its throttle group, so that a claim reads it only where there is room for it."""

ONLY, NEVER, HEAVY = "node=", "node!=", "heavy="


def group_of(node: str | None, not_node: str | None, *, strict: bool, heavy: bool = False) -> str | None:
    """Return the throttle group of a job that only some nodes may run, or that is heavy; None for any other."""
    group = _group_of_nodes(node, not_node, strict=strict)
    return f"{HEAVY}{group or ''}" if heavy else group


def _group_of_nodes(node: str | None, not_node: str | None, *, strict: bool) -> str | None:
    if strict and node is not None:
        return f"{ONLY}{node}"
    return f"{NEVER}{not_node}" if not_node is not None else None
