"""Segmentation configs: all are stepped, one of each kind is trained."""

import re
from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch
from helpers.commands import skip_beautifier
from helpers.one_step import in_tiers, take_one_step
from helpers.optional import need_packages
from helpers.segmentation import (
    CONFIGS,
    IMAGE,
    config_names,
    folder_of,
    layout_of,
    small_config,
    write_layouts,
)
from mmengine.model import convert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.flop_counter import FlopCounterMode

from lvt_dense.config import load_config

# Of the official implementations, see the design notes of each recipe.
PARAMETERS = dict(
    deeplabv3_mobilevit_512_voc12aug=6_357_941,
    deeplabv3_mobilevit_xs_512_voc12aug=2_944_069,
    deeplabv3_mobilevit_xxs_512_voc12aug=1_854_853,
    deeplabv3_mobilevit_512_coco_voc12aug=6_357_941,
    deeplabv3_mobilevit_xs_512_coco_voc12aug=2_944_069,
    deeplabv3_mobilevit_xxs_512_coco_voc12aug=1_854_853,
    deeplabv3_emo_1m_512_ade20k=5_653_188,
    deeplabv3_emo_2m_512_ade20k=6_967_156,
    deeplabv3_emo_512_ade20k=10_355_828,
    pspnet_emo_1m_512_ade20k=4_374_724,
    pspnet_emo_2m_512_ade20k=5_557_620,
    pspnet_emo_512_ade20k=8_585_844,
)
OF_TIMM = (
    'cpubone_b0',
    'fastvit_t8',
    'mobilenetv4_conv_small',
    'repvit_m0_9',
)
CLASSES = dict(ade20k=150, cityscapes=19, voc=21, camvid=11)
NAMES = need_packages(config_names())
# One of each head and data set goes through the whole runner.
WHOLE = (
    'deeplabv3_emo_1m_512_ade20k',
    'deeplabv3_mobilevit_xxs_360_camvid',
    'deeplabv3_mobilevit_xxs_512_coco_voc12aug',
    'deeplabv3_mobilevit_xxs_512_voc12aug',
    'deeplabv3_nasvit_512x1024_cityscapes',
    'fpn_emov2_1m_512_ade20k',
    'pspnet_emo_1m_360_camvid',
    'segformer_emov2_1m_512_ade20k',
)


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered data set of every layout: three train, one val image."""
    folder = tmp_path_factory.mktemp('data')
    write_layouts(folder)
    return folder


@pytest.fixture(autouse=True)
def plain_dumps(monkeypatch: pytest.MonkeyPatch) -> None:
    skip_beautifier(monkeypatch)


def header_of(name: str) -> str:
    text = (CONFIGS / f'{name}.py').read_text()
    return text[: text.index('_base_')].replace('\n# ', ' ')


def header_figure(name: str, pattern: str) -> str:
    (found,) = re.findall(pattern, header_of(name))
    return found.replace(',', '')


def test_every_promised_config_is_there() -> None:
    families = ('mobilevit', 'emo', 'nasvit', 'plg_vit', 't2t_vit')
    promised = [
        *PARAMETERS,
        *(f'deeplabv3_{family}_512_ade20k' for family in families),
        *(f'deeplabv3_{family}_512x1024_cityscapes' for family in families),
        'deeplabv3_mobilevit_xxs_360_camvid',
        'pspnet_emo_1m_360_camvid',
        *(
            f'{head}_emov2{size}_512_ade20k'
            for head in ('deeplabv3', 'pspnet', 'fpn', 'segformer')
            for size in ('_1m', '_2m', '')
        ),
        *(f'deeplabv3_timm_{name}_512_ade20k' for name in OF_TIMM),
    ]
    assert set(promised) == set(config_names())


@pytest.mark.parametrize('name', NAMES)
def test_header_names_the_command_and_the_figure(name: str) -> None:
    header = header_of(name)
    assert f'configs/{name}.py' in header
    assert re.search(
        'not reproduced here|no published result|mIoU on val by', header
    )


@pytest.mark.parametrize(
    'name', in_tiers(NAMES, '_1m_|_xxs_|(nasvit|plg_vit|t2t_vit)_512_ade')
)
def test_config_takes_a_step_and_predicts(
    name: str, data: Path, tmp_path: Path
) -> None:
    cfg = small_config(name, data / folder_of(name), tmp_path)
    step = take_one_step(cfg)
    count = sum(p.numel() for p in step.model.parameters())
    assert count == PARAMETERS.get(name, count)
    assert count == int(header_figure(name, r'([\d,]+) parameters'))
    assert step.model.decode_head.out_channels == CLASSES[layout_of(name)]
    assert step.moved > 0.8
    assert step.losses['loss'].isfinite()
    labels = step.predictions[0].pred_sem_seg.data
    assert labels.shape == (1, *IMAGE[::-1])
    assert labels.max() < CLASSES[layout_of(name)]


@pytest.mark.parametrize('name', WHOLE)
def test_config_trains_validates_and_draws(
    name: str, data: Path, tmp_path: Path
) -> None:
    layout = layout_of(name)
    cfg = small_config(name, data / folder_of(name), tmp_path)
    cfg.default_hooks.visualization.show_dir = str(tmp_path / 'pictures')
    runner = Runner.from_cfg(cfg)
    model = runner.model
    before = model.decode_head.conv_seg.weight.detach().clone()
    runner.train()
    assert not model.decode_head.conv_seg.weight.equal(before)
    assert 0 <= runner.test()['mIoU'] <= 100
    unit = 'epoch' if cfg.log_processor.by_epoch else 'iter'
    assert (tmp_path / f'{unit}_2.pth').is_file()
    (labels,) = (tmp_path / 'pictures').glob('*_labels.png')
    drawn = mmcv.imread(str(labels), 'unchanged')
    assert drawn.shape == IMAGE[::-1]
    assert np.unique(drawn).max() < CLASSES[layout]


@pytest.mark.parametrize('name', NAMES)
def test_batch_norm_is_asked_to_synchronize_when_distributed(
    name: str,
) -> None:
    cfg = small_config(name, CONFIGS, CONFIGS)
    # those of EMOv2 were logged without
    is_logged = re.match('(deeplabv3|pspnet)_emov2', name)
    assert cfg.sync_bn == (None if is_logged else 'torch')
    assert 'SyncBN' not in str(cfg.to_dict())


def test_every_batch_norm_can_synchronize() -> None:
    init_default_scope('mmseg')
    cfg = load_config(CONFIGS / 'pspnet_emo_1m_360_camvid.py')
    model = convert_sync_batchnorm(MODELS.build(cfg.model), 'torch')
    kinds = [type(m) for m in model.modules() if isinstance(m, _BatchNorm)]
    assert set(kinds) == {torch.nn.SyncBatchNorm}
    assert len(kinds) > 20


@pytest.mark.parametrize('data_set', ['512_ade20k', '512x1024_cityscapes'])
def test_nasvit_keeps_its_budget(data_set: str) -> None:
    """The paper's 5 G; attention is counted as the products it consists of."""
    name = f'deeplabv3_nasvit_{data_set}'
    init_default_scope('mmseg')
    cfg = load_config(CONFIGS / f'{name}.py').model
    model = MODELS.build(cfg).eval().requires_grad_(False)
    image = torch.zeros(1, 3, *cfg.data_preprocessor.size)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as flops:
        model.decode_head(model.backbone(image))
    macs = flops.get_total_flops() / 2e9
    assert macs <= 5
    assert macs == pytest.approx(
        float(header_figure(name, r'([\d.]+) GMACs at')), abs=0.006
    )
