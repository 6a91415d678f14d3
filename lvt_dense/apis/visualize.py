"""Predictions on images of any kind as pictures and JSON."""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from mmengine.structures import BaseDataElement
from mmengine.visualization import Visualizer
from torch import nn

from lvt_dense.apis.load import predictor_of
from lvt_dense.compat.stack import import_stack
from lvt_dense.datasets.metainfo import Metainfo, find_metainfo, merge_metainfo
from lvt_dense.deploy.tiled_model import TiledModel
from lvt_dense.engine.checkpoint_classes import check_classes
from lvt_dense.engine.model_loading import load_model
from lvt_dense.engine.prediction_inputs import SPLITS, Inputs, find_inputs
from lvt_dense.runtime import Tiling
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import write_atomically
from lvt_dense.utils.progress import tqdm
from lvt_dense.utils.text import describe_error
from lvt_dense.visualization.draw import build_visualizer, draw_sample
from lvt_dense.visualization.pictures import check_targets

NAMED = 5  # files that an error message names; the log has all


def visualize(
    cfg: Config,
    checkpoint: str,
    source: str,
    out: str,
    annotations: str | None = None,
    batch_size: int = 4,
    score_thr: float = 0.3,
    opacity: float | None = None,
    limit: int | None = None,
    device: str | None = None,
    tiling: Tiling | None = None,
) -> list[dict]:
    """Predict, and write pictures and ``predictions.json``.

    The pictures lie in ``out`` as their images do in ``source``. Images that
    cannot be read are left out, and named once all others are written.

    Args:
        cfg: Config of any task.
        checkpoint: Its checkpoint.
        source: An image, a folder, a glob pattern, or ``train``, ``val`` or
            ``test``: that split of the config's data set, whose ground truth
            is drawn beside the prediction.
        out: Folder for the results.
        annotations: Their ground truth: a COCO file, or a folder of masks.
        batch_size: Images read together, to predict on those of one size.
        score_thr: Lowest score of an object that is drawn or written.
        opacity: Weight of the color in overlays, in [0, 1].
        limit: Number of images at most.
        device: As in PyTorch; by default a GPU if there is one.
        tiling: Predict on tiles of the images, and merge what is found.

    Returns:
        One record an image, as they are in ``predictions.json``.

    Raises:
        UserError: No image is found, an input cannot be used, or a file in
            ``out`` is in the way.
    """
    import_stack()
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    if source in SPLITS and not Path(source).exists():
        check_classes(cfg, checkpoint, source)
    elif annotations is not None:
        check_classes(cfg, checkpoint, 'test')
    inputs = find_inputs(cfg, source, out, annotations, limit)
    check_targets(out, inputs.names, '--out', inputs.paths)
    model = _load(cfg, checkpoint, device, tiling)
    visualizer = build_visualizer(cfg)
    visualizer.dataset_meta = merge_metainfo(
        inputs.metainfo, find_metainfo(cfg, checkpoint)
    )
    if opacity is not None:
        visualizer.alpha = opacity
    failures: list[tuple[str, Exception]] = []
    found = _predict(model, inputs, max(batch_size, 1))
    results = _draw(found, inputs, visualizer, out, score_thr, failures)
    _report(failures, len(inputs), out)
    return results


def _load(
    cfg: Config, checkpoint: str, device: str | None, tiling: Tiling | None
) -> nn.Module:
    device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
    if tiling is None:
        return load_model(cfg, checkpoint, device)
    return TiledModel(predictor_of(cfg, checkpoint, device), tiling)


def _draw(
    found: 'Iterator[_Found]',
    inputs: Inputs,
    visualizer: Visualizer,
    out: str,
    score_thr: float,
    failures: list[tuple[str, Exception]],
) -> list[dict]:
    """Write pictures and records as they come; note what failed."""
    records: dict[int, dict] = {}
    results: list[dict] = []
    try:
        for each in tqdm(found, total=len(inputs)):
            path, name = inputs.paths[each.index], inputs.names[each.index]
            if each.error is not None or each.sample is None:
                failures.append((path, each.error or ValueError('no sample')))
                continue
            picture = Path(out, f'{name}.png')
            draw_sample(
                visualizer,
                mmcv.imread(path, channel_order='rgb'),
                each.sample,
                picture,
                score_thr,
                inputs.has_truth,
            )
            record = dict(image=path, picture=str(picture))
            metainfo = visualizer.dataset_meta
            record.update(to_record(each.sample, score_thr, metainfo))
            records[each.index] = record
    finally:  # also what an interrupted run has done
        results += [records[index] for index in sorted(records)]
        text = json.dumps(results, indent=1)
        write_atomically(Path(out, 'predictions.json'), text + '\n')
    return results


@dataclass
class _Found:
    """What came of an image: a sample with predictions, or an error."""

    index: int
    sample: BaseDataElement | None = None
    error: Exception | None = None


def _predict(
    model: nn.Module, inputs: Inputs, batch_size: int
) -> Iterator[_Found]:
    """Predict on all images, those of a batch that have one size at once."""
    for start in range(0, len(inputs), batch_size):
        groups: dict[tuple, list[tuple[int, Any]]] = {}
        for index in range(start, min(start + batch_size, len(inputs))):
            try:
                data = inputs.load(index)
            except Exception as error:  # each decoder has its own
                yield _Found(index, error=error)
            else:
                size = tuple(data['inputs'].shape)
                groups.setdefault(size, []).append((index, data))
        for group in groups.values():
            yield from _predict_together(model, group)


@torch.no_grad()
def _run(model: Any, data: Sequence[Any]) -> list[BaseDataElement]:
    return model.test_step(pseudo_collate(list(data)))


def _predict_together(
    model: nn.Module, group: list[tuple[int, Any]]
) -> Iterator[_Found]:
    try:
        samples = _run(model, [data for _, data in group])
    except Exception as error:
        if len(group) == 1:
            yield _Found(group[0][0], error=error)
            return
        for each in group:
            yield from _predict_together(model, [each])
        return
    for (index, _), sample in zip(group, samples):
        yield _Found(index, sample)


def _report(
    failures: list[tuple[str, Exception]], count: int, out: str
) -> None:
    """Name the images that were left out.

    Raises:
        UserError: There are some.
        Exception: All images failed in one way, which is no fault of theirs.
    """
    if not failures:
        return
    for path, error in failures:
        print_log(f'left out: {_describe(path, error)}', level=logging.WARNING)
    first = failures[0][1]
    if len(failures) == count and not isinstance(first, UserError):
        raise first
    shown = '; '.join(
        _describe(path, error) for path, error in failures[:NAMED]
    )
    more = '; ...' if len(failures) > NAMED else ''
    raise UserError(
        f'{len(failures)} of {count} images cannot be used: {shown}{more}. '
        f'The results of the others are in {out}'
    )


def _describe(path: str, error: Exception) -> str:
    text = str(error)
    if not isinstance(error, UserError):
        text = describe_error(error, limit=300)
    return text if path in text else f'{path}: {text}'


def to_record(
    sample: BaseDataElement, score_thr: float, metainfo: Metainfo
) -> dict[str, Any]:
    """Convert predictions to what JSON holds, as ``lvt-dense predict`` does.

    Args:
        sample: Predictions of any task.
        score_thr: Lowest score of an object that is kept.
        metainfo: With the ``classes`` that name the labels.

    Returns:
        ``height`` and ``width`` of the image, and ``objects`` by falling
        score, each with ``label``, ``index``, ``score``, ``box`` (x1, y1, x2,
        y2 in pixels), ``mask`` in COCO's run-length code and ``mask_area``,
        or ``box_3d``; for a label map ``pixels``, their number by class.
    """
    height, width = sample.ori_shape[:2]
    record: dict[str, Any] = dict(height=int(height), width=int(width))
    classes = metainfo.get('classes', ())
    if 'pred_sem_seg' in sample:
        labels = np.asarray(sample.pred_sem_seg.data.cpu())
        values, counts = np.unique(labels, return_counts=True)
        names = [_name(classes, int(value)) for value in values]
        return record | dict(pixels=dict(zip(names, counts.tolist())))
    is_3d = 'pred_instances_3d' in sample
    field = 'pred_instances_3d' if is_3d else 'pred_instances'
    if field not in sample:
        return record
    found = getattr(sample, field).cpu().numpy()
    suffix = '_3d' if is_3d else ''
    scores = found.get(f'scores{suffix}')
    if scores is None:
        return record
    order = np.argsort(-scores, kind='stable')
    kept = [i for i in order if scores[i] >= score_thr]
    labels = found[f'labels{suffix}']
    record['objects'] = [
        dict(
            label=_name(classes, int(labels[i])),
            index=int(labels[i]),
            score=round(float(scores[i]), 5),
            **_shape_of(found, int(i)),
        )
        for i in kept
    ]
    return record


def _name(classes: Sequence[str], label: int) -> str:
    return classes[label] if label < len(classes) else str(label)


def _shape_of(found: Any, index: int) -> dict[str, Any]:
    """Return where an object is."""
    shape: dict[str, Any] = {}
    if 'bboxes' in found:
        boxes = np.asarray(getattr(found.bboxes, 'tensor', found.bboxes))
        shape['box'] = [round(float(v), 2) for v in boxes[index]]
    if 'masks' in found:
        from pycocotools import mask as coco_mask

        pixels = np.asfortranarray(found.masks[index], np.uint8)
        code = coco_mask.encode(pixels)
        shape['mask_area'] = int(pixels.sum())
        shape['mask'] = dict(code, counts=code['counts'].decode())
    if 'bboxes_3d' in found:
        values = found.bboxes_3d[index]
        shape['box_3d'] = [round(float(v), 4) for v in values]
    return shape
