"""Format the summary at the end of a training: about ten lines of text."""

from collections.abc import Sequence
from pathlib import Path

from lvt_dense.analysis.advice import Advice, Result
from lvt_dense.analysis.error_kinds import KINDS


def format_summary(
    result: Result,
    advice: Sequence[tuple[Advice, str]],
    checkpoint: Path | None,
    commands: Sequence[str],
) -> str:
    """Format results, weaknesses, suggestions and next commands.

    Args:
        result: Figures of the training.
        advice: What would help most, each with a command or an empty text.
        checkpoint: The best checkpoint.
        commands: What to run next.
    """
    epoch = result.best_epoch
    when = 'before this run' if epoch is None else f'at epoch {epoch:g}'
    lines = [
        f'result: {result.metric} {result.best:.4g} {when}'
        + (f', {checkpoint}' if checkpoint else '')
    ]
    lines += [f'weakness: {line}' for line in _weaknesses(result)]
    for item, command in advice:
        lines.append(f'suggestion: {item.text}')
        if command:
            lines.append(f'    {command}')
    lines += [f'next: {command}' for command in commands]
    return '\n'.join(lines) + '\n'


def _weaknesses(result: Result) -> list[str]:
    lines = []
    weakest = ', '.join(
        f'{c.name} {c.score:.2f} ({c.objects} training {result.unit})'
        for c in result.weakest()
    )
    if weakest:
        lines.append(f'lowest {result.score_name}: {weakest}')
    worst = result.worst_error()
    if worst:
        kind, cost = worst
        lines.append(
            f'{kind} errors ({KINDS[kind]}) cost most: '
            f'{100 * cost:.1f} points of {result.score_name}'
        )
    if result.small:
        small, large = result.small
        share = (
            f'; {100 * result.small_share:.0f} % of all objects are small'
            if result.small_share < 1
            else ''
        )
        lines.append(
            f'small objects score {small:.2f}, large ones {large:.2f}{share}'
        )
    if result.images and lines:
        lines[-1] += f' (of {result.images} validation images)'
    return lines
