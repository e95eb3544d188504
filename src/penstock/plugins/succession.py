"""Succession: a job that ends makes the next one, exactly once, whatever is killed when."""

import json
from typing import Any, Self
from uuid import UUID

from penstock import faults, tracing
from penstock.model.fields import field
from penstock.model.job import Job
from penstock.model.storing import prepare_new
from penstock.store import current_store


class Succession(Job, abstract=True):
    """A job with a next instance."""

    succeeded_by: UUID | None = field(None, description="The job that was made when this one ended.")

    def next_instance(self, **values: Any) -> Self:
        """Return a new job with the values of this one's `copy_on_restart` fields, `values` over them."""
        return type(self)(**{name: getattr(self, name) for name in self.copied_fields()} | values)

    def succeed(self, **changes: Any) -> None:
        """Store the next instance, and on this one that it has been, in one transaction. A second call does nothing.

        Args:
            changes: Fields of this job to set together with it; plain values, of fields that are not encrypted.
        """
        store = current_store()
        following = self.next_instance()
        faults.at("before_succession")
        with store.transaction():
            row = store.job(self.id)
            if row is None or json.loads(row.fields).get("succeeded_by") is not None:
                return
            self.__dict__.update(changes)
            self.__dict__["succeeded_by"] = following.id
            # First this one, so that a unique key is free.
            store.update_job(self.id, self.changed_values())
            with tracing.detached():
                row = prepare_new(following)
            store.insert_unless_taken(row)
            faults.at("in_succession")
        faults.at("after_succession")
        self.note_written()
