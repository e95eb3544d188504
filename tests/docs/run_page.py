"""Runs the blocks of one page in order: `python -m tests.docs.run_page PAGE` in an empty folder.

Blocks of Python share one set of names, as somebody would type them in one after the other; one that is a file is
written. Commands run in a shell, and what the page shows of their output must be
there: `…` stands for anything, on a line of its own for any lines; an id stands for one id, the same all over the
page. A server is left running, and told to stop at the end. `/data/` on the page is a folder below this one.

With `--fresh` what installs Penstock is run too, with `/path/to/penstock` as this source, and from then on only what
was installed counts.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID

from tests.docs.blocks import ROOT, Block, blocks_of

ENOUGH = 60.0
LONG_ENOUGH = 300.0
"""Seconds that installing may take."""
ID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
LONG_RUNNING = ("penstock server ", "penstock node ", "penstock web")
READY = {"server": " started: ", "node": "connected", "web": "http"}
"""What a program that goes on running says when it can be used."""


class Reader:
    """Somebody who does what a page says."""

    def __init__(self, page: str, *, fresh: bool = False) -> None:
        self.page = page
        self.fresh = fresh
        self.folder = Path.cwd()
        self.names: dict[str, object] = {"__name__": "page", "serve": self.serve}
        self.ids: dict[str, str] = {}
        """The ids of the page, and those that they are here."""
        programs = Path(sys.executable).parent if not fresh else self.folder / ".venv" / "bin"
        others = [place for place in os.environ["PATH"].split(os.pathsep) if Path(place) != Path(sys.executable).parent]
        self.path = os.pathsep.join([str(programs), *others])
        self.running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def read(self) -> None:
        """Do all of it."""
        with ExitStack() as stack:
            stack.callback(self.stop)
            for block in blocks_of(self.page):
                if "before" in block.marks:
                    exec(block.marks["before"], self.names)
                if block.is_run or (self.fresh and "fresh" in block.marks):
                    self.do(block)

    def do(self, block: Block) -> None:
        """Do one block."""
        if block.file:
            path = self.folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.local(block.text), "utf-8")
        if block.language == "console":
            self.type_in(block)
        elif block.language == "python" and not block.file:
            source = "\n" * (block.line - 1) + self.local(block.text)
            exec(compile(source, str(ROOT / self.page), "exec"), self.names)

    def local(self, text: str) -> str:
        """Return text of the page with the places and ids of this run."""
        text = text.replace("/data/", f"{self.folder}/data/").replace("/path/to/penstock", str(ROOT))
        return ID.sub(lambda found: self.ids.get(found[0]) or self.newest(found[0]), text)

    def newest(self, written: str) -> str:
        """Let an id that nothing on the page has told be that of the newest job."""
        command = [shutil.which("penstock", path=self.path) or "penstock", "jobs", "list", "--json", "--limit", "1"]
        listed = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=self.environment())
        found = json.loads(listed.stdout)
        self.ids[written] = found[0]["id"] if found else written
        return self.ids[written]

    def type_in(self, block: Block) -> None:
        """Type in the commands of a block, and compare what they say."""
        commands = re.split(r"^\$ ", block.text, flags=re.M)[1:]
        assert commands, f"{block}: a console without commands"
        for number, command in enumerate(commands):
            line, _, shown = command.partition("\n")
            while line.endswith("\\"):
                more, _, shown = shown.partition("\n")
                line = line[:-1] + more.strip()
            wanted = int(block.marks.get("exits", 0)) if number == len(commands) - 1 else 0
            self.command(block, self.local(line), shown.rstrip("\n"), wanted)

    def command(self, block: Block, line: str, shown: str, wanted: int) -> None:
        """Run one command."""
        if line.startswith("export "):
            for assignment in shlex.split(line.removeprefix("export "), comments=True):
                name, _, value = assignment.partition("=")
                os.environ[name] = value
            self.forget_settings()
        elif line.startswith(LONG_RUNNING):
            self.serve(*shlex.split(line, comments=True)[1:])
        else:
            ended = subprocess.run(
                ["bash", "-c", line], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, timeout=LONG_ENOUGH if self.fresh else ENOUGH, check=False, env=self.environment(),
            )  # fmt: skip
            told = f"{block}\n$ {line}\n{ended.stdout}"
            assert ended.returncode == wanted, f"{told}\nexit code {ended.returncode}, not {wanted}"
            if shown:
                self.compare(told, shown, ended.stdout)

    def compare(self, told: str, shown: str, output: str) -> None:
        """Compare what a command said with what the page shows."""
        written: list[str] = []
        pattern = []
        for line in shown.splitlines():
            if line.strip() == "…":
                pattern.append(r"(?:.*\n)*?")
                continue
            pattern.append(" *")
            parts = re.split(f"({ID.pattern}|…| +)", line.strip())
            for part in parts:
                if ID.fullmatch(part) and part not in self.ids:
                    written.append(part)
                    pattern.append(f"({ID.pattern})")
                else:
                    pattern.append(".*?" if part == "…" else r"\s+" if part.isspace() else re.escape(self.local(part)))
            pattern.append(r"\s*\n")
        found = re.fullmatch("".join(["\\s*", *pattern, "\\s*"]), output.rstrip() + "\n")
        assert found, f"{told}\nthe page shows:\n{shown}"
        for name, here in zip(written, found.groups(), strict=True):
            self.ids[name] = str(UUID(here))

    def serve(self, *arguments: str) -> None:
        """Start a program that goes on running, and wait until it can be used."""
        if arguments[0] == "web":
            arguments = (*arguments, "--port", "0")  # Its own port may be somebody else's here.
        log = self.folder / f"{arguments[0]}-{len(self.running)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [shutil.which("penstock", path=self.path) or "penstock", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=self.environment(),
                start_new_session=True,
            )
        self.running.append((arguments[0], process))
        deadline = time.monotonic() + ENOUGH
        while READY[arguments[0]] not in log.read_text("utf-8"):
            assert process.poll() is None, f"penstock {' '.join(arguments)} ended:\n{log.read_text('utf-8')}"
            assert time.monotonic() < deadline, f"not ready:\n{log.read_text('utf-8')}"
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop what still runs. A server ends well."""
        for _, process in self.running:
            process.send_signal(signal.SIGTERM)
        for name, process in self.running:
            try:
                code = process.wait(ENOUGH)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise
            ended = -signal.SIGTERM if name == "web" else 0  # A web server ends as programs do that heed no signal.
            assert code in (0, ended), f"penstock {name} ended with {code}"

    def environment(self) -> dict[str, str]:
        """Return the environment of commands."""
        return {
            **os.environ, "PATH": self.path, "HOME": str(self.folder), "COLUMNS": "120", "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip

    @staticmethod
    def forget_settings() -> None:
        """Have settings read anew."""
        from penstock import config

        config.reset()


def main() -> None:
    """Run the page that is named."""
    sys.path.insert(0, "")
    Reader(sys.argv[1], fresh="--fresh" in sys.argv).read()


if __name__ == "__main__":
    main()
