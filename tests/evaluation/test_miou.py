"""mIoU of a test run against a confusion matrix of our own."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.commands import skip_beautifier
from helpers.segmentation import IMAGE, small_config
from mmengine.registry import MODELS, init_default_scope
from PIL import Image

from lvt_dense.apis.test import test as run_test
from lvt_dense.scenes import write_semantic

NAME = 'deeplabv3_mobilevit_xxs_360_camvid'


@pytest.fixture(scope='module')
def setting(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Rendered data without pedestrians, and a checkpoint at random."""
    folder = tmp_path_factory.mktemp('miou')
    root = write_semantic(
        folder / 'camvid', 'camvid', 8, size=IMAGE, val_fraction=0.5
    )
    for path in (root / 'labels' / 'val').glob('*.png'):
        mask = np.array(Image.open(path))
        mask[mask == 9] = 255
        Image.fromarray(mask).save(path)
    cfg = small_config(NAME, root, folder)
    init_default_scope('mmseg')
    torch.manual_seed(3)
    model = MODELS.build(cfg.model)
    model.init_weights()
    # Spread the logits, so that several classes are predicted.
    torch.nn.init.normal_(model.decode_head.conv_seg.weight, std=1.0)
    torch.save(model.state_dict(), folder / 'random.pth')
    return folder, root


def miou_by_hand(samples: list) -> tuple[float, np.ndarray]:
    """Mean over the classes that occur, in percent, and their number."""
    matrix = np.zeros((11, 11), int)
    for sample in samples:
        truth = np.asarray(sample['gt_sem_seg']['data'])[0]
        predicted = np.asarray(sample['pred_sem_seg']['data'])[0]
        for t, p in zip(truth.ravel(), predicted.ravel()):
            if t != 255:
                matrix[t, p] += 1
    hits = matrix.diagonal()
    union = matrix.sum(0) + matrix.sum(1) - hits
    ious = [h / u for h, u in zip(hits, union) if u]
    return 100 * sum(ious) / len(ious), matrix


def figures_and_samples(
    setting: tuple[Path, Path], **options: Any
) -> tuple[dict, list]:
    folder, root = setting
    out = folder / 'predictions.pkl'
    with pytest.MonkeyPatch.context() as monkeypatch:
        skip_beautifier(monkeypatch)
        figures = run_test(
            small_config(NAME, root, folder),
            str(folder / 'random.pth'),
            out=str(out),
            **options,
        )
    return figures, pickle.loads(out.read_bytes())


@pytest.fixture(scope='module')
def plain(setting: tuple[Path, Path]) -> tuple[dict, list]:
    return figures_and_samples(setting)


def test_miou_is_that_of_the_confusion_matrix(
    plain: tuple[dict, list],
) -> None:
    figures, samples = plain
    expected, matrix = miou_by_hand(samples)
    assert matrix.sum(1)[9] == 0  # no pedestrian in the truth
    assert (matrix.sum(0) > 0).sum() > 2  # several classes are predicted
    ignored = sum(np.prod(s['gt_sem_seg']['data'].shape) for s in samples)
    assert ignored > matrix.sum()  # some pixels do not count
    assert figures['mIoU'] == pytest.approx(expected, abs=0.005)
    accuracy = 100 * matrix.diagonal().sum() / matrix.sum()
    assert figures['aAcc'] == pytest.approx(accuracy, abs=0.005)


def test_augmented_test_scores_what_it_predicts(
    setting: tuple[Path, Path], plain: tuple[dict, list]
) -> None:
    figures, samples = figures_and_samples(setting, tta=True)
    expected, _ = miou_by_hand(samples)
    assert figures['mIoU'] == pytest.approx(expected, abs=0.005)
    assert figures != plain[0]
    for sample, other in zip(samples, plain[1]):
        assert torch.equal(
            sample['gt_sem_seg']['data'], other['gt_sem_seg']['data']
        )
