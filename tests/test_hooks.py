"""Hooks: which methods run at which moment, in which order."""

from penstock import hooks
from penstock.hooks import HOOKS, after_batch, before_batch, collect_hooks
from penstock.states import Move


class Base:
    @before_batch
    def first(self):
        """Marked."""

    def before_batch(self):
        """Counts by its name."""

    @after_batch
    def close(self):
        """Marked."""


class Child(Base):
    @before_batch
    def own(self):
        """Marked."""

    @after_batch
    def report(self):
        """Marked."""

    @after_batch
    def tidy(self):
        """Marked."""


def test_before_hooks_run_in_the_order_of_declaration_base_class_first():
    assert collect_hooks(Child)["before_batch"] == ("first", "before_batch", "own")


def test_after_hooks_run_the_other_way_round():
    assert collect_hooks(Child)["after_batch"] == ("tidy", "report", "close")


def test_a_class_without_hooks_has_none():
    class Plain:
        def perform(self):
            """No hook."""

    assert collect_hooks(Plain) == {}


def test_an_overridden_method_runs_once_where_the_base_class_has_it():
    class Over(Child):
        def first(self):
            """Without a mark: the place is the base class's."""

        @before_batch
        def own(self):
            """With a mark."""

    assert collect_hooks(Over)["before_batch"] == ("first", "before_batch", "own")


def test_a_method_marked_and_named_for_the_moment_runs_once():
    class Both:
        @before_batch
        def before_batch(self):
            """Both."""

    assert collect_hooks(Both) == {"before_batch": ("before_batch",)}


def test_a_name_of_a_moment_that_is_no_method_is_no_hook():
    class Data:
        before_batch = None
        after_batch = "text"

    assert collect_hooks(Data) == {}


def test_a_mark_leaves_the_method_as_it_is():
    def method():
        return 5

    assert before_batch(method) is method
    assert method() == 5


def test_every_moment_has_its_decorator_and_says_when_it_comes():
    for name, hook in HOOKS.items():
        assert getattr(hooks, name) is hook
        assert hook.name == name
        assert hook.meaning
    assert {f"{when}_{move}" for when in ("before", "after") for move in Move} < HOOKS.keys()
