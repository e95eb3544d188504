"""Transaction: `perform`, or a whole slice, inside a transaction of the application's own database."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar

from penstock.hooks import around_perform, around_slice
from penstock.model.job import Job


class Transaction(Job, abstract=True):
    """What `perform` writes to the application's database is committed when it returns, rolled back when it raises.

    Of a batch job a whole slice is one transaction. One that fails is performed again from its first record, since
    the rollback undid the records before the failed one too; its results so far are given up.
    """

    whole_slices: ClassVar[bool] = True

    def transaction(self) -> AbstractContextManager[Any] | Any:
        """Return the transaction. Every subclass writes its own.

        A context manager that commits at its end and rolls back when something is raised inside, such as
        `django.db.transaction.atomic()` or `session.begin()` of SQLAlchemy; or anything with `commit` and
        `rollback`, such as a DBAPI connection or an SQLAlchemy session, which is then committed or rolled back.
        """
        raise NotImplementedError(f"{type(self).__name__} has no transaction method")

    @around_perform
    def perform_in_transaction(self) -> Iterator[None]:
        """Wrap a regular job."""
        if self.batch:
            yield
        else:
            with _committing(self.transaction()):
                yield

    @around_slice
    def slice_in_transaction(self) -> Iterator[None]:
        """Wrap a slice."""
        with _committing(self.transaction()):
            yield


@contextmanager
def _committing(transaction: Any) -> Iterator[None]:
    if not (hasattr(transaction, "commit") and hasattr(transaction, "rollback")):
        with transaction:
            yield
        return
    try:
        yield
    except BaseException:
        transaction.rollback()
        raise
    transaction.commit()
