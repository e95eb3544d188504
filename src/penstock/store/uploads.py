"""What becomes of a job whose upload broke off, whatever the engine."""

import json
from typing import Any

from msgspec.structs import asdict

from penstock import clock
from penstock.states import Move, Standing, changes, find_transition
from penstock.store.rows import JobRow


def failure_of_upload(row: JobRow) -> dict[str, Any]:
    """Return the columns of a job that fails because its upload broke off; none for one that has ended."""
    transition = find_transition(Move.FAIL, Standing(row.state, row.batch, row.sub_state))
    if transition is None:
        return {}
    error = {
        "class_name": "UploadInterrupted",
        "message": f"the process that uploaded ({row.uploader}) ended before its upload did",
        "backtrace": [],
    }
    failed = changes(transition, asdict(row), now=clock.now(), given={"exception": json.dumps(error)})
    # Its class is not known here: a server that knows it looks whether it has such hooks.
    return {**failed, "pending_hooks": f"{row.pending_hooks or ''} after_fail".strip()}
