"""Run the blocks of a Markdown page, in order, in the current folder."""

import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from helpers.pages import Block, read_blocks


def run_page(page: Path) -> int:
    """Run a page; return 0, or 1 after the first block that fails.

    The Python blocks share their variables. Each bash block runs in a shell
    of its own that stops at the first error.
    """
    variables: dict[str, Any] = {'__name__': '__main__'}
    sys.path.insert(0, '')
    for block in read_blocks(page):
        place = f'{page.name}:{block.line}'
        if block.skipped:
            print(f'--- {place} skipped: {block.skipped}')
            continue
        start = time.monotonic()
        if block.title:
            Path(block.title).parent.mkdir(parents=True, exist_ok=True)
            Path(block.title).write_text(block.code)
            status = 0
        elif block.language == 'bash':
            status = _run_bash(block)
        else:
            status = _run_python(block, place, variables)
        sys.stdout.flush()
        print(f'--- {place}: {time.monotonic() - start:.1f} s', flush=True)
        if status != block.status:
            print(
                f'--- {place} ended with {status}, not {block.status}:\n'
                f'{block.code}'
            )
            return 1
    return 0


def _run_bash(block: Block) -> int:
    done = subprocess.run(
        ['bash', '-euo', 'pipefail', '-c', block.code],
        stdin=subprocess.DEVNULL,
    )
    return done.returncode


def _run_python(block: Block, place: str, variables: dict[str, Any]) -> int:
    try:
        # the line numbers of the page in tracebacks
        code = '\n' * (block.line - 1) + block.code
        exec(compile(code, place, 'exec'), variables)
    except SystemExit as stop:
        return stop.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0
