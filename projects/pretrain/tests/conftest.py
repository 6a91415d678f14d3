"""Folders of tiny images, three classes that differ in color."""

from pathlib import Path

import mmcv
import numpy as np
import pytest

CLASSES = ('blue', 'green', 'red')


@pytest.fixture(scope='session')
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('classes')
    numbers = np.random.default_rng(0)
    for split, count in (('train', 8), ('val', 3)):
        for channel, name in enumerate(CLASSES):
            for index in range(count):
                image = numbers.integers(0, 90, (40, 48, 3), dtype=np.uint8)
                image[..., channel] += 150
                path = root / split / name / f'{index}.png'
                mmcv.imwrite(image, str(path))
    return root
