"""Draw training images after augmentation."""

from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

from lvt_dense.compat.stack import import_stack
from lvt_dense.engine.data_checks import check_data
from lvt_dense.engine.hooks.train_pictures_hook import encode
from lvt_dense.engine.train_samples import (
    SampleDrawer,
    TrainSample,
    describe_sample,
    kept_random_state,
    spread,
)
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import write_atomically
from lvt_dense.utils.progress import tqdm
from lvt_dense.utils.text import suggest
from lvt_dense.visualization.train_samples import (
    caption,
    draw_train_sample,
    make_sheet,
)

PICKS = ('smallest', 'largest', 'empty')
SHEET = 'sheet.jpg'


def browse(
    cfg: Config,
    out: str = 'browse',
    number: int = 16,
    epochs: int = 1,
    pick: str | None = None,
    class_name: str | None = None,
    seed: int = 0,
) -> list[Path]:
    """Draw training images and labels after augmentation.

    Args:
        cfg: Config of any task.
        out: Folder of the pictures and of ``sheet.jpg``.
        number: Number of images.
        epochs: Draws of each image, side by side.
        pick: ``smallest`` or ``largest`` for the images with the smallest or
            the largest objects, ``empty`` for those without any; by default
            they are spread over the data set.
        class_name: Take images with this class only.
        seed: Seed of the augmentation.

    Returns:
        The pictures, and the sheet as the last one.

    Raises:
        UserError: The data cannot be used, or no image fits.
    """
    if number < 1 or epochs < 1:
        raise UserError('--number and --epochs have to be 1 or more')
    import_stack()
    init_default_scope(cfg.get('default_scope') or 'mmengine')
    check_data(cfg, ['train'])
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    classes = list(dataset.metainfo.get('classes') or ())
    chosen = choose(dataset, classes, number, pick, class_name)
    with kept_random_state(seed):
        drawn = _draw_samples(dataset, chosen, epochs)
    pictures, texts, paths = [], [], []
    palette = dataset.metainfo.get('palette') or ()
    for place, epoch, found in drawn:
        name = f'{place:03d}_{epoch}_{Path(found.path).stem}.jpg'
        paths.append(Path(out, name))
        texts.append(describe_sample(found))
        pictures.append(
            draw_train_sample(found.image, found.sample, classes, palette)
        )
        content = encode(caption(pictures[-1], texts[-1]))
        write_atomically(paths[-1], content, sync=False)
    paths.append(Path(out, SHEET))
    sheet = make_sheet(pictures, texts, epochs * max(1, 4 // epochs))
    write_atomically(paths[-1], encode(sheet))
    return paths


def _draw_samples(
    dataset: Any, chosen: list[int], epochs: int
) -> list[tuple[int, int, TrainSample]]:
    """Send the chosen images through the pipeline, once an epoch.

    Returns:
        Place among the chosen, epoch and sample; none where the pipeline
        drops the image.

    Raises:
        UserError: It drops all of them.
    """
    drawer = SampleDrawer(dataset)
    drawn = [
        (place, epoch, found)
        for place, index in enumerate(tqdm(chosen, 'Images'))
        for epoch in range(epochs)
        if (found := drawer.draw(index)) is not None
    ]
    if not drawn:
        raise UserError(
            'the pipeline drops all of these images, as no object is left '
            'in them: look at its crops and filters'
        )
    return drawn


def choose(
    dataset: Any,
    classes: list[str],
    number: int,
    pick: str | None = None,
    class_name: str | None = None,
) -> list[int]:
    """Choose images of a data set; see :func:`browse`.

    Raises:
        UserError: There is no such class, or no image fits.
    """
    if class_name is not None and class_name not in classes:
        raise UserError(
            f'--class {class_name}: the data have no such class; '
            f'{suggest(class_name, classes)}'
        )
    if not pick and class_name is None:
        return spread(len(dataset), number)
    label = None if class_name is None else classes.index(class_name)
    if not _has_instances(dataset):
        return _choose_maps(dataset, number, pick, label)
    sizes = [
        _sizes(dataset.get_data_info(i), label) for i in range(len(dataset))
    ]
    if pick == 'empty':
        fits = [i for i, own in enumerate(sizes) if not own]
    else:
        fits = [i for i, own in enumerate(sizes) if own]
    if not fits:
        raise UserError(
            'no image of the training set matches; the recipe may leave such '
            'images out (filter_cfg of the data set)'
        )
    if pick == 'smallest':
        return sorted(fits, key=lambda i: min(sizes[i]))[:number]
    if pick == 'largest':
        return sorted(fits, key=lambda i: -max(sizes[i]))[:number]
    return [fits[k] for k in spread(len(fits), number)]


def _has_instances(dataset: Any) -> bool:
    return 'instances' in dataset.get_data_info(0)


def _sizes(info: dict, label: int | None) -> list[float]:
    """Return the areas of the objects of a class, or of all, in pixels."""
    return [
        (box[2] - box[0]) * (box[3] - box[1])
        for item in info['instances']
        if label is None or item['bbox_label'] == label
        for box in [item['bbox']]
    ]


def _choose_maps(
    dataset: Any, number: int, pick: str | None, label: int | None
) -> list[int]:
    """Choose images by the pixels of a class in their label maps."""
    if label is None:
        raise UserError(
            f'--{pick}: label maps have no objects; give --class NAME to '
            'choose images by the pixels of a class'
        )
    load = [
        transform
        for transform in dataset.pipeline.transforms
        if 'Annotations' in type(transform).__name__
    ]
    if not load:
        raise UserError('--class: the pipeline loads no label maps')
    counts = []
    for i in tqdm(range(len(dataset)), 'Label maps'):
        results = load[0](dataset.get_data_info(i))
        counts.append(int(np.sum(results['gt_seg_map'] == label)))
    fits = [i for i, n in enumerate(counts) if (n == 0) == (pick == 'empty')]
    if not fits:
        raise UserError('no image of the training set matches')
    if pick in ('smallest', 'largest'):
        sign = 1 if pick == 'smallest' else -1
        return sorted(fits, key=lambda i: sign * counts[i])[:number]
    return [fits[k] for k in spread(len(fits), number)]
