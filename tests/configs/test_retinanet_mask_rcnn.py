"""Configs of detectors on COCO: all stepped, one of each head trained."""

import re
from pathlib import Path

import mmcv
import pytest
from helpers.commands import skip_beautifier
from helpers.one_step import in_tiers, take_one_step
from helpers.optional import need_packages
from mmengine.config import Config
from mmengine.runner import Runner

from lvt_dense.config import set_data_root
from lvt_dense.scenes import write_coco

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
SCALE = (128, 96)  # width and height of the reduced images at most
# Rebuilt from the official code, see the papers' logs.
PARAMETERS = dict(
    retinanet_emo_1m_coco=10_479_244,
    retinanet_emo_2m_coco=11_555_644,
    retinanet_emo_coco=14_440_508,
    ssdlite_emo_1m_320_coco=2_311_980,
    ssdlite_emo_2m_320_coco=3_342_716,
    ssdlite_emo_320_coco=6_076_540,
    ssdlite_mobilevit_320_coco=5_738_826,
    ssdlite_mobilevit_xs_320_coco=2_742_042,
    ssdlite_mobilevit_xxs_320_coco=1_755_050,
)
NAMES = [
    *PARAMETERS,
    *(
        f'ssdlite_{x}_320_coco'
        for x in ('nasvit', 'plg_vit_lw_r', 't2t_vit_7')
    ),
    *(
        f'retinanet_{family}_coco'
        for family in ('mobilevit', 'nasvit', 'plg_vit', 't2t_vit')
    ),
    *(
        f'mask_rcnn_{family}_coco'
        for family in ('mobilevit', 'emo', 'nasvit', 'plg_vit', 't2t_vit')
    ),
    *(
        f'rtmdet_{backbone}_coco'
        for backbone in ('emo_1m', 'emo_2m', 'mobilevit_xs', 'nasvit')
    ),
    *sorted(path.stem for path in CONFIGS.glob('*_emov2_*coco.py')),
    'mask_rcnn_mobilevit_1024_coco',
    'mask_rcnn_t2t_vit_simple_fpn_coco',
    *need_packages(
        path.stem
        for head in ('retinanet', 'ssdlite')
        for path in CONFIGS.glob(f'{head}_timm_*.py')
    ),
]
# One of each head goes through the whole runner.
WHOLE = (
    'mask_rcnn_emo_coco',
    'retinanet_emo_1m_coco',
    'rtmdet_emo_1m_coco',
    'ssdlite_emo_1m_320_coco',
)


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four rendered images to train on, one to validate."""
    folder = tmp_path_factory.mktemp('data') / 'coco'
    write_coco(folder, 5, seed=3, size=(240, 192), val_fraction=0.2)
    return folder


@pytest.fixture(autouse=True)
def plain_dumps(monkeypatch: pytest.MonkeyPatch) -> None:
    skip_beautifier(monkeypatch)


def shrink(step: dict) -> None:
    """Bring a transform, and one inside it, to the reduced size."""
    for key in ('scale', 'img_scale', 'crop_size', 'size', 'base_size'):
        if key in step:
            step[key] = SCALE
    if 'transform' in step:
        shrink(step['transform'])


def small_config(name: str, data: Path, work_dir: Path) -> Config:
    """A config on the rendered data at a reduced size, two iterations."""
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    set_data_root(cfg, str(data))
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.update(num_workers=0, persistent_workers=False)
        loader.batch_size = min(loader.batch_size, 2)
        dataset = loader.dataset
        if dataset.type == 'RepeatDataset':
            dataset.times = 1
            dataset = dataset.dataset
        for step in dataset.pipeline:
            shrink(step)
    # An untrained model is sure of nothing; some boxes are to be drawn.
    test_cfg = cfg.model.test_cfg.get('rcnn', cfg.model.test_cfg)
    test_cfg.update(score_thr=0.0, max_per_img=10)
    if 'rpn_proposal' in cfg.model.train_cfg:
        cfg.model.train_cfg.rpn_proposal.max_per_img = 50
        cfg.model.train_cfg.rcnn.sampler.num = 16
        cfg.model.test_cfg.rpn.max_per_img = 50
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    cfg.work_dir = str(work_dir)
    cfg.default_hooks.visualization.update(
        show_dir=str(work_dir / 'pictures'), score_thr=0.0
    )
    return cfg


def header_of(name: str) -> str:
    """The header of a config, in one line."""
    text = (CONFIGS / f'{name}.py').read_text()
    header = text[: text.index('_base_')].replace('\n#', ' ')
    return ' '.join(header.split())


@pytest.mark.parametrize('name', NAMES)
def test_header_names_the_command_and_the_figure(name: str) -> None:
    header = header_of(name)
    assert f'configs/{name}.py' in header
    assert re.search('not\\s+reproduced here|no published', header)
    assert re.search(r'[\d,]{9,} parameters', header)


@pytest.mark.parametrize(
    'name',
    in_tiers(NAMES, '_1m_|_xxs_|_lw_r_|_7_|(ssd|rtm).*nasvit|rcnn_emo_'),
)
def test_config_takes_a_step_and_predicts(
    name: str, data: Path, tmp_path: Path
) -> None:
    step = take_one_step(small_config(name, data, tmp_path))
    count = sum(p.numel() for p in step.model.parameters())
    assert count == PARAMETERS.get(name, count)
    assert f'{count:,} parameters' in header_of(name)
    assert step.moved > 0.8
    assert step.losses['loss'].isfinite()
    found = step.predictions[0].pred_instances
    assert 0 < len(found) <= 10
    assert ('masks' in found) == name.startswith('mask_rcnn')


@pytest.mark.parametrize('name', WHOLE)
def test_config_trains_validates_and_draws(
    name: str, data: Path, tmp_path: Path
) -> None:
    runner = Runner.from_cfg(small_config(name, data, tmp_path))
    runner.train()
    figures = runner.test()
    kinds = ['bbox', 'segm'] if 'mask_rcnn' in name else ['bbox']
    for kind in kinds:
        assert -1 <= figures[f'coco/{kind}_mAP'] <= 1
    (picture,) = (tmp_path / 'pictures').rglob('*.png')
    assert mmcv.imread(str(picture)).any()
