"""Look at the inputs before, and for the cause after, a failed run."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

from lvt_dense.config import dataset_cfgs
from lvt_dense.errors import UserError


def check_data(cfg: Config, splits: Iterable[str]) -> None:
    """Check that the folders and annotation files of the splits exist.

    Raises:
        UserError: Names the first that is missing.
    """
    for split in splits:
        for dataset in dataset_cfgs(cfg, split):
            root = dataset.get('data_root')
            if root and '://' in root:
                continue
            if root and not Path(root).is_dir():
                raise UserError(
                    f'the {split} data root {root} is not there; put the '
                    'data set there, or name its folder with --data-root'
                )
            for path in _named_paths(dataset):
                if not path.exists():
                    raise UserError(
                        f'{path}, which the {split} data set '
                        f'{dataset.get("type")} needs, is not there; is '
                        f'{root} a complete copy of the data set?'
                    )


def _named_paths(dataset: dict) -> Iterator[Path]:
    root = Path(dataset.get('data_root') or '')
    if dataset.get('ann_file'):
        yield root / dataset['ann_file']
    for prefix in (dataset.get('data_prefix') or {}).values():
        # mmdet and mmseg both allow file name prefixes besides folders
        if isinstance(prefix, str) and prefix.endswith('/'):
            yield root / prefix


def annotation_fault(cfg: Config) -> str | None:
    """What is wrong with the annotation files of a config, or None.

    Called after a run has failed: reading large files twice beforehand would
    cost every run for the rare broken one.
    """
    for split in ('train', 'val', 'test'):
        for dataset in dataset_cfgs(cfg, split):
            if str(dataset.get('ann_file', '')).endswith('.json'):
                path = next(_named_paths(dataset))
                fault = coco_fault(path) if path.is_file() else None
                if fault:
                    return f'annotation file {path}: {fault}'
    return None


def coco_fault(path: Path) -> str | None:
    """What is wrong with a COCO annotation file, or None."""
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        return f'not JSON ({error})'
    if not isinstance(content, dict):
        return 'no JSON object at the top level'
    required = {
        'images': ('id', 'file_name', 'width', 'height'),
        'annotations': ('id', 'image_id', 'category_id', 'bbox'),
        'categories': ('id', 'name'),
    }
    for part, keys in required.items():
        if not isinstance(content.get(part), list):
            return f'lacks the list {part!r}'
        for index, item in enumerate(content[part]):
            lacking = _lacking(item, keys)
            if lacking:
                return f'{part}[{index}] lacks {lacking}'
            if part == 'annotations' and not _is_box(item['bbox']):
                return (
                    f'annotations[{index}] has bbox {item["bbox"]!r}, not '
                    'four numbers [x, y, width, height]'
                )
    return None


def _lacking(item: Any, keys: tuple[str, ...]) -> str:
    if not isinstance(item, dict):
        return 'everything: it is no object'
    return ', '.join(key for key in keys if key not in item)


def _is_box(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 4
        and all(isinstance(v, (int, float)) for v in value)
    )
