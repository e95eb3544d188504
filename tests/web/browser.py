"""A real Chromium, and a real `penstock web` behind it."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.process.lab import Lab, wait_for

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE, PHONE = {"width": 1360, "height": 860}, {"width": 390, "height": 844}


@contextmanager
def chromium() -> Iterator[Any]:
    """Yield a function that opens a context of its own: cookies, size and colours."""
    program = os.environ.get("PENSTOCK_TEST_CHROMIUM") or shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        if os.environ.get("CI"):
            raise
        pytest.skip("no browser to test with: pip install playwright")
    if program is None:
        if os.environ.get("CI"):
            raise AssertionError("CI tests the console in Chromium, and there is none: make packages")
        pytest.skip("no Chromium to test with: make packages, as root on Debian")
    # A name of its own: two browsers that share a profile would share cookies.
    with tempfile.TemporaryDirectory(prefix="penstock-chromium-") as profile, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=[*ARGUMENTS, f"--disk-cache-dir={profile}"], downloads_path=profile
        )
        yield browser.new_context
        browser.close()


def start_web(lab: Lab, *words: str) -> str:
    """Start a console, and return its URL without the slash at its end."""
    started = lab.start("--app", "shop", "--port", "0", *words, command="web")

    def url() -> str | None:
        assert started.process.poll() is None, started.err
        found = re.search(rb"http://\S+/", started.out)
        return found[0].decode().rstrip("/") if found else None

    found: str = wait_for(url, "the console to listen")
    return found


def watched(page: Any) -> Any:
    """Let a page fail its test where a script of it raises or the content policy refuses something."""
    page.trouble = []
    page.on("pageerror", lambda error: page.trouble.append(str(error)))
    page.on(
        "console",
        lambda message: page.trouble.append(message.text) if "Content Security Policy" in message.text else None,
    )
    return page
