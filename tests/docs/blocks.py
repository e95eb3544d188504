"""Reads the code blocks of a page, with what the page says about running them.

A comment of HTML right before a block is not shown to readers, and tells how it is run:

- `<!-- not run: REASON -->` it is not.
- `<!-- before: CODE -->` Python that is run first: what the reader has already, such as a file of their own.
- `<!-- fresh: REASON -->` it is only when everything is installed anew, see `run_page`.
- `<!-- exits: N -->` its last command ends with this exit code rather than with 0.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = ["README.md", *(f"docs/{path.name}" for path in sorted(DOCS.glob("*.md")) if ".template" not in path.name)]

RUN_ELSEWHERE = {
    "docs/commands.md": "made by docs/generate.py; tests/test_docs.py compares",
    "docs/servers-transcript.md": "made by docs/transcripts.py; tests/cli compares",
    "docs/transactions.md": "tests/test_docs_examples.py runs it, with Django",
    "docs/streams.md": "tests/streams/test_page.py runs it, with an S3 of its own",
}
"""Pages that are run and compared as a whole elsewhere."""
RUN = frozenset({"python", "console"})
WRITTEN = re.compile(r"# ([\w./-]+\.(?:py|toml|service|yml|conf)|(?:\w+\.)?Dockerfile|\.env)\b.*\n")
"""The first line of a block that is a file of this name."""

_PART = re.compile(
    r"<!-- (?P<mark>not run|fresh|before|exits): ?(?P<words>.*?)-->|^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.S | re.M,
)


@dataclass
class Block:
    """One block of code."""

    page: str
    line: int
    """The number of its first line in the page, from 1."""
    language: str
    text: str
    marks: dict[str, str] = field(default_factory=dict)

    @property
    def file(self) -> str | None:
        """The file that it is, if it is one."""
        found = WRITTEN.match(self.text)
        return found[1] if found else None

    @property
    def is_run(self) -> bool:
        """Tell whether something is done with it."""
        return not {"not run", "fresh"} & self.marks.keys() and (self.language in RUN or self.file is not None)

    def __str__(self) -> str:
        return f"{self.page}:{self.line} ({self.language or 'no language'})"


def blocks_of(page: str) -> Iterator[Block]:
    """Yield the blocks of a page, named from the root of the repository, in order."""
    text = (ROOT / page).read_text("utf-8")
    marks: dict[str, str] = {}
    for part in _PART.finditer(text):
        if part["mark"]:
            marks[part["mark"]] = part["words"].strip()
        else:
            yield Block(page, text.count("\n", 0, part.start()) + 2, part["language"], part["text"], marks)
            marks = {}
