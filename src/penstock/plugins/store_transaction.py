"""StoreTransaction: what `perform` writes to the store's database, and that its job is done, in one transaction."""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from pydantic import PrivateAttr

from penstock.errors import ConfigurationError
from penstock.model.job import Job
from penstock.plugins.open_transaction import Limit, OpenTransaction, no_limit
from penstock.plugins.transaction import Transaction
from penstock.store import current_store

_LENT = "__penstock_lent__"


class StoreTransaction(Job, abstract=True):
    """`perform(connection)` works in a transaction of the store's database, which also stores that the job is done.

    Of a batch job `perform(record, connection)`, and a whole slice is one transaction. Whatever is killed when, the
    effects are there exactly once if the job or slice is done, and not at all as long as it is not. When `perform`
    raises, nothing stays, and what becomes of the job is stored without it. Jobs that are saved inside, with or without
    `connection=`, belong to the transaction. `perform` must not end it.
    """

    whole_slices: ClassVar[bool] = True
    in_store_transaction: ClassVar[bool] = True

    _work: OpenTransaction | None = PrivateAttr(None)

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """Open the transaction, yield the connection that `perform` is given, and commit.

        By default that is the store's own: of sqlite3 or of psycopg. A subclass may open one of its own to the same
        database, as with `with Session(engine) as session, session.begin(): yield session`, or
        `with django.db.transaction.atomic(): yield django.db.connection`. It must commit when its block ends, and roll
        back when that raises.
        """
        with current_store().lending() as connection:
            yield connection

    def begin_work(self, limit: Limit = no_limit) -> OpenTransaction:
        """Return the transaction of the attempt that begins now, which the first call of `perform` opens.

        Args:
            limit: Makes a block that is not to take longer than so many seconds; None is no limit.
        """
        self._work = OpenTransaction(type(self).__name__, self.transaction, current_store(), limit)
        return self._work

    def lent_connection(self) -> Any:
        """Return the connection of the attempt under way.

        Raises:
            TypeError: none is: `perform` was called by hand, without a connection.
        """
        if self._work is None:
            raise TypeError(f"{type(self).__name__}.perform needs a connection: give one, or call perform_now()")
        return self._work.connection()

    def _perform_here(self) -> Any:
        work = self.begin_work()
        try:
            value = super()._perform_here()
            work.commit()
        finally:
            work.roll_back()
            self._work = None
        return value

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        """Refuse a class that cannot work so, and give its `perform` the connection.

        Raises:
            ConfigurationError: it cannot.
        """
        super().__pydantic_init_subclass__(**options)
        if issubclass(cls, Transaction):
            raise ConfigurationError(
                f"{cls.__name__}: StoreTransaction cannot go with Transaction: there is one commit"
            )
        if cls.batch and not cls.whole_slices:
            raise ConfigurationError(f"{cls.__name__}: StoreTransaction goes before BatchJob among the base classes")
        for name, takes in (("perform", 2 if cls.batch else 1), ("perform_slice", 2)):
            _lend_to(cls, name, takes)


def _lend_to(cls: type[Job], name: str, takes: int) -> None:
    """Have a method called with the connection behind what it is called with anyway."""
    method = inspect.getattr_static(cls, name, None)
    if method is None or hasattr(method, _LENT) or getattr(method, "__module__", "").startswith("penstock."):
        return
    shown = f"{cls.__name__}.{name}"
    if inspect.iscoroutinefunction(method):
        raise ConfigurationError(f"{shown} is async, which cannot go with StoreTransaction: its connection is not")
    if not inspect.isfunction(method) or not _takes(method, takes + 1):
        given = "self, connection" if takes == 1 else f"self, record{'s' * (name != 'perform')}, connection"
        raise ConfigurationError(f"{shown} is given the connection last: def {name}({given})")
    setattr(cls, name, _lending(method, takes))


def _takes(method: Callable[..., Any], count: int) -> bool:
    try:
        inspect.signature(method).bind(*range(count))
    except TypeError:
        return False
    return True


def _lending(method: Callable[..., Any], takes: int) -> Callable[..., Any]:
    @functools.wraps(method)
    def lent(self: StoreTransaction, *given: Any, **named: Any) -> Any:
        if len(given) < takes and "connection" not in named:
            given = (*given, self.lent_connection())
        return method(self, *given, **named)

    setattr(lent, _LENT, True)
    return lent
