"""What the documentation site is made of: MkDocs calls these functions, as mkdocs.yml says.

`NAVIGATION` is the one place that says which page stands where. A page that is not written yet may stand in it; a test
wants every page of this folder there.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

HERE = Path(__file__).parent

NAVIGATION: dict[str, tuple[str, ...]] = {
    "Start": (
        "index.md",
        "quickstart.md",
        "architecture.md",
        "comparison.md",
        "figures.md",
        "rocket-job.md",
        "job-reactor.md",
        "glossary.md",
    ),
    "Guides": (
        "guide-files.md",
        "guide-web.md",
        "guide-api.md",
        "transactions.md",
        "distributor.md",
        "guide-operator.md",
    ),
    "Jobs": ("jobs.md", "batch.md", "plugins.md", "hooks.md", "jobs-included.md", "testing.md"),
    "Files": ("streams.md", "formats.md", "keys.md"),
    "Operations": (
        "operations.md",
        "deployment.md",
        "sizing.md",
        "scale.md",
        "backup.md",
        "postgresql.md",
        "console.md",
        "logging.md",
        "tracing.md",
        "faults.md",
        "engines.md",
        "coverage.md",
        "security.md",
        "servers-transcript.md",
    ),
    "Reference": (
        "commands.md",
        "api.md",
        "lifecycles.md",
        "moves.md",
        "events.md",
        "errors.md",
        "reference-jobs.md",
        "reference-plugins.md",
        "reference-batch.md",
        "reference-included.md",
        "reference-functions.md",
        "reference-files.md",
        "reference-keys.md",
        "reference-testing.md",
    ),
    "Project": ("changelog.md", "contributing.md"),
}
"""The sections, and their pages in order. Those that are not there are left out."""

FROM_ABOVE = {"changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}
"""Pages of the site that are kept in the folder above."""

_OUTSIDE = re.compile(r"\[([^\]]+)\]\((\.\./[^)]+)\)")
_FROM_ABOVE = re.compile(r"\]\(docs/")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Set the navigation."""
    config.nav = navigation()
    return config


def navigation() -> list[dict[str, list[str]]]:
    """Return the sections with the pages that are there."""
    there = {path.name for path in HERE.glob("*.md")} | FROM_ABOVE.keys()
    found = {title: [page for page in pages if page in there] for title, pages in NAVIGATION.items()}
    return [{title: pages} for title, pages in found.items() if pages]


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that are kept elsewhere."""
    for name, above in FROM_ABOVE.items():
        text = _FROM_ABOVE.sub("](", (HERE.parent / above).read_text("utf-8"))
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links to files above at their pages, and leave of others their words: the site does not have them."""
    del page, config, files
    for name, above in FROM_ABOVE.items():
        markdown = markdown.replace(f"](../{above})", f"]({name})")
    return _OUTSIDE.sub(r"\1", markdown)


def on_post_page(output: str, *, page: Page, config: MkDocsConfig) -> str:
    """Name nobody's generator and keep notes to the tests out of what readers get."""
    del page, config
    return re.sub(r"<!-- (?:not run|fresh|before|exits):.*?-->\n?", "", output, flags=re.DOTALL)
