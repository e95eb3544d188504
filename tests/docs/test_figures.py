"""The page of figures says what was measured, and what was not."""

import json
import string
import sys
import xml.etree.ElementTree as ElementTree

import pytest
from benchmarks.plan import PLAN, POSTGRES, SQLITE
from tests.docs.blocks import DOCS

sys.path.insert(0, str(DOCS))
try:
    import figures
finally:
    sys.path.remove(str(DOCS))

MACHINE = {
    "when": "2026-01-31T00:00:00+00:00",
    "commit": "abc",
    "python": "3.11.7",
    "sqlite": "3.40.1",
    "cores": 2,
    "processor": "a processor",
    "load": 0.5,
}
QUEUE = {"jobs": 500, "least": 900.0, "most": 1100.0, "CPU µs, start included": 30.0}


@pytest.fixture
def results(tmp_path):
    return figures.Results(tmp_path)


def store(results, name, tables, **facts):
    whole = {"machine": MACHINE, "tables": tables, "facts": facts}
    (results.folder / f"{name}.json").write_text(json.dumps(whole))


def line(page, start):
    return next(line for line in page.splitlines() if line.startswith(f"| {start}"))


def test_without_results_every_figure_is_not_measured(results):
    page = figures.figures_page(results)
    for figure in figures.FIGURES:
        assert line(page, figure["what"]).count(figures.ABSENT) == 2
    assert "not measured" in figures.queues_picture(results)


@pytest.mark.parametrize(("median", "cell"), [(1.2, "**median 1.20 ms"), (2.0, "median 2.00 ms, 99 % 3.00 ms, *not")])
def test_a_figure_says_whether_its_goal_is_reached_on_the_store_where_it_was_measured(results, median, cell):
    row = {"milliseconds": "from before the save, its commit included", "median": median, "99 %": 3.0}
    store(results, "latency-postgres", {"pick-up on PostgreSQL": [row]})
    _, _, _, sqlite, postgres, _ = map(str.strip, line(figures.figures_page(results), "pick-up").split("|")[:6])
    assert sqlite == figures.ABSENT
    assert postgres.startswith(cell)


def test_a_row_is_found_by_its_label_with_the_store_behind_it(results):
    store(results, "idle", {"idle": [{"": "penstock server on SQLite", "CPU seconds a minute": 0.05}]})
    assert "**0.05 CPU seconds a minute**" in figures.figures_page(results)


def test_queues_are_told_with_their_settings_and_those_left_out_with_the_reason(results):
    rows = [{"": "Huey", "jobs/s": 1000.0, **QUEUE}, {"": "Penstock on SQLite", "jobs/s": 2000.0, **QUEUE}]
    store(
        results,
        "queues",
        {figures.QUEUES_TABLE: rows},
        settings={"Huey": "fsync", "Penstock on SQLite": ""},
        versions={"Huey": {"huey": "3"}, "Penstock on SQLite": {"penstock": "0.1"}},
        **{"left out": {"RQ": "rq not installed"}},
    )
    page = figures.figures_page(results)
    assert line(page, "Huey") == "| Huey | 1,000 | 900–1,100 | 30 | huey 3 | fsync |"
    assert "rq not installed" in line(page, "RQ")
    root = ElementTree.fromstring(figures.queues_picture(results))
    names = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert names[1:] == ["Penstock on SQLite", "2,000", "Huey", "1,000"]


class TestReasons:
    FIGURE = next(figure for figure in figures.FIGURES if figure["profile"] == "idle")

    def idle(self, results, seconds):
        store(results, "idle", {"idle": [{"": "penstock server on SQLite", "CPU seconds a minute": seconds}]})

    def profile(self, results, *left_out):
        keys = ("look", "dispatcher", "workers")
        rows = [{"": f"the {key}", "key": key, "value": 0.123, "unit": "s"} for key in keys if key not in left_out]
        store(results, "profile", {"idle": rows}, layers={"idle": {"dispatcher: interpreter": 0.784}})

    def why(self, results):
        return list(figures._why(results, self.FIGURE))

    def test_a_goal_that_is_not_reached_is_explained_by_the_numbers_of_the_profile(self, results):
        self.idle(results, 0.2)
        self.profile(results)
        lines = self.why(results)
        assert lines[0] == "### An idle server"
        assert lines[2].startswith("**SQLite.** The interpreter")
        assert "0.12 s in a minute" in lines[2]
        assert "| the look | 0.12 s |  |" in lines
        assert "CPU by library, SQLite: dispatcher interpreter 78 %." in lines

    def test_nothing_is_to_be_explained_where_the_goal_is_reached_or_nothing_is_measured(self, results):
        assert self.why(results) == []
        self.idle(results, 0.05)
        assert self.why(results) == []

    def test_a_sentence_whose_number_is_missing_is_not_told(self, results):
        self.idle(results, 0.2)
        self.profile(results, "look")
        assert "the profile has no 'look'" in self.why(results)[2]

    @pytest.mark.parametrize("store", figures.SUFFIXES)
    @pytest.mark.parametrize("figure", figures.FIGURES, ids=lambda figure: figure["title"])
    def test_every_number_that_a_sentence_names_is_in_the_profile_that_is_kept(self, figure, store):
        rows = figures.Results().table(f"profile{figures.SUFFIXES[store]}", figure["profile"])
        named = {name for _, name, _, _ in string.Formatter().parse(figure["why"][store]) if name}
        assert named
        assert named - {row["key"] for row in rows} == set()


def test_every_figure_is_measured_on_both_stores_by_the_one_command_that_measures_all():
    made = {(step.subject, step.store) for step in PLAN}
    assert {(figure["subject"], store) for figure in figures.FIGURES for store in (SQLITE, POSTGRES)} - made == set()
