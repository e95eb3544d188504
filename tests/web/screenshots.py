"""Pictures of every page for the documentation: `python -m tests.web.screenshots [FOLDER]`, of a busy store.

The store is made in the folder, an empty one, which stands on some of the pictures; without it in a temporary one.
They are shown in docs/console.md, and are to be looked at.
"""

import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from tests.process.lab import Lab, wait_for
from tests.web.browser import PHONE, WIDE, chromium, start_web
from tests.web.busy import settle, watch_folder, write_inputs

from penstock.query import Query
from penstock.store import open_store

IMAGES = Path(__file__).parents[2] / "docs" / "images"
QUALITY = 62
THEMES = ("light", "dark")


def pages_of(lab: Lab) -> dict[str, str]:
    """Return the pages by the name of their picture."""
    store = open_store(lab.url)
    rows = list(store.find_jobs(Query(newest_first=True)))
    failed = next(row for row in rows if row.kind == "LedgerImport")
    running = next(row for row in rows if row.kind == "ClickStream" and row.state == "running")
    bad = next(iter(store.failed_slices(failed.id)))
    return {
        "overview": "/",
        "jobs": "/jobs",
        "failed": "/jobs?state=failed",
        "job-running": f"/jobs/{running.id}",
        "job-failed": f"/jobs/{failed.id}",
        "record": f"/jobs/{failed.id}/failed/{bad.number}",
        "output": f"/jobs/{failed.id}/output/main",
        "edit": f"/jobs/{failed.id}/edit",
        "new-job": "/jobs/new?kind=LedgerImport",
        "schedules": "/schedules",
        "servers": "/servers",
        "folders": "/dirmon",
        "folder": "/dirmon/orders",
        "audit": "/audit",
        "settings": "/settings",
        "error": "/nothing-here",
    }


def main() -> None:
    """Make all pictures."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    given = nullcontext(sys.argv[1]) if len(sys.argv) > 1 else tempfile.TemporaryDirectory(prefix="penstock-lab-")
    with given as name, chromium() as new_context:
        lab = Lab(Path(name))
        try:
            write_inputs(lab)
            lab.path("pyproject.toml").write_text(f'[tool.penstock]\nallowed_roots = ["{lab.folder}"]\n')
            settle(lab)
            _do_things(lab, watch_folder(lab))
            url = start_web(lab)
            for theme in THEMES:
                _take(new_context(viewport=WIDE, base_url=url, color_scheme=theme), lab, f"{theme}-wide")
                phone = new_context(viewport=PHONE, base_url=url, color_scheme=theme, is_mobile=True)
                _take(phone, lab, f"{theme}-phone")
            lab.run("user", "add", "ada", "--password-file", "-", command="web", stdin=b"correct horse battery\n")
            _sign_in(new_context, start_web(lab, "--users", "penstock-users.json"))
        finally:
            lab.close()
    size = sum(path.stat().st_size for path in IMAGES.glob("*"))
    print(f"{len(list(IMAGES.glob('*')))} pictures in {IMAGES}, {size:,} bytes")


def _do_things(lab: Lab, inbox: Path) -> None:
    """Have something stand in the audit."""
    (paused,) = (job["id"] for job in lab.jobs() if job["state"] == "paused")
    for words in (("resume", paused), ("pause", paused), ("edit", paused, "--app", "shop", "--set", "priority=35")):
        lab.run(*words, command="jobs")
    lab.run(
        "add", "orders", "--pattern", f"{inbox}/*.csv", "--kind", "Reverse", "--app", "shop", command="dirmon",
        env={"PENSTOCK_ALLOWED_ROOTS": str(lab.folder)},
    )  # fmt: skip


def _take(context: Any, lab: Lab, form: str) -> None:
    page = context.new_page()
    for name, path in pages_of(lab).items():
        page.goto(path)
        wait_for(lambda: page.locator("time").count() == 0 or page.locator("time[title]").count() > 0, "the times")
        page.screenshot(path=IMAGES / f"{name}-{form}.jpg", type="jpeg", quality=QUALITY)
    context.close()


def _sign_in(new_context: Any, url: str) -> None:
    for theme in THEMES:
        for form, size in (("wide", WIDE), ("phone", PHONE)):
            context = new_context(viewport=size, base_url=url, color_scheme=theme)
            page = context.new_page()
            page.goto("/jobs")
            page.screenshot(path=IMAGES / f"sign-in-{theme}-{form}.jpg", type="jpeg", quality=QUALITY)
            context.close()


if __name__ == "__main__":
    main()
