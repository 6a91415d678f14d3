"""MMSegmentation's own API and scripts on configs of ours."""

from pathlib import Path

import mmcv
import mmseg
import numpy as np
import pytest
import torch
from helpers.commands import run_script, skip_beautifier
from helpers.segmentation import IMAGE, small_config
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmseg.apis import (
    MMSegInferencer,
    inference_model,
    init_model,
    show_result_pyplot,
)

from lvt_dense.scenes import write_semantic

NAME = 'deeplabv3_mobilevit_xxs_360_camvid'
TOOLS = Path(mmseg.__file__).parent / '.mim' / 'tools'
# Names that no data set has, as of a training on data of one's own.
CLASSES = tuple(f'thing {i}' for i in range(11))
PALETTE = [[20 * i, 255 - 20 * i, 30] for i in range(11)]


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rendered scenes in the layout of CamVid."""
    folder = tmp_path_factory.mktemp('data') / 'camvid'
    return write_semantic(folder, 'camvid', 4, size=IMAGE)


@pytest.fixture(scope='module')
def image(data: Path) -> str:
    """One of the images."""
    return str(min((data / 'images' / 'val').iterdir()))


@pytest.fixture(scope='module')
def config(data: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A config file for tiny images."""
    work_dir = tmp_path_factory.mktemp('work')
    cfg = small_config(NAME, data, work_dir)
    cfg.test_pipeline = cfg.test_dataloader.dataset.pipeline
    path = work_dir / 'small.py'
    with pytest.MonkeyPatch.context() as patch:
        skip_beautifier(patch)
        cfg.dump(path)
    return str(path)


@pytest.fixture(scope='module')
def checkpoint(config: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Random weights, with names of classes as a training saves them."""
    init_default_scope('mmseg')
    model = MODELS.build(Config.fromfile(config).model)
    meta = dict(dataset_meta=dict(classes=CLASSES, palette=PALETTE))
    path = tmp_path_factory.mktemp('weights') / 'random.pth'
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return str(path)


def test_paths_and_arrays_give_one_result(
    config: str, checkpoint: str, image: str
) -> None:
    model = init_model(config, checkpoint, device='cpu')
    result = inference_model(model, image)
    labels = result.pred_sem_seg.data
    assert labels.shape == (1, IMAGE[1], IMAGE[0])
    (again,) = inference_model(model, [mmcv.imread(image)])
    assert torch.equal(again.pred_sem_seg.data, labels)


def test_pyplot(
    config: str, checkpoint: str, image: str, tmp_path: Path
) -> None:
    model = init_model(config, checkpoint, device='cpu')
    out = tmp_path / 'shown.png'
    drawn = show_result_pyplot(
        model,
        image,
        inference_model(model, image),
        show=False,
        out_file=str(out),
    )
    assert drawn.shape == (IMAGE[1], IMAGE[0], 3)
    assert out.is_file()


def test_inferencer(
    config: str, checkpoint: str, image: str, tmp_path: Path
) -> None:
    inferencer = MMSegInferencer(config, checkpoint, device='cpu')
    other = np.zeros((48, 40, 3), np.uint8)
    results = inferencer(
        [image, other], out_dir=str(tmp_path), return_vis=True
    )
    sizes = [labels.shape for labels in results['predictions']]
    assert sizes == [IMAGE[::-1], (48, 40)]
    model = init_model(config, checkpoint, device='cpu')
    expected = inference_model(model, image).pred_sem_seg.data[0]
    np.testing.assert_array_equal(results['predictions'][0], expected)
    stem = Path(image).stem
    assert (tmp_path / 'vis' / f'{stem}.jpg').is_file()
    mask = mmcv.imread(
        tmp_path / 'vis' / f'{stem}_mask.png', channel_order='rgb'
    )
    colors = np.array(PALETTE)[results['predictions'][0]]
    np.testing.assert_array_equal(mask, colors)
    plain = inferencer(image, return_vis=True, with_labels=False)
    assert len(plain['visualization']) < len(results['visualization'][0])


def test_script_draws_and_scores(
    config: str,
    checkpoint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    skip_beautifier(monkeypatch)
    options = ('--show-dir', tmp_path / 'shown')
    options += ('--work-dir', tmp_path / 'work')
    assert run_script(TOOLS / 'test.py', config, checkpoint, *options) == 0
    (drawn,) = (tmp_path / 'shown').rglob('*.png')
    assert mmcv.imread(drawn).shape[1] == 4 * IMAGE[0]  # with the truth
    assert 'mIoU' in next((tmp_path / 'work').rglob('*.log')).read_text()
