"""A job as one that is run: the attempt under way, and what the class has for every attempt."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from pydantic import PrivateAttr

from penstock.model.attempt import Attempt
from penstock.model.record import JobRecord

_PERFORM_HOOKS = frozenset({"before_perform", "around_perform", "after_perform"})
_ATTEMPT_HOOKS = _PERFORM_HOOKS | {"before_start", "after_start", "before_complete"}


class AttemptedJob(JobRecord, abstract=True):
    """What a job knows of being run here and now; `Job` adds what it does."""

    _attempt: Attempt | None = PrivateAttr(None)
    _is_here: bool = PrivateAttr(False)

    @classmethod
    def may_be_held_back(cls) -> bool:
        """Tell whether a job of the class may have to wait although a server has claimed it."""
        return any(not declared.slices for declared in cls.throttles)

    @classmethod
    @cache
    def is_only_performed(cls) -> bool:
        """Tell whether an attempt of a regular job of the class is its `perform` and nothing else, as of most."""
        return not cls.throttles and not cls.may_be_held_back() and _ATTEMPT_HOOKS.isdisjoint(cls.hooks)

    @contextmanager
    def performed_here(self) -> Iterator[None]:
        """Let what becomes of the job stay in memory, though it may be stored: `perform_now` runs it."""
        self._is_here = True
        try:
            yield
        finally:
            self._is_here = False

    @property
    def is_kept(self) -> bool:
        """Whether what becomes of the job is stored: the store holds it, and it is not performed here."""
        return self._stored and not self._is_here

    def begin_attempt(self, *, stops: bool = False) -> Attempt:
        """Note that this process runs the job now, so that its moves are noted rather than stored."""
        private = self.__pydantic_private__
        assert private is not None
        # Not self._attempt: pydantic takes a microsecond for that.
        private["_attempt"] = begun = Attempt(stops=stops)
        return begun

    def end_attempt(self) -> None:
        """Note that it no longer does."""
        private = self.__pydantic_private__
        assert private is not None
        private["_attempt"] = None

    @property
    def has_moved(self) -> bool:
        """Whether the attempt under way has decided what becomes of the job."""
        attempt: Attempt | None = (self.__pydantic_private__ or {}).get("_attempt")
        return attempt is not None and attempt.move is not None

    def forget_moves(self) -> None:
        """Stand as before the moves of the attempt under way: it has raised, so they do not take effect."""
        if self._attempt is not None and self._attempt.row is not None:
            self._row, self._attempt.row = self._attempt.row, None
            self._attempt.move = self._attempt.at = self._attempt.failure = None

    @property
    def is_in_attempt(self) -> bool:
        """Whether this copy is the one that is being run, and its code is asking."""
        return self._attempt is not None

    @property
    def has_perform_hooks(self) -> bool:
        """Whether anything runs before, around or after `perform`."""
        return not _PERFORM_HOOKS.isdisjoint(self.hooks)
