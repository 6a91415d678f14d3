"""Load a page in headless Chromium, where there is one."""

import shutil
import subprocess
from pathlib import Path

import pytest

NAMES = ('chromium', 'chromium-browser', 'google-chrome')
FLAGS = (
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--enable-logging=stderr',
)


def load_page(page: Path, profile: Path) -> tuple[str, list[str]]:
    """Return the document after its scripts ran, and what the console says.

    Args:
        page: HTML file.
        profile: Empty folder for the browser.
    """
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip('there is no Chromium')
    done = subprocess.run(
        [program, *FLAGS, f'--user-data-dir={profile}', '--dump-dom',
         page.as_uri()],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    console = [x for x in done.stderr.splitlines() if 'CONSOLE' in x]
    return done.stdout, console
