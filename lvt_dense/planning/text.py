"""Format a plan for the terminal and for its config file."""

import shlex
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .choices import Choice

WIDTH = 79
NAMES = 15  # characters of the column of names
# Options of the command that a plan leaves to the training.
KEPT = (
    *('classes', 'tiles', 'overlap', 'workers', 'seed', 'device', 'amp'),
    *('compile', 'multi_scale', 'log', 'per_class', 'patience', 'on_nan'),
    *('exact_resume', 'start'),
)


def format_plan(choices: Sequence[Choice]) -> str:
    """Format choices as text, a line or two each."""
    lines = []
    for choice in choices:
        text = choice.value
        if choice.reason:
            text += f' ({choice.reason})'
        lines += textwrap.wrap(
            text,
            WIDTH,
            initial_indent=choice.name.ljust(NAMES),
            subsequent_indent=' ' * NAMES,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return '\n'.join(lines)


def format_command(
    file: Path, data: str, options: Mapping[str, Any], work_dir: str | None
) -> str:
    """Return the command that trains what a plan has written.

    Args:
        file: Config of the plan.
        data: Folder of the data.
        options: Options of the command that the file does not hold.
        work_dir: Folder of the training, where it is not the usual one.
    """
    words = ['lvt-dense', 'train', str(file), '--data', data]
    if work_dir is not None:
        words += ['--work-dir', work_dir]
    for name in KEPT:
        value = options.get(name)
        if value is None or value is False:
            continue
        if name == 'overlap' and not options.get('tiles'):
            continue
        words.append('--' + name.replace('_', '-'))
        if value is not True:
            words.append(str(value))
    return shlex.join(words)


def describe_time(seconds: float) -> str:
    """Return a time in seconds, minutes or hours."""
    if seconds < 90:
        return f'{seconds:.0f} seconds'
    if seconds < 5400:
        return f'{seconds / 60:.0f} minutes'
    return f'{seconds / 3600:.1f} hours'


def format_header(command: str, choices: Sequence[Choice]) -> str:
    """Return the comment that a config opens with."""
    return '\n'.join(
        [
            'Written by lvt-dense for the data below. Train it with',
            '',
            f'  {command}',
            '',
            *format_plan(choices).splitlines(),
        ]
    )
