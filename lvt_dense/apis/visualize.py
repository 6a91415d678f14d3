"""Predictions on images of any kind as pictures and JSON."""

import json
from glob import glob
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.model.utils import revert_sync_batchnorm
from mmengine.registry import DATASETS, MODELS, VISUALIZERS, init_default_scope
from mmengine.structures import BaseDataElement
from mmengine.utils import track_iter_progress
from torch import Tensor, nn

from lvt_dense.checkpoints import read_state_dict
from lvt_dense.compat import import_stack
from lvt_dense.config import dataset_cfgs
from lvt_dense.errors import UserError
from lvt_dense.files import write_atomically
from lvt_dense.visualization.draw import save_picture

from .checks import check_data
from .runs import check_fit

IMAGES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')
SPLITS = ('train', 'val', 'test')


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
) -> list[dict]:
    """Predict, and write pictures and ``predictions.json``.

    Args:
        cfg: Config of any task.
        checkpoint: Its checkpoint.
        source: An image, a folder, a glob pattern, or ``train``, ``val`` or
            ``test``: that split of the config's data set, whose ground truth
            is drawn beside the prediction.
        out: Folder for the results.
        annotations: Ground truth of the images of ``source``: a COCO
            annotation file, or a folder of label maps.
        batch_size: Images that are predicted together.
        score_thr: Lowest score of an object that is drawn or written.
        opacity: Weight of the colour in overlays, in [0, 1].
        limit: Number of images at most.
        device: As in PyTorch; by default a GPU if there is one.

    Returns:
        One record an image, as they are in ``predictions.json``.

    Raises:
        UserError: No image is found, or an input cannot be used.
    """
    import_stack()
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
    model = load_model(cfg, checkpoint, device)
    infos, pipeline, metainfo = _inputs(cfg, source, annotations)
    infos = infos[:limit]
    has_truth = annotations is not None or _is_split(source)
    visualizer = VISUALIZERS.build(dict(cfg.visualizer, vis_backends=None))
    visualizer.dataset_meta = metainfo
    if opacity is not None:
        visualizer.alpha = opacity
    records, names = [], _names([info['img_path'] for info in infos])
    batches = [
        range(start, min(start + batch_size, len(infos)))
        for start in range(0, len(infos), batch_size)
    ]
    for batch in track_iter_progress(batches):
        data = pseudo_collate([pipeline(dict(infos[i])) for i in batch])
        with torch.no_grad():
            samples = model.test_step(data)
        for index, sample in zip(batch, samples):
            path = infos[index]['img_path']
            image = mmcv.imread(path, channel_order='rgb')
            target = Path(out, f'{names[index]}.png')
            save_picture(
                visualizer, image, sample, target, score_thr, has_truth
            )
            record = dict(image=path, picture=str(target))
            record.update(_plain(sample, score_thr, metainfo))
            records.append(record)
    text = json.dumps(records, indent=1)
    write_atomically(Path(out, 'predictions.json'), text + '\n')
    return records


def load_model(cfg: Config, checkpoint: str, device: str = 'cpu') -> nn.Module:
    """Build the model of a config and fill it strictly from a checkpoint.

    Raises:
        UserError: The checkpoint does not fit.
    """
    state = read_state_dict(checkpoint)
    model = MODELS.build(cfg.model)
    check_fit(model, state, checkpoint)
    model.load_state_dict(state, strict=False)
    return revert_sync_batchnorm(model).to(device).eval()


def _inputs(
    cfg: Config, source: str, annotations: str | None
) -> tuple[list[dict], Compose, dict]:
    """Infos of the images, the pipeline for them, and the data's classes."""
    if _is_split(source):
        check_data(cfg, [source])
        dataset = _build_dataset(next(dataset_cfgs(cfg, source)), cfg)
        infos = [dataset.get_data_info(i) for i in range(len(dataset))]
        return infos, dataset.pipeline, dataset.metainfo
    paths = find_images(source)
    if annotations is not None:
        return _annotated(cfg, paths, annotations)
    dataset = next(dataset_cfgs(cfg, 'test'))
    steps = [t for t in dataset.pipeline if not _needs_annotations(t)]
    dataset_cls = DATASETS.get(dataset.type)
    describe = getattr(dataset_cls, 'image_info', _image_info)
    infos = [
        dict(describe(str(path)), img_id=i) for i, path in enumerate(paths)
    ]
    return infos, Compose(steps), _metainfo(cfg, dataset, dataset_cls)


def _is_split(source: str) -> bool:
    return source in SPLITS and not Path(source).exists()


def find_images(source: str) -> list[Path]:
    """Images of a path, a folder or a glob pattern, in order.

    Raises:
        UserError: There is none.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        found = [p for p in path.rglob('*') if p.suffix.lower() in IMAGES]
    elif path.is_file():
        found = [path]
    else:
        found = [Path(p) for p in glob(str(path), recursive=True)]
    if not found:
        raise UserError(
            f'{source}: no image; give an image, a folder or a pattern of '
            f'{", ".join(IMAGES)} files, or one of {", ".join(SPLITS)}'
        )
    return sorted(found)


def _image_info(path: str) -> dict:
    return dict(img_path=path)


def _needs_annotations(transform: dict) -> bool:
    return 'Annotations' in str(transform['type'])


def _metainfo(cfg: Config, dataset: dict, dataset_cls: type) -> dict:
    metainfo = dict(getattr(dataset_cls, 'METAINFO', {}))
    metainfo.update(dataset.get('metainfo') or {})
    return metainfo


def _build_dataset(dataset: dict, cfg: Config) -> Any:
    pipeline = next(dataset_cfgs(cfg, 'test')).pipeline
    dataset = dict(dataset, pipeline=pipeline, test_mode=True)
    return DATASETS.build(dataset)


def _annotated(
    cfg: Config, paths: list[Path], annotations: str
) -> tuple[list[dict], Compose, dict]:
    given = Path(annotations)
    folder = paths[0].parent
    dataset = dict(next(dataset_cfgs(cfg, 'test')), data_root='')
    dataset.pop('indices', None)
    if given.suffix == '.json':
        dataset.update(ann_file=annotations, data_prefix=dict(img=str(folder)))
    elif given.is_dir() and 'Seg' in str(cfg.model.data_preprocessor.type):
        prefix = dict(img_path=str(folder), seg_map_path=annotations)
        dataset.update(ann_file='', data_prefix=prefix)
    else:
        raise UserError(
            f'--annotations {annotations}: give a COCO .json file, or for '
            'segmentation a folder of label maps; for other ground truth '
            'name a split of the config (train, val, test) as the source'
        )
    if not given.exists():
        raise UserError(f'--annotations {annotations} is not there')
    built = _build_dataset(dataset, cfg)
    wanted = {path.resolve() for path in paths}
    infos = [built.get_data_info(i) for i in range(len(built))]
    infos = [i for i in infos if Path(i['img_path']).resolve() in wanted]
    if not infos:
        raise UserError(
            f'--annotations {annotations} knows none of the images'
        )
    return infos, built.pipeline, built.metainfo


def _names(paths: list[str]) -> list[str]:
    """Names for the pictures: the stems, made unique by their folders."""
    stems = [Path(path).stem for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    return ['_'.join(Path(p).with_suffix('').parts[-3:]) for p in paths]


def _plain(
    sample: BaseDataElement, score_thr: float, metainfo: dict
) -> dict[str, Any]:
    """Predicted instances as lists; label maps are in the pictures."""
    record: dict[str, Any] = {}
    classes = metainfo.get('classes', ())
    for field in ('pred_instances', 'pred_instances_3d'):
        if field not in sample:
            continue
        found = getattr(sample, field).cpu()
        scores = found.get('scores', found.get('scores_3d'))
        labels = found.get('labels', found.get('labels_3d'))
        if scores is None:
            continue
        kept = scores >= score_thr
        record[field] = {
            key: _listed(
                value[kept.numpy()] if _is_array(value) else value[kept]
            )
            for key, value in found.items()
        }
        record[field]['names'] = [
            classes[i] if i < len(classes) else str(i)
            for i in labels[kept].tolist()
        ]
    return record


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray)


def _listed(value: Any) -> Any:
    if getattr(value, 'ndim', 0) == 3:  # masks
        from pycocotools import mask as coco_mask

        array = np.asarray(value, dtype=np.uint8)
        codes = [coco_mask.encode(np.asfortranarray(m)) for m in array]
        return [dict(c, counts=c['counts'].decode()) for c in codes]
    return value.tolist() if isinstance(value, (Tensor, np.ndarray)) else value
