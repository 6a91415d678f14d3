"""Which data a checkpoint was trained on."""

import ast
from pathlib import Path

from lvt_dense.checkpoints.read import read_content
from lvt_dense.utils.errors import UserError


def was_trained_on(checkpoint: str | Path, root: str | Path) -> bool:
    """Tell whether a checkpoint may have seen the images of a folder.

    A training writes its config into its checkpoints, and with ``--data`` the
    folder into the config.

    Args:
        checkpoint: File of a training, or an exported model.
        root: Folder of a data set.

    Returns:
        True also where the file does not say, as an exported model.
    """
    try:
        content = read_content(Path(checkpoint))
    except (UserError, OSError):
        return True
    meta = content.get('meta') if isinstance(content, dict) else None
    text = meta.get('cfg') if isinstance(meta, dict) else None
    if not isinstance(text, str):
        return True
    folder = Path(root).expanduser().resolve()
    return any(_is_same(value, folder) for value in _strings(text))


def _strings(text: str) -> set[str]:
    """Return the texts in a config."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return set()
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def _is_same(value: str, folder: Path) -> bool:
    return value.rstrip('/').endswith(folder.name) and (
        Path(value).expanduser().resolve() == folder
    )
