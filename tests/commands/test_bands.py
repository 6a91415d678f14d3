"""Images of four bands, from the data to an exported model's prediction."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.commands import run_command, skip_beautifier
from helpers.own_data_commands import read
from mmengine.config import Config
from PIL import Image

from lvt_dense.engine.bands import fit_bands
from lvt_dense.runtime.bands import read_bands
from lvt_dense.runtime.errors import InputError

SEGMENTER = 'lvt_dense::deeplabv3_mobilevit_xxs_360_camvid.py'
DETECTOR = 'lvt_dense::ssdlite_mobilevit_xxs_320_coco.py'
FOUR = 'model.backbone.in_channels=4'
SMALL = (
    'train_dataloader.dataset.pipeline.2.scale=(64,64)',
    'train_dataloader.dataset.pipeline.3.crop_size=(64,64)',
    *(
        f'{split}_dataloader.{option}'
        for split in ('val', 'test')
        for option in ('num_workers=0', 'persistent_workers=False')
    ),
    *(
        f'{split}_dataloader.dataset.pipeline.1.scale=(64,64)'
        for split in ('val', 'test')
    ),
)


def write(root: Path, kind: type, suffix: str) -> Path:
    """Images whose objects are in the fourth band alone."""
    rng = np.random.default_rng(0)
    scale = 255 if kind == np.uint16 else 1 / 255 if kind == np.float32 else 1
    for split in ('train', 'val'):
        for part in ('images', 'masks'):
            (root / part / split).mkdir(parents=True)
        for index in range(4):
            labels = np.zeros((64, 80), np.uint8)
            labels[10:40, 5 * index : 5 * index + 30] = 1
            image = rng.integers(0, 60, (64, 80, 4))
            image[..., 3] += 150 * labels
            name = f'{split}_{index}'
            path = root / 'images' / split / f'{name}{suffix}'
            assert cv2.imwrite(str(path), (image * scale).astype(kind))
            Image.fromarray(labels).save(
                root / 'masks' / split / f'{name}.png'
            )
    return root


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work directory beside its data, of TIFF files of 16 bits."""
    pytest.importorskip('tifffile')
    root = write(tmp_path_factory.mktemp('b') / 'data', np.uint16, '.tif')
    work = root.parent / 'work'
    args = ('train', SEGMENTER, '--data', root, '--work-dir', work)
    with pytest.MonkeyPatch.context() as patch:
        skip_beautifier(patch)
        status = run_command(
            *(*args, '--epochs', 1, '--batch-size', 2, '--workers', 0),
            *('--seed', 0),
            *('--cfg-options', FOUR, *SMALL),
        )
    assert status == 0
    return work


def config_of(work: Path) -> Path:
    return next(work.glob('*.py'))


@pytest.mark.release
def test_commands_after_a_training(trained: Path, tmp_path: Path) -> None:
    """The config of the run says all."""
    pytest.importorskip('onnxruntime')
    model = (config_of(trained), trained / 'iter_2.pth')
    assert run_command('test', *model, '--work-dir', tmp_path / 'test') == 0
    out = tmp_path / 'model.onnx'
    assert run_command('export', *model, '--out', out) == 0
    images = trained.parent / 'data' / 'images' / 'val'
    formats = ('--format', 'label-maps,pictures')
    for name, words in (('a', (out,)), ('b', model)):
        args = (*words, images, '--out', tmp_path / name, *formats)
        assert run_command('predict', *args) == 0
    maps = [
        np.asarray(Image.open(tmp_path / n / 'label_maps' / 'val_1.tif.png'))
        for n in 'ab'
    ]
    assert (maps[0] == maps[1]).mean() > 0.99
    assert run_command('predict', *model, images, '--tiles', 64) == 2


def test_other_numbers_of_bands_are_named(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / 'color.png'
    Image.new('RGB', (64, 64)).save(path)
    model = (config_of(trained), trained / 'iter_2.pth')
    assert run_command('predict', *model, path, '--out', tmp_path) == 2
    said = capsys.readouterr().err
    assert 'color.png has 3 bands, and the model takes 4' in said


@pytest.mark.parametrize('config', [SEGMENTER, DETECTOR])
def test_what_follows_the_bands(config: str) -> None:
    from lvt_dense.config import load_config

    cfg = load_config(config)
    before = cfg.pretty_text
    assert fit_bands(cfg) == [] and cfg.pretty_text == before
    cfg.model.backbone.in_channels = 4
    assert fit_bands(cfg)
    text = str(cfg.train_dataloader)
    assert "'bands': 4" in text and "'bands': 4" in str(cfg.test_dataloader)
    assert 'PhotoMetricDistortion' not in text
    settings = cfg.model.data_preprocessor
    assert not settings.bgr_to_rgb and len(settings.mean) == 1
    again = Config(cfg.to_dict())
    assert fit_bands(again) == []
    assert again.pretty_text == cfg.pretty_text


@pytest.mark.parametrize('count', [4, 5])
def test_normalization_of_each_band(count: int) -> None:
    import torch
    from mmengine.registry import MODELS

    mean, std = list(range(count)), [2.0] * count
    for kind in ('DetBandsPreprocessor', 'SegBandsPreprocessor'):
        built = MODELS.build(
            dict(type=f'lvt_dense.{kind}', mean=mean, std=std)
        )
        images = torch.full((count, 4, 4), 10, dtype=torch.uint8)
        out = built(dict(inputs=[images]), False)['inputs'][0]
        expected = [(10 - m) / 2 for m in mean]
        assert out[:, 0, 0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize('kind', [np.uint8, np.uint16])
@pytest.mark.parametrize('suffix', ['.png', '.tif'])
def test_bands_are_in_the_order_of_the_file(kind: type, suffix: str) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, np.iinfo(kind).max, (6, 8, 4)).astype(kind)
    expected = image if kind == np.uint8 else image >> 8
    if suffix == '.tif':
        pytest.importorskip('tifffile')
    data = cv2.imencode(suffix, image[..., [2, 1, 0, 3]])[1].tobytes()
    np.testing.assert_array_equal(read_bands(data, 4), expected)


@pytest.mark.parametrize('layout', ['contig', 'separate'])
def test_files_that_opencv_takes_for_gray(
    layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tifffile = pytest.importorskip('tifffile')
    root = write(tmp_path / 'data', np.uint8, '.tif')
    for path in (root / 'images').rglob('*.tif'):
        bands = read_bands(path, 4)
        stored = bands if layout == 'contig' else bands.transpose(2, 0, 1)
        tifffile.imwrite(
            path, stored, photometric='minisblack', planarconfig=layout
        )
        np.testing.assert_array_equal(read_bands(path, 4), bands)
    assert run_command('train', SEGMENTER, '--data', root) == 2
    said = capsys.readouterr().err
    assert 'has 4 bands: set model.backbone.in_channels' in said
    read(SEGMENTER, root, '--cfg-options', FOUR)


def test_float_values_are_refused_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip('tifffile')
    root = write(tmp_path / 'data', np.float32, '.tif')
    args = ('train', SEGMENTER, '--data', root)
    assert run_command(*args, '--cfg-options', FOUR) == 2
    assert 'has values of type float32' in capsys.readouterr().err
    path = next((root / 'images' / 'val').iterdir())
    with pytest.raises(InputError, match='values of type float32: save it'):
        read_bands(path, 4)
    gray = tmp_path / 'gray.tif'
    Image.fromarray(np.full((8, 8), 0.5, np.float32)).save(gray)
    from lvt_dense.datasets.label_maps import read_mask
    from lvt_dense.runtime import to_array
    from lvt_dense.utils.errors import UserError

    with pytest.raises(InputError, match='values of 32 bits'):
        to_array(gray)
    with pytest.raises(UserError, match='values that are no integers'):
        read_mask(str(gray))
