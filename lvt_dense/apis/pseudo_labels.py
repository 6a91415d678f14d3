"""Label images with a teacher, and train on them."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope

from lvt_dense.apis.load import predictor_of
from lvt_dense.config import dataset_cfgs, load_config
from lvt_dense.datasets.image_files import read_image
from lvt_dense.datasets.metainfo import find_metainfo, metainfo_of_config
from lvt_dense.engine.distillation.networks import (
    DETECTOR,
    SEGMENTER,
)
from lvt_dense.engine.distillation.teachers import (
    is_exported_teacher,
    load_network_teacher,
)
from lvt_dense.runtime import InputError, Predictor
from lvt_dense.runtime.sources import list_images
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import write_atomically
from lvt_dense.utils.text import shorten

FOLDER = 'pseudo_labels'  # in the work directory
IGNORED = 255
CONFIDENCE = 0.7  # of a pixel's class; pixels below are ignored
SCORE = 0.5  # of an object


def use_unlabeled(cfg: Config, folder: str) -> list[str]:
    """Label images with the teacher of a config, and train on them as well.

    A segmenter's label map has the most probable class of each pixel; pixels
    whose probability is below 0.7 do not count. A detector's boxes are those
    with a score of 0.5 or more; images without any are left out. The labels
    are written to ``pseudo_labels`` in the work directory, and used again if
    teacher and images are the same.

    Args:
        cfg: Config with ``distillation``; its training data are changed.
        folder: Folder of images, also in folders below.

    Returns:
        A line for the log that counts the images and labels.

    Raises:
        UserError: There is no image, the teacher cannot label it for this
            model, or there are several processes.
    """
    settings = ConfigDict(cfg.get('distillation') or {})
    if not settings.get('teacher'):
        raise UserError('--unlabeled DIR needs --teacher to label the images')
    if is_exported_teacher(settings.teacher):
        raise UserError(
            f'--unlabeled: {settings.teacher} is an exported file; give '
            '--teacher CONFIG CHECKPOINT to label images'
        )
    try:
        images = [path.resolve() for path in list_images(folder)]
    except InputError as error:
        raise UserError(f'--unlabeled: {error}') from error
    out = Path(cfg.work_dir, FOLDER).resolve()
    key = _key(settings, images)
    done = _read_summary(out / 'summary.json')
    if done.get('key') != key:
        if cfg.get('launcher', 'none') != 'none':
            raise UserError(
                '--unlabeled: a distributed run cannot label the images: run '
                'once without --launcher, which writes the labels to '
                f'{out}, and start this run again'
            )
        done = dict(_label(cfg, settings, images, out), key=key)
        write_atomically(out / 'summary.json', json.dumps(done))
    _extend(cfg, done, out)
    return [done['line']]


def _key(settings: ConfigDict, images: Sequence[Path]) -> str:
    stats = [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in images]
    checkpoint = Path(settings.checkpoint)
    stamp = checkpoint.stat().st_mtime_ns if checkpoint.is_file() else 0
    text = repr((settings.teacher, settings.checkpoint, stamp, stats))
    return hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()


def _read_summary(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text('utf-8'))
    except (OSError, ValueError):
        return {}


def _label(
    cfg: Config, settings: ConfigDict, images: Sequence[Path], out: Path
) -> dict[str, Any]:
    """Write the labels; return their kind, and a line that counts them."""
    teacher_cfg = load_config(settings.teacher)
    checkpoint = settings.checkpoint
    scope = teacher_cfg.get('default_scope') or 'mmengine'
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    with (
        DefaultScope.overwrite_default_scope(scope),
        torch.random.fork_rng(devices=[]),
    ):
        teacher = load_network_teacher(teacher_cfg, checkpoint)
        _check(cfg, teacher.task, teacher.classes)
        if teacher.task == SEGMENTER:
            return _label_pixels(
                teacher.network.to(device), teacher_cfg, images, out
            )
        metainfo = find_metainfo(teacher_cfg, checkpoint)
        predictor = predictor_of(teacher_cfg, checkpoint, device)
        return _label_boxes(predictor, metainfo['classes'], images, out)


def _check(cfg: Config, task: str, classes: Sequence[str]) -> None:
    if task not in (SEGMENTER, DETECTOR):
        raise UserError(
            f'--unlabeled: the teacher is a {task}; only segmenters and '
            'detectors can label images'
        )
    student = tuple(metainfo_of_config(cfg, 'train').get('classes') or ())
    if student != tuple(classes):
        raise UserError(
            f'--unlabeled: the classes of the teacher are '
            f'{shorten(classes, 8)}, and those of the data '
            f'{shorten(student, 8)}: they must be the same, in the same order'
        )
    masks = any(
        step.get('with_mask')
        for dataset in dataset_cfgs(cfg, 'train')
        for step in dataset.get('pipeline') or ()
    )
    if masks and task == DETECTOR:
        raise UserError(
            '--unlabeled: the model needs masks, but the teacher labels only '
            'boxes'
        )


def _label_pixels(
    model: Any, cfg: Config, images: Sequence[Path], out: Path
) -> dict[str, Any]:
    dataset = next(dataset_cfgs(cfg, 'test'))
    steps = [s for s in dataset.pipeline if 'Annotations' not in str(s.type)]
    pipeline = Compose(steps)
    pairs, kept, total = [], 0, 0
    for path in images:
        data = pipeline(dict(img_path=str(path), seg_fields=[]))
        with torch.no_grad():
            (sample,) = model.test_step(pseudo_collate([data]))
        labels = most_probable(sample.seg_logits.data)
        name = hashlib.sha256(str(path).encode()).hexdigest()[:8]
        mask = out / f'{path.stem}_{name}.png'
        content = cv2.imencode('.png', labels)[1].tobytes()
        write_atomically(mask, content, sync=False)
        pairs.append(dict(image=str(path), mask=str(mask)))
        kept += int((labels != IGNORED).sum())
        total += labels.size
    write_atomically(out / 'pairs.json', json.dumps(pairs))
    return dict(
        task=SEGMENTER,
        line=f'--unlabeled: the teacher has labeled {len(pairs)} images, '
        f'{100 * kept / total:.1f} % of their pixels with a probability of '
        f'at least {CONFIDENCE}; the other pixels are ignored ({out})',
    )


def most_probable(logits: torch.Tensor) -> np.ndarray:
    """Return the most probable class of each pixel.

    Args:
        logits: (C, H, W); with one channel, that of the second of two
            classes.

    Returns:
        Labels (H, W) uint8, 255 where the probability is below 0.7.
    """
    logits = logits.float()
    if len(logits) == 1:
        logits = torch.cat([torch.zeros_like(logits), logits])
    score, label = logits.softmax(0).max(0)
    label[score < CONFIDENCE] = IGNORED
    return label.cpu().numpy().astype(np.uint8)


def _label_boxes(
    predictor: Predictor,
    classes: Sequence[str],
    images: Sequence[Path],
    out: Path,
) -> dict[str, Any]:
    entries: list[dict] = []
    boxes: list[dict] = []
    for path in images:
        pixels = read_image(path)
        if pixels is None:
            raise UserError(f'--unlabeled: {path} cannot be read')
        found: Any = predictor.predict(
            np.ascontiguousarray(pixels[..., ::-1]), score_thr=SCORE
        )
        height, width = pixels.shape[:2]
        if not found:
            continue
        number = len(entries) + 1
        entries.append(
            dict(id=number, file_name=str(path), width=width, height=height)
        )
        for one in found:
            x1, y1, x2, y2 = (float(v) for v in one.box)
            boxes.append(
                dict(
                    id=len(boxes) + 1,
                    image_id=number,
                    category_id=one.index + 1,
                    bbox=[x1, y1, x2 - x1, y2 - y1],
                    area=(x2 - x1) * (y2 - y1),
                    iscrowd=0,
                )
            )
    if not boxes:
        raise UserError(
            f'--unlabeled: the teacher finds no object with a score of '
            f'{SCORE} in any of {len(images)} images'
        )
    categories = [dict(id=i, name=c) for i, c in enumerate(classes, 1)]
    content = dict(images=entries, annotations=boxes, categories=categories)
    write_atomically(out / 'coco.json', json.dumps(content))
    return dict(
        task=DETECTOR,
        line=f'--unlabeled: the teacher has found {len(boxes)} objects with '
        f'a score of at least {SCORE} in {len(entries)} of {len(images)} '
        f'images; the others are left out ({out})',
    )


def _extend(cfg: Config, done: dict[str, Any], out: Path) -> None:
    """Add the labeled images to the training data of a config."""
    parts = list(dataset_cfgs(cfg, 'train'))
    first = parts[0]
    metainfo = metainfo_of_config(cfg, 'train')
    kept = {k: metainfo[k] for k in ('classes', 'palette') if k in metainfo}
    extra: dict[str, Any] = dict(metainfo=kept)
    if done['task'] == SEGMENTER:
        extra.update(
            type='lvt_dense.ImageMaskDataset',
            ann_file=str(out / 'pairs.json'),
        )
    else:
        extra.update(
            type='lvt_dense.CocoDataset',
            ann_file=str(out / 'coco.json'),
            data_prefix=dict(img=os.sep),
        )
        if first.get('filter_cfg'):
            extra['filter_cfg'] = first.filter_cfg
    if first.get('pipeline'):
        extra['pipeline'] = first.pipeline
    both = dict(
        type='ConcatDataset',
        datasets=[ConfigDict(first), ConfigDict(extra)],
        ignore_keys=['palette', 'label_map', 'reduce_zero_label'],
    )
    cfg.train_dataloader.dataset = _replace(
        cfg.train_dataloader.dataset, first, ConfigDict(both)
    )


def _replace(node: Any, old: Any, new: Any) -> Any:
    """Replace a data set inside of its wrappers."""
    if node is old:
        return new
    if isinstance(node, dict) and node.get('dataset') is not None:
        node['dataset'] = _replace(node['dataset'], old, new)
    elif isinstance(node, dict) and node.get('datasets'):
        node['datasets'] = [_replace(d, old, new) for d in node['datasets']]
    return node
