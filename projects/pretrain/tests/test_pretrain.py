"""From folders of images to the backbone of a recipe."""

from pathlib import Path

import pytest
import torch
from helpers.commands import run_command
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.structures import BaseDataElement
from pretrain.classifier import ImageClassifier

from lvt_dense import build_backbone
from lvt_dense.compat.stack import import_stack
from lvt_dense.config import load_config
from lvt_dense.engine.official_weights import use_pretrained
from lvt_dense.utils.errors import UserError

CONFIGS = Path(__file__).parents[1] / 'configs'
SMALL = CONFIGS / 'mobilevit_xxs_128.py'
# The smallest of each family.
SMALLEST = (
    'mobilevit_xxs',
    'emo_1m',
    'nasvit_min',
    'plg_vit_lw_r',
    't2t_vit_7',
)


def backbone_cfg(name: str) -> dict:
    family, arch = {
        'mobilevit_xxs': ('MobileViT', 'xxs'),
        'emo_1m': ('EMO', '1m'),
        'nasvit_min': ('NASViT', 'min'),
        'plg_vit_lw_r': ('PLGViT', 'lw_r'),
        't2t_vit_7': ('T2TViT', '7'),
    }[name]
    return dict(type=f'lvt_dense.{family}', arch=arch)


def samples(*labels: int) -> list[BaseDataElement]:
    made = [BaseDataElement() for _ in labels]
    for sample, label in zip(made, labels):
        sample.gt_label = label
    return made


@pytest.mark.parametrize('name', SMALLEST)
def test_every_family_is_pretrained_for_the_pyramid(
    name: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = ImageClassifier(backbone_cfg(name), 3, label_smoothing=0.1)
    model.init_weights()
    images = torch.randn(2, 3, 64, 64)
    losses = model(images, samples(0, 2), mode='loss')
    assert list(losses) == ['loss_class'] and losses['loss_class'].isfinite()
    path = tmp_path / 'epoch_1.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    backbone = build_backbone(name, pretrained=str(path)).eval()
    with torch.no_grad():
        expected = model.eval().backbone(images)
        for ours, theirs in zip(backbone(images), expected, strict=True):
            assert torch.equal(ours, theirs)


@pytest.fixture(scope='module')
def trained(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work_dir = tmp_path_factory.mktemp('work')
    status = run_command(
        'train', SMALL, '--data-root', folders, '--work-dir', work_dir,
        '--multi-scale', '--epochs', 2, '--batch-size', 4, '--workers', 0,
        '--seed', 0, '--cfg-options', 'model.num_classes=3',
    )  # fmt: skip
    assert status == 0
    return work_dir


def test_train_command(trained: Path) -> None:
    (log,) = trained.rglob('*.log')
    text = log.read_text()
    assert 'batches of varying size' in text and '128x128: 4' in text
    assert 'accuracy/top1' in text
    state = torch.load(trained / 'epoch_2.pth', weights_only=False)
    assert state['meta']['dataset_meta']['classes'] == ('blue', 'green', 'red')
    assert 'ema_state_dict' in state


@pytest.mark.parametrize(
    'recipe',
    ['ssdlite_mobilevit_xxs_320_coco', 'deeplabv3_mobilevit_xxs_360_camvid'],
)
def test_recipes_take_the_result(trained: Path, recipe: str) -> None:
    import_stack()
    path = trained / 'epoch_2.pth'
    cfg = load_config(f'lvt_dense::{recipe}.py')
    use_pretrained(cfg, str(path))
    model = MODELS.build(dict(cfg.model, _scope_=cfg.default_scope))
    model.init_weights()
    given = torch.load(path, weights_only=False)['state_dict']
    for key, value in model.backbone.state_dict().items():
        assert torch.equal(value, given[f'backbone.{key}']), key


def test_test_command(trained: Path, folders: Path, tmp_path: Path) -> None:
    status = run_command(
        'test', SMALL, trained / 'epoch_2.pth', '--data-root', folders,
        '--work-dir', tmp_path, '--cfg-options', 'model.num_classes=3',
        'test_dataloader.num_workers=0',
        'test_dataloader.persistent_workers=False',
    )  # fmt: skip
    assert status == 0
    (log,) = tmp_path.rglob('*.log')
    assert 'accuracy/top1' in log.read_text()


def test_wrong_number_of_classes(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run_command(
        'train', SMALL, '--data-root', folders, '--work-dir', tmp_path,
        '--workers', 0, '--batch-size', 4,
    )  # fmt: skip
    assert status == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith('set --cfg-options model.num_classes=3')


@pytest.mark.parametrize('path', sorted(CONFIGS.glob('[!b]*.py')), ids=str)
def test_configs_build(path: Path) -> None:
    cfg = Config.fromfile(path)
    model = MODELS.build(cfg.model)
    model.init_weights()
    data = dict(
        inputs=[torch.zeros(3, 64, 64, dtype=torch.uint8)] * 2,
        data_samples=samples(0, 1),
    )
    data = model.data_preprocessor(data, training=True)
    losses = model(**data, mode='loss')
    assert all(value.isfinite() for value in losses.values())


@pytest.mark.parametrize(
    ('options', 'text'),
    [
        (dict(num_classes=1), 'num_classes=1'),
        (dict(mixup=-1), 'mixup=-1'),
        (dict(label_smoothing=1), 'label_smoothing=1'),
        (dict(backbone=dict(type='mmdet.ResNet', depth=18)), 'not a backbone'),
        (
            dict(
                distillation=dict(
                    backbone=backbone_cfg('emo_1m'),
                    checkpoint='a',
                    match='all',
                )
            ),
            'choose one of logits, features',
        ),
    ],
)
def test_bad_arguments(options: dict, text: str) -> None:
    arguments = dict(backbone=backbone_cfg('mobilevit_xxs'), num_classes=3)
    with pytest.raises(UserError, match=text):
        ImageClassifier(**(arguments | options))
