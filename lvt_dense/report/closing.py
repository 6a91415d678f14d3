"""The page at the end of a training: ten lines of plain text."""

from collections.abc import Sequence
from pathlib import Path

from lvt_dense.analysis.advice import Advice, Result
from lvt_dense.analysis.error_kinds import KINDS


def closing_text(
    result: Result,
    advice: Sequence[tuple[Advice, str]],
    checkpoint: Path | None,
    commands: Sequence[str],
) -> str:
    """Write what was reached, where it fails, what helps, and what is next.

    Args:
        result: Figures of the training.
        advice: What would help most, each with a command or an empty text.
        checkpoint: The best checkpoint.
        commands: What to run next.
    """
    epoch = result.best_epoch
    when = 'before this run' if epoch is None else f'at epoch {epoch:g}'
    lines = [
        f'reached: {result.metric} {result.best:.4g} {when}'
        + (f', {checkpoint}' if checkpoint else '')
    ]
    lines += [f'fails: {line}' for line in _failures(result)]
    for item, command in advice:
        lines.append(f'would help: {item.text}')
        if command:
            lines.append(f'    {command}')
    lines += [f'next: {command}' for command in commands]
    return '\n'.join(lines) + '\n'


def _failures(result: Result) -> list[str]:
    lines = []
    weakest = ', '.join(
        f'{c.name} {c.score:.2f} ({c.objects} {result.unit} in training)'
        for c in result.weakest()
    )
    if weakest:
        lines.append(f'weakest classes by {result.score_name}: {weakest}')
    worst = result.worst_error()
    if worst:
        kind, cost = worst
        lines.append(
            f'the costliest error is {kind}, {KINDS[kind]}: '
            f'{100 * cost:.1f} points of {result.score_name}'
        )
    if result.small:
        small, large = result.small
        share = (
            f'; {100 * result.small_share:.0f} % of all are small'
            if result.small_share < 1
            else ''
        )
        lines.append(
            f'small objects reach {small:.2f}, large ones {large:.2f}{share}'
        )
    if result.images and lines:
        lines[-1] += f' (of {result.images} validation images)'
    return lines
