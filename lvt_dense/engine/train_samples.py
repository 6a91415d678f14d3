"""Run a training pipeline on an image step by step."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import Compose

# Tries, where a transform drops an image because no object is left in it.
TRIES = 20


@dataclass
class TrainSample:
    """What the network gets of an image.

    Attributes:
        image: (H, W, 3), RGB, uint8, before it is normalized.
        sample: Data sample with the labels, in its frame.
        path: File of the image.
        acted: Transforms that changed image or labels, in order.
        drops: How often a transform had dropped the image before.
    """

    image: np.ndarray
    sample: Any
    path: str
    acted: list[str] = field(default_factory=list)
    drops: int = 0


@contextmanager
def kept_random_state(seed: int | None = None) -> Iterator[None]:
    """Give back the random numbers as they were.

    Args:
        seed: Seed for what is drawn inside.
    """
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    if seed is not None:
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


class SampleDrawer:
    """Send images through a training pipeline, again and again.

    The data set stays as it is, with what its transforms keep of the images
    before (as those of a mosaic do).

    Args:
        dataset: Data set of a training, also inside a wrapper.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self._pipelines: dict[int, list] = {}

    def draw(self, index: int) -> TrainSample | None:
        """Send an image through the pipeline.

        Args:
            index: Index of the image.

        Returns:
            The sample; None if no object was left of it in :data:`TRIES`
            tries.
        """
        dataset, index = _unwrap(self.dataset, index)
        pipeline = getattr(dataset, 'pipeline', None)
        if not isinstance(pipeline, Compose):  # it mixes images of others
            return _finish(dataset[index], [], 0)
        if id(dataset) not in self._pipelines:
            self._pipelines[id(dataset)] = deepcopy(pipeline.transforms)
        transforms = self._pipelines[id(dataset)]
        for drops in range(TRIES):
            results, acted = _run(transforms, dataset.get_data_info(index))
            if results is not None:
                return _finish(results, acted, drops)
        return None


def _run(transforms: list, results: Any) -> tuple[Any, list[str]]:
    """Apply transforms; return the results and what changed them."""
    acted: list[str] = []
    for transform in transforms:
        before = _fingerprint(results)
        results = transform(results)
        if results is None:
            break
        after = _fingerprint(results)
        if before[0] is not None and not _equal(before, after):
            acted.append(type(transform).__name__)
    return results, acted


def _unwrap(dataset: Any, index: int) -> tuple[Any, int]:
    while True:
        if hasattr(dataset, 'cumulative_sizes'):  # ConcatDataset
            part, index = dataset._get_ori_dataset_idx(index)
            dataset = dataset.datasets[part]
        elif hasattr(dataset, 'dataset') and not hasattr(dataset, 'pipeline'):
            dataset = dataset.dataset
            index %= len(dataset)
        else:
            return dataset, index


def _fingerprint(results: Any) -> tuple:
    """Copy what a transform could change; the image comes first."""
    if not isinstance(results, dict) or 'img' not in results:
        return (None,)
    found = [results['img'].copy()]
    for name in ('gt_bboxes', 'gt_seg_map', 'gt_bboxes_3d'):
        value = results.get(name)
        value = getattr(value, 'tensor', value)
        found.append(None if value is None else np.array(value))
    return tuple(found)


def _equal(before: tuple, after: tuple) -> bool:
    if after[0] is None:
        return True  # the last transform packs the results
    return all(
        (a is None or b is None)  # just loaded
        or (a.shape == b.shape and np.array_equal(a, b))
        for a, b in zip(before, after)
    )


def _finish(results: Any, acted: list[str], drops: int) -> TrainSample | None:
    if results is None:
        return None
    tensor = results['inputs']
    pixels = tensor.permute(1, 2, 0).numpy().clip(0, 255).astype(np.uint8)
    sample = results['data_samples']
    return TrainSample(
        np.ascontiguousarray(pixels[..., ::-1]),  # pipelines load BGR
        sample,
        str(getattr(sample, 'img_path', '')),
        acted,
        drops,
    )


def spread(count: int, number: int) -> list[int]:
    """Choose indices (at most ``number``) evenly over a data set."""
    if not count:
        return []
    places = np.linspace(0, count, min(number, count), endpoint=False)
    return places.astype(int).tolist()


def describe_sample(found: TrainSample) -> list[str]:
    """Return the lines for below the picture of a sample."""
    height, width = found.image.shape[:2]
    steps = ', '.join(found.acted) or 'no transform acted'
    lines = [f'{Path(found.path).name}  {width} x {height}', steps]
    if found.drops:
        lines.append(f'dropped {found.drops} times before')
    return lines
