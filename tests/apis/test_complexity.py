"""Counts of a whole model, by module."""

import pytest
from helpers.commands import run_command

from lvt_dense.apis.complexity import count_complexity
from lvt_dense.config import load_config


def test_modules_add_up() -> None:
    cfg = load_config('lvt_dense::ssdlite_mobilevit_xxs_192_demo.py')
    total, *parts = count_complexity(cfg)
    assert [p.name for p in parts] == ['backbone', 'neck', 'bbox_head']
    for field in ('parameters', 'macs', 'activations'):
        assert getattr(total, field) == sum(getattr(p, field) for p in parts)


def test_backbone_is_that_of_the_zoo() -> None:
    import torch

    from lvt_dense.apis.zoo import macs
    from lvt_dense.models.backbones import build_backbone

    cfg = load_config('lvt_dense::deeplabv3_mobilevit_xxs_360_camvid.py')
    rows = count_complexity(cfg, (64, 96))
    with torch.device('meta'):
        stride = cfg.model.backbone.output_stride
        backbone = build_backbone('mobilevit_xxs', output_stride=stride)
    found = next(row.macs for row in rows if row.name == 'backbone')
    assert found == macs(backbone.eval(), 64, 96)


@pytest.mark.parametrize('name', ['mask_rcnn_emo_coco', 'monocon_emo_kitti'])
def test_other_tasks(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    config = f'lvt_dense::{name}.py'
    assert run_command('complexity', config, '--size', '64x96') == 0
    assert '| backbone | EMO |' in capsys.readouterr().out
