"""Every recipe against its source: decay, rates, batch, images, headers."""

import math
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.official import figures
from helpers.optional import need_packages
from helpers.schedules import first_copy_share, play
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from lvt_dense.apis.zoo import macs
from lvt_dense.checkpoints.layout import Layout
from lvt_dense.config import load_config
from lvt_dense.engine.optimizers import is_norm
from lvt_dense.engine.schedules import (
    RULES,
    averaging_hooks,
)
from lvt_dense.models.backbones import EMO
from lvt_dense.models.backbones.pretrained import official_record

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
NAMES = need_packages(path.stem for path in CONFIGS.glob('*.py'))
# Images of an epoch, by the first of these that a config's name holds.
IMAGES = {
    'demo': 360,
    'coco_voc12aug': 10_582 + 92_518,
    'voc12aug': 10 * 10_582,
    'ade20k': 20_210,
    'cityscapes': 2_975,
    'camvid': 367,
    'kitti': 3_712,
    'coco': 117_266,
}


@cache
def config(name: str) -> Config:
    return load_config(CONFIGS / f'{name}.py')


@cache
def model(name: str) -> nn.Module:
    """The model of a config, without values."""
    cfg = config(name)
    with (
        MODELS.switch_scope_and_registry(cfg.default_scope) as registry,
        torch.device('meta'),
    ):
        return registry.build(cfg.model).eval()


def header(name: str) -> str:
    text = (CONFIGS / f'{name}.py').read_text()
    return text[: text.index('\n_base_ = ') + 1].replace('\n# ', ' ')


def is_mono(name: str) -> bool:
    return name.startswith(('monocon', 'fcos3d'))


@pytest.fixture(autouse=True, scope='module')
def own_scope() -> Any:
    """Leave the default scope as it was."""
    yield
    DefaultScope._instance_dict.clear()


# ------------------------------------------------------------- weight decay
def _emo_norms(arch: str) -> set[str]:
    """Our names of what the official code calls a norm."""
    keys = figures('emo')[f'emo_{arch}']['official_keys']
    with torch.device('meta'):
        backbone = EMO(arch=arch)
    values = {key: torch.tensor(float(n)) for n, key in enumerate(keys)}
    numbers = {float(value): key for key, value in values.items()}
    layout: Layout = EMO.layouts[0]
    own = layout.to_own(values)[0]
    names = {name for name, _ in backbone.named_parameters()}
    return {
        key
        for key, value in own.items()
        if key in names and 'norm' in numbers[float(value)]
    }


def exempt(name: str) -> set[str]:
    """Parameters that the source of a recipe does not let decay.

    ======================= =================================================
    MobileViT's paper       none (``no_decay_bn_filter_bias: false``)
    RangeAugment            those of one dimension
    EMO                     'norm' in the official name, which the stem's
                            first norm and the heads' do not have
    EMOv2                   the backbone's norms
    our detectors, 1x       norms
    RTMDet, CamVid          norms and biases
    networks of timm        norms
    MonoCon, FCOS3D         norms, biases, scales of the attentive norm
    ======================= =================================================
    """
    net = model(name)
    named = dict(net.named_parameters())
    norms = {
        f'{prefix}.{key}'
        for prefix, module in net.named_modules()
        if is_norm(module)
        for key, _ in module.named_parameters(recurse=False)
    }
    biases = {
        f'{prefix}.bias'
        for prefix, module in net.named_modules()
        if getattr(module, 'bias', None) is not None
        and not isinstance(module.bias, bool)
    }
    if '_timm_' in name:
        return norms
    if 'voc12aug' in name or name.startswith('ssdlite_mobilevit'):
        return set()
    if name in ('mask_rcnn_mobilevit_1024_coco',) or name == (
        'deeplabv3_mobilevit_512_ade20k'
    ):
        return {key for key, value in named.items() if value.ndim == 1}
    if name.startswith('rtmdet') or 'camvid' in name:
        return norms | biases
    if is_mono(name):
        mixed = {k for k in named if 'mixed_s' in k}
        return (norms | biases | mixed) & named.keys()
    if 'emov2' in name:
        return {key for key in norms if key.startswith('backbone.')}
    if name.startswith('mask_rcnn') or (
        name.startswith('retinanet') and 'emo' not in name
    ):
        return norms
    arch = config(name).model.backbone.arch
    if config(name).model.backbone.type == 'lvt_dense.EMO':
        return {f'backbone.{key}' for key in _emo_norms(arch)}
    # EMO's recipe with another backbone: its norms, but the stem's first.
    return {
        key
        for key in named
        if key.startswith('backbone.')
        and 'norm' in key
        and not key.startswith('backbone.stem.0.norm')
    }


def groups(name: str) -> dict[str, dict[str, Any]]:
    """Parameter groups of the optimizer by the parameter's name."""
    net = model(name)
    settings = config(name).optim_wrapper.to_dict()
    settings['type'] = 'OptimWrapper'  # mixed precision asks for a GPU
    settings.setdefault('paramwise_cfg', dict(custom_keys={}))
    found = build_optim_wrapper(net, settings).optimizer.param_groups
    names = {id(p): key for key, p in net.named_parameters()}
    return {
        names[id(p)]: group
        for group in found
        for p in group['params']
        if id(p) in names
    }


@pytest.mark.parametrize('name', NAMES)
def test_what_decays_is_what_the_source_lets_decay(name: str) -> None:
    found = groups(name)
    exempted = {key for key, g in found.items() if not g['weight_decay']}
    frozen = dict(model(name).named_parameters()).keys() - found.keys()
    assert exempted == exempt(name) - frozen
    base = config(name).optim_wrapper.optimizer.weight_decay
    assert {g['weight_decay'] for g in found.values()} <= {0, base}


@pytest.mark.parametrize('name', NAMES)
def test_rates_of_the_parts(name: str) -> None:
    base = config(name).optim_wrapper.optimizer.lr
    for key, group in groups(name).items():
        factor = 1.0
        is_fast = 'voc12aug' in name or name.startswith(('fpn', 'segformer'))
        if is_fast and key.startswith('decode_head'):
            factor = 10.0
        if name == 'mask_rcnn_mobilevit_1024_coco' and 'backbone.' in key:
            factor = 0.1
        if not is_mono(name):  # which double the rate of biases
            assert group['lr'] == pytest.approx(base * factor), key


# ---------------------------------------------------------------- schedules
def half_cosine(share: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * share))


def flat_then_cosine(share: float) -> float:
    return half_cosine(max(0.0, 2 * share - 1))


# Of every schedule: peak, and the rate at a share of the run, warm-up apart.
SCHEDULES = dict(
    det_adamw_1x=(1e-4, lambda t: 0.1 ** ((t >= 8 / 12) + (t >= 11 / 12))),
    det_emo_1x=(2e-4, lambda t: half_cosine(int(t * 12) / 12)),
    det_sgd_100e=(0.1, lambda t: 0.1 ** ((t >= 0.6) + (t >= 0.84))),
    ssdlite_emo_120e=(1.2e-3, lambda t: half_cosine(int(t * 120) / 120)),
    ssdlite_mobilevit_200e=(
        9e-4,
        lambda t: (
            (1e-6 + (9e-4 - 1e-6) * half_cosine(int(t * 200) / 200)) / 9e-4
        ),
    ),
    seg_adamw_80k=(1.2e-4, lambda t: (1 - t) ** 0.9),
    seg_adamw_voc_50e=(
        9e-4,
        lambda t: (
            (1e-6 + (9e-4 - 1e-6) * half_cosine(int(t * 50) / 50)) / 9e-4
        ),
    ),
    seg_sgd_ade_50e=(
        0.02,
        lambda t: (
            (1e-4 + (0.02 - 1e-4) * half_cosine(int(t * 50) / 50)) / 0.02
        ),
    ),
    rtmdet_300e=(2e-3, lambda t: 0.05 + 0.95 * flat_then_cosine(t)),
    det_emov2_1x=(2e-4, flat_then_cosine),
    ssdlite_emov2_120e=(2.4e-3, flat_then_cosine),
    seg_emov2_80k=(1.2e-4, flat_then_cosine),
    seg_emov2_160k=(1.2e-4, flat_then_cosine),
)


@pytest.mark.parametrize('name', SCHEDULES)
def test_rate_at_ten_points_of_the_run(name: str) -> None:
    cfg = Config.fromfile(CONFIGS / f'_base_/schedules/{name}.py')
    peak, rate = SCHEDULES[name]
    assert cfg.optim_wrapper.optimizer.lr == peak
    epochs = cfg.train_cfg.get('max_epochs')
    if epochs:
        length = max(1, 12_000 // epochs)
        iters = epochs * length
    else:
        iters, length = 4_000, 1
        total = cfg.train_cfg.max_iters
        assert cfg.param_scheduler[-1].end == total
        for item in cfg.param_scheduler:
            for key in item.keys() & {'begin', 'end', 'T_max'}:
                item[key] = item[key] * iters // total
    body = nn.ModuleDict(
        dict(backbone=nn.Linear(1, 1), decode_head=nn.Linear(1, 1))
    )
    rates = play(cfg, iters, length, body)
    factors = [group / rates[0][0] for group in rates[0]]
    expected = dict(
        det_sgd_100e=[1, 1, 10, 10],
        seg_adamw_voc_50e=[1, 10],
        seg_emov2_160k=[1, 10],
    ).get(name, [1] * len(factors))
    assert factors == pytest.approx(expected)
    slow = 0.1 if name == 'det_sgd_100e' else 1.0
    for tenth in range(1, 11):
        step = iters * tenth // 10
        share = min(step, iters - 1) / iters
        wanted = [peak * slow * rate(share) * f for f in expected]
        assert rates[min(step, iters - 1)] == pytest.approx(
            wanted, rel=5e-3, abs=1e-3 * peak
        )


@pytest.mark.parametrize('name', NAMES)
def test_schedules_end_with_the_run(name: str) -> None:
    cfg = config(name)
    ends = {
        item.get('by_epoch', True): item.get('end')
        for item in cfg.param_scheduler
    }
    loop = cfg.train_cfg
    if 'max_epochs' in loop:
        assert ends.get(True, loop.max_epochs) in (None, loop.max_epochs)
    else:
        assert ends == {False: loop.max_iters}


def updates(name: str) -> int:
    loop = config(name).train_cfg
    if 'max_iters' in loop:
        return loop.max_iters
    images = next(n for key, n in IMAGES.items() if key in name)
    batch = config(name).auto_scale_lr.base_batch_size
    return loop.max_epochs * math.ceil(images / batch)


@pytest.mark.parametrize('name', NAMES)
def test_average_forgets_its_first_copy(name: str) -> None:
    count = updates(name)
    for hook in averaging_hooks(config(name)):
        share = first_copy_share(hook.momentum, count)
        assert share <= 1e-6, f'{share:.1g} of the first copy'


def test_voc_is_trained_for_40_000_iterations() -> None:
    for size in ('', 'xs_', 'xxs_'):
        stem = f'deeplabv3_mobilevit_{size}512'
        for name in (f'{stem}_voc12aug', f'{stem}_coco_voc12aug'):
            assert updates(name) == pytest.approx(40_000, rel=0.05)


# -------------------------------------------------------- batch and headers
@pytest.mark.parametrize('name', NAMES)
def test_batch_is_that_of_the_learning_rate(name: str) -> None:
    scaling = config(name).get('auto_scale_lr') or {}
    assert scaling.get('rule', 'linear') in RULES
    found = re.search(r'Batch size (\d+)(?: \((\d+) x (\d+))?', header(name))
    own = config(name).train_dataloader.batch_size
    if found is None:
        assert scaling.get('base_batch_size', own) == own
        return
    total, gpus, each = (int(x) if x else None for x in found.groups())
    assert own == (each or total)
    assert (gpus or 1) * own == total
    assert scaling.base_batch_size == total


@pytest.mark.parametrize('name', NAMES)
def test_images_are_those_of_the_weights(name: str) -> None:
    backbone = model(name).backbone
    init = config(name).model.backbone.get('init_cfg') or {}
    norm = backbone.input_norm
    if init.get('checkpoint') not in (None, 'official'):
        (norm,) = (
            record.input_norm
            for records in backbone.weights.values()
            for record in records
            if record.name == init.checkpoint
        )
    elif init:
        norm = official_record(backbone).input_norm
    used = config(name).model.data_preprocessor
    assert {key: used[key] for key in norm} == dict(norm)


@pytest.mark.parametrize('name', NAMES)
def test_header_says_what_the_training_starts_from(name: str) -> None:
    init = config(name).model.backbone.get('init_cfg')
    has_weights = official_record(model(name).backbone) is not None
    text = header(name)
    if init:
        assert init.type == 'Pretrained'
        assert 'ImageNet weights' in text
        return
    assert 'random weights' in text or 'from scratch' in text
    scratch = ('demo', 'camvid', 'xxs_kitti')
    assert not has_weights or any(word in name for word in scratch)


@pytest.mark.release
@pytest.mark.parametrize('name', NAMES)
def test_header_counts_operations_with_attention(name: str) -> None:
    found = re.search(r'([\d.]+) GMACs at (\d+) x (\d+)', header(name))
    if found is None:
        found = re.search(r'at 384 x 1248:.*?([\d.]+) GMACs', header(name))
        if found is None:
            assert name.startswith('mask_rcnn') or 'xxs' in name
            return
        size = (384, 1248)
    else:
        size = (int(found[2]), int(found[3]))
    decimals = len(found[1].partition('.')[2])
    counted = macs(model(name), *size) / 1e9
    assert counted == pytest.approx(float(found[1]), abs=0.51 * 10**-decimals)


@pytest.mark.parametrize('name', NAMES)
def test_header_counts_parameters(name: str) -> None:
    found = re.search(r'([\d,]+) parameters', header(name))
    if found is None:
        assert is_mono(name) or name.startswith('ssdlite_mobilevit_xxs_192')
        return
    count = sum(p.numel() for p in model(name).parameters())
    assert found[1] == f'{count:,}'


def test_recipes_of_emov2() -> None:
    """Windows of 10 everywhere, clipped gradients but for the last heads."""
    names = [name for name in NAMES if 'emov2' in name]
    assert len(names) == 27
    for name in names:
        if not is_mono(name) and not name.startswith('rtmdet'):
            clip = config(name).optim_wrapper.get('clip_grad')
            reads_all = name.startswith(('fpn', 'segformer'))
            assert clip == (None if reads_all else dict(max_norm=0.1))
        assert model(name).backbone.window_sizes == (10,) * 4
    anchors = config('ssdlite_emov2_512_coco').model.bbox_head.anchor_generator
    small = config('ssdlite_emov2_320_coco').model.bbox_head.anchor_generator
    assert anchors == small


def test_window_sizes_of_emo() -> None:
    """Of the logs: 10 for detection with 5M, 16 for its segmentation."""
    for name, window in (
        ('retinanet_emo_coco', 10),
        ('ssdlite_emo_320_coco', 10),
        ('deeplabv3_emo_512_ade20k', 16),
        ('pspnet_emo_512_ade20k', 16),
        ('retinanet_emo_1m_coco', 7),
    ):
        assert config(name).model.backbone.get('window_size', 7) == window


def test_mask_rcnn_of_range_augment() -> None:
    cfg = config('mask_rcnn_mobilevit_1024_coco').model
    assert cfg.train_cfg.rpn.assigner.neg_iou_thr == 0.7
    assert cfg.train_cfg.rpn_proposal.max_per_img == 2000
    head = cfg.roi_head
    for part in (head.bbox_roi_extractor, head.mask_roi_extractor):
        assert part.featmap_strides == [4, 8, 16, 32, 64]
        assert part.roi_layer.sampling_ratio == 2
    assert head.mask_roi_extractor.roi_layer.output_size == 14
    for part in (cfg.rpn_head, head.bbox_head):
        assert part.loss_bbox.type == 'SmoothL1Loss'
        assert part.loss_bbox.beta == 1 / 9
    convs = model('mask_rcnn_mobilevit_1024_coco').rpn_head.rpn_conv
    assert len(convs) == 2
    assert all(isinstance(x.bn, nn.BatchNorm2d) for x in convs)
    assert all(x.conv.bias is None for x in convs)


def test_cityscapes_of_nasvit_is_tested_at_its_training_scale() -> None:
    cfg = config('deeplabv3_nasvit_512x1024_cityscapes')
    assert cfg.train_dataloader.dataset.pipeline[2].scale == (1024, 512)
    assert cfg.test_dataloader.dataset.pipeline[1].scale == (1024, 512)
    scales = [step.scale for step in cfg.tta_pipeline[1].transforms[0]]
    assert scales[0] == (512, 256)
    assert scales[-1] == (1792, 896)
