"""Every segmentation config is trained, validated and drawn."""

import re

import mmcv
import numpy as np
import pytest
from mmengine.runner import Runner
from segmentation import (
    CONFIGS,
    IMAGE,
    LAYOUT_OF,
    config_names,
    layout_of,
    skip_beautifier,
    small_config,
)

from lvt_dense.datasets.scenes import write_semantic

# Of the official implementations, see the design notes of each recipe.
PARAMETERS = dict(
    deeplabv3_mobilevit_512_voc12aug=6_357_941,
    deeplabv3_mobilevit_xs_512_voc12aug=2_944_069,
    deeplabv3_mobilevit_xxs_512_voc12aug=1_854_853,
    deeplabv3_emo_1m_512_ade20k=5_653_188,
    deeplabv3_emo_2m_512_ade20k=6_967_156,
    deeplabv3_emo_512_ade20k=10_355_828,
    pspnet_emo_1m_512_ade20k=4_374_724,
    pspnet_emo_2m_512_ade20k=5_557_620,
    pspnet_emo_512_ade20k=8_585_844,
)
CLASSES = dict(ade20k=150, cityscapes=19, voc=21, camvid=11)
NAMES = config_names()


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """A rendered data set of every layout: three train, one val image."""
    folder = tmp_path_factory.mktemp('data')
    for layout in LAYOUT_OF.values():
        write_semantic(folder / layout, layout, 4, seed=1, size=IMAGE)
    return folder


@pytest.fixture(autouse=True)
def plain_dumps(monkeypatch):
    skip_beautifier(monkeypatch)


def test_every_promised_config_is_there():
    families = ('mobilevit', 'emo', 'nasvit', 'plg_vit', 't2t_vit')
    promised = [
        *PARAMETERS,
        *(f'deeplabv3_{family}_512_ade20k' for family in families),
        *(f'deeplabv3_{family}_512x1024_cityscapes' for family in families),
        'deeplabv3_mobilevit_xxs_360_camvid',
        'pspnet_emo_1m_360_camvid',
    ]
    assert set(promised) == set(NAMES)


@pytest.mark.parametrize('name', NAMES)
def test_header_names_the_command_and_the_figure(name):
    text = (CONFIGS / f'{name}.py').read_text()
    header = text[: text.index('_base_')].replace('\n# ', ' ')
    assert f'configs/{name}.py' in header
    assert re.search(
        'not reproduced here|no published figure|mIoU on val by', header
    )
    assert re.search(r'[\d,]+ parameters.*GMACs', header)


@pytest.mark.parametrize('name', NAMES)
def test_config_trains_validates_and_draws(name, data, tmp_path):
    layout = layout_of(name)
    cfg = small_config(name, data / layout, tmp_path)
    cfg.default_hooks.visualization.show_dir = str(tmp_path / 'pictures')
    runner = Runner.from_cfg(cfg)
    model = runner.model
    count = sum(p.numel() for p in model.parameters())
    assert count == PARAMETERS.get(name, count)
    norm = model.backbone.input_norm
    used = cfg.model.data_preprocessor
    assert [used[key] for key in norm] == list(norm.values())
    before = model.decode_head.conv_seg.weight.detach().clone()
    runner.train()
    assert not model.decode_head.conv_seg.weight.equal(before)
    assert model.decode_head.out_channels == CLASSES[layout]
    assert 0 <= runner.test()['mIoU'] <= 100
    assert (tmp_path / 'iter_2.pth').is_file()
    (labels,) = (tmp_path / 'pictures').glob('*_labels.png')
    drawn = mmcv.imread(str(labels), 'unchanged')
    assert drawn.shape == IMAGE[::-1]
    assert np.unique(drawn).max() < CLASSES[layout]


@pytest.mark.parametrize('name', NAMES)
def test_batch_norm_becomes_synchronised_in_distributed_runs(name):
    cfg = small_config(name, CONFIGS, CONFIGS)
    assert cfg.sync_bn == 'torch'
    assert 'SyncBN' not in str(cfg.to_dict())
