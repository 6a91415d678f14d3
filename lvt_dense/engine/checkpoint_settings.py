"""Settings that a checkpoint was trained with and its weights do not show."""

import ast
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from lvt_dense.checkpoints.locate import locate
from lvt_dense.checkpoints.read import read_content

# Parts of a model without weights, on which the meaning of weights depends.
_PARTS = (
    ('data_preprocessor', 'mean'),
    ('data_preprocessor', 'std'),
    ('data_preprocessor', 'bgr_to_rgb'),
    ('data_preprocessor', 'rgb_to_bgr'),
    ('bbox_head', 'anchor_generator'),
    ('bbox_head', 'bbox_coder'),
    ('rpn_head', 'anchor_generator'),
    ('rpn_head', 'bbox_coder'),
)


def check_settings(cfg: Config, checkpoint: str | Path) -> None:
    """Say where a config reads weights in another way than their training.

    These are the normalization of the images, the anchors, and the coding of
    boxes, of which a change raises no error.

    Args:
        cfg: Config of the model.
        checkpoint: The checkpoint; one that holds no config is not checked.
    """
    compare_settings(
        cfg, read_content(locate(checkpoint), checkpoint), checkpoint
    )


def compare_settings(
    cfg: Config, content: Any, checkpoint: str | Path
) -> None:
    """Do as :func:`check_settings` with a checkpoint that has been read.

    Args:
        cfg: Config of the model.
        content: What is in the checkpoint.
        checkpoint: Its name, for messages.
    """
    meta = content.get('meta') if isinstance(content, dict) else None
    text = meta.get('cfg') if isinstance(meta, dict) else None
    trained = read_config_text(text).get('model') if text else None
    if not isinstance(trained, dict) or not cfg.get('model'):
        return
    for name, old, new in _differences(trained, cfg.model):
        print_log(
            f'{checkpoint} was trained with model.{name}={_show(old)}, and '
            f'the config has {_show(new)}: results will be worse; give the '
            'config in its work directory',
            logger='current',
            level=logging.WARNING,
        )


def _differences(
    old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    for part, key in _PARTS:
        parts: list[Any] = [model.get(part) for model in (old, new)]
        if not all(isinstance(p, Mapping) for p in parts):
            continue
        values = [_plain(p.get(key)) for p in parts]
        if values[0] != values[1]:
            yield f'{part}.{key}', *values


def _plain(value: Any) -> Any:
    """Make values comparable: tuples as lists, no flag as False."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in sorted(value.items())}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return False if value is None else value


def _show(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 100 else f'{text[:97]}...'


def read_config_text(text: object) -> dict[str, Any]:
    """Read the plain values in the text of a config; run nothing.

    Args:
        text: Python code as MMEngine writes configs into checkpoints.

    Returns:
        Values of the variables; those that are computed are left out.
    """
    if not isinstance(text, str):
        return {}
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError):
        return {}
    found = {}
    for node in body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found[target.id] = _value(node.value)
    return found


def _value(node: ast.expr) -> Any:
    """Return a literal, also with ``dict(...)`` in it; None for others."""
    if isinstance(node, ast.Call):
        return {k.arg: _value(k.value) for k in node.keywords if k.arg}
    if isinstance(node, ast.Dict):
        keys = [k and _value(k) for k in node.keys]
        return dict(zip(map(str, keys), map(_value, node.values)))
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(item) for item in node.elts]
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None
