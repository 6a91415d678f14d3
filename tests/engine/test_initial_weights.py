"""Where a training starts: load_from, a resume, and what the log says."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.commands import forget_runs, skip_beautifier
from helpers.official_names import to_official
from helpers.weight_server import File, Server, mirroring
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS
from mmengine.runner import Runner
from torch import Tensor, nn

from lvt_dense import build_backbone
from lvt_dense.apis.train import train as train_once
from lvt_dense.engine.runner import check_fit
from lvt_dense.models.backbones import T2TViT
from lvt_dense.registry import MODELS as OUR_MODELS
from lvt_dense.utils.errors import UserError

BACKBONE = dict(type='lvt_dense.MobileViT', arch='xxs', out_indices=(0,))


@MODELS.register_module(force=True)
class StartModel(BaseModel):
    """A backbone and a head of some classes."""

    def __init__(self, backbone: dict, num_classes: int = 2) -> None:
        super().__init__()
        self.backbone = OUR_MODELS.build(backbone)
        self.head = nn.Linear(self.backbone.out_channels[0], num_classes)

    def forward(
        self, inputs: list[Tensor], mode: str = 'loss'
    ) -> dict[str, Tensor]:
        levels = self.backbone(torch.stack(inputs))
        return dict(loss=self.head(levels[0].mean((2, 3))).square().mean())


@DATASETS.register_module(force=True)
class StartDataset(torch.utils.data.Dataset):
    """Two gray images."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return dict(inputs=torch.full((3, 32, 32), 0.5 + index))


def config(work_dir: Path, optimizer: str = 'SGD', **model: Any) -> Config:
    return Config(
        dict(
            default_scope='mmengine',
            model=dict(type='StartModel', **{'backbone': BACKBONE, **model}),
            train_dataloader=dict(
                batch_size=2,
                num_workers=0,
                dataset=dict(type='StartDataset'),
                sampler=dict(type='DefaultSampler', shuffle=False),
            ),
            train_cfg=dict(by_epoch=True, max_epochs=1),
            optim_wrapper=dict(
                optimizer=dict(type=optimizer, lr=0.01, weight_decay=0.01)
            ),
            work_dir=str(work_dir),
        )
    )


def backbone_with(**kwargs: Any) -> dict[str, Any]:
    return dict(BACKBONE, **kwargs)


def train(cfg: Config, **options: Any) -> Runner:
    """Train, with a log of its own."""
    forget_runs()
    return train_once(cfg, **options)


def log_of(work_dir: Path) -> str:
    return max(work_dir.glob('*/*.log')).read_text()


@pytest.fixture(autouse=True)
def plain_dumps(monkeypatch: pytest.MonkeyPatch) -> None:
    skip_beautifier(monkeypatch)


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of a training of one epoch."""
    folder = tmp_path_factory.mktemp('trained')
    train(config(folder))
    return folder / 'epoch_1.pth'


@pytest.fixture
def server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    """A mirror of official files, and an empty cache."""
    with mirroring(tmp_path, monkeypatch) as server:
        backbone = build_backbone('mobilevit_xxs')
        state = to_official(backbone.layouts[0], backbone.state_dict())
        content = io.BytesIO()
        torch.save(state, content)
        server.files['/mobilevit_xxs.pt'] = File(content.getvalue())
        yield server


def saved(folder: Path, content: Any) -> str:
    path = folder / 'given.pth'
    torch.save(content, path)
    return str(path)


def state_of(trained: Path) -> dict[str, Tensor]:
    return torch.load(trained, weights_only=False)['state_dict']


# ------------------------------------------------------------ official weights
def test_log_says_what_was_loaded(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    official = dict(type='Pretrained', checkpoint='official')
    cfg = config(tmp_path, backbone=backbone_with(init_cfg=official))
    train(cfg)
    log = log_of(tmp_path)
    assert 'starts from mobilevit_xxs of ml-cvnets v0.1 (top-1 69 as' in log
    assert str(tmp_path / 'cache' / 'mobilevit_xxs.pt') in log
    assert log.index('starts from mobilevit_xxs') < log.index('Epoch(train)')
    printed = capsys.readouterr().out
    first = printed.index('Epoch(train)')
    assert 0 < printed.index('starts from mobilevit_xxs of ml-cvnets') < first
    assert 'loaded 78; missing 0; mismatched 0' in log


def test_log_says_that_weights_are_random(tmp_path: Path) -> None:
    train(config(tmp_path, backbone=backbone_with(frozen_stages=0)))
    log = log_of(tmp_path)
    assert (
        'model.backbone (MobileViT xxs) starts from random weights; '
        '--pretrained official would load mobilevit_xxs'
    ) in log
    assert 'frozen_stages=0 of model.backbone keeps random weights' in log


@pytest.mark.parametrize('value', ('official', 'none'))
def test_option_overrides_the_config(
    value: str, server: Server, tmp_path: Path
) -> None:
    init = dict(type='Pretrained', checkpoint='nowhere.pth')
    cfg = config(
        tmp_path, backbone=backbone_with(init_cfg=init, frozen_stages=1)
    )
    runner = train(cfg, pretrained=value)
    frozen = not next(runner.model.backbone.parameters()).requires_grad
    assert frozen == (value == 'official')
    assert len(server.requests) == 2 * (value == 'official')


def test_file_as_option(trained: Path, tmp_path: Path) -> None:
    train(config(tmp_path), pretrained=str(trained))
    assert f'MobileViT xxs) starts from {trained}' in log_of(tmp_path)


def test_no_weights_no_training(server: Server, tmp_path: Path) -> None:
    del server.files['/mobilevit_xxs.pt']
    with pytest.raises(UserError, match='HTTP 404.*--pretrained none'):
        train(config(tmp_path / 'w'), pretrained=f'{server.url}/x.pth')
    with pytest.raises(UserError, match='does not exist'):
        train(config(tmp_path / 'w'), pretrained='nowhere.pth')
    assert not list((tmp_path / 'w').iterdir())  # nothing was built yet


def test_images_of_another_kind(server: Server, tmp_path: Path) -> None:
    cfg = config(tmp_path)
    cfg.model.data_preprocessor = dict(
        type='ImgDataPreprocessor',
        mean=[0, 0, 0],
        std=[255, 255, 255],
        bgr_to_rgb=True,
    )
    from lvt_dense.engine.initial_weights import prepare_start

    (line, warning) = prepare_start(cfg, 'official')
    assert warning == (
        'WARNING: mobilevit_xxs expects images in BGR, mean 0 0 0, std 255 '
        '255 255; data_preprocessor gives RGB, mean 0 0 0, std 255 255 255'
    )
    cfg.model.data_preprocessor.bgr_to_rgb = False
    assert prepare_start(cfg, 'official') == [line]
    cfg.model.backbone.init_cfg.flip_stem = True
    cfg.model.data_preprocessor.bgr_to_rgb = True
    assert prepare_start(cfg) == [line]


@pytest.mark.parametrize('update_buffers', (True, False))
def test_average_has_the_grid_of_the_file(
    update_buffers: bool, tmp_path: Path
) -> None:
    official = T2TViT('7', out_indices=(2,), pretrain_size=48).state_dict()
    state = to_official(T2TViT.layouts[0], official)
    init = dict(type='Pretrained', checkpoint=saved(tmp_path, state))
    backbone = dict(type='lvt_dense.T2TViT', arch='7', out_indices=(2,))
    cfg = config(tmp_path, backbone=dict(backbone, init_cfg=init))
    cfg.custom_hooks = [dict(type='EMAHook', update_buffers=update_buffers)]
    train(cfg)
    assert 'model.backbone: pretrain_size=48, the size of' in log_of(tmp_path)
    averaged = state_of(tmp_path / 'epoch_1.pth')
    name = 'stages.2.pos_embed'
    torch.testing.assert_close(averaged[f'backbone.{name}'], official[name])
    # a model that is built without pretrain_size takes the checkpoint
    model = MODELS.build(config(tmp_path, backbone=backbone).model)
    check_fit(model, averaged, 'epoch_1.pth')
    assert model.backbone.pretrain_size == 48


# ------------------------------------------------------------------- load_from
def test_load_from(trained: Path, server: Server, tmp_path: Path) -> None:
    official = dict(type='Pretrained', checkpoint='official')
    cfg = config(tmp_path, backbone=backbone_with(init_cfg=official))
    cfg.load_from = str(trained)
    train(cfg)
    assert not server.requests
    log = log_of(tmp_path)
    assert 'model.backbone is filled by load_from' in log
    assert 'fills 80 of 80 tensors' in log


def test_load_from_with_other_classes(trained: Path, tmp_path: Path) -> None:
    cfg = config(tmp_path, num_classes=5)
    cfg.load_from = str(trained)
    train(cfg)
    log = log_of(tmp_path)
    assert 'fills 78 of 80 tensors' in log
    assert (
        'not filled by load_from, and random: head.weight (2, 24), not '
        '(5, 24), head.bias (2,), not (5,)'
    ) in log


@pytest.mark.parametrize('arch', ('xs', 'emo'))
def test_load_from_of_another_network(
    arch: str, trained: Path, tmp_path: Path
) -> None:
    backbone = backbone_with(arch=arch)
    if arch == 'emo':
        backbone = dict(type='lvt_dense.EMO', arch='1m', out_indices=(0,))
    cfg = config(tmp_path, backbone=backbone)
    cfg.load_from = str(trained)
    with pytest.raises(UserError, match='load_from is .* another network'):
        train(cfg)


def test_load_from_with_nan(trained: Path, tmp_path: Path) -> None:
    state = state_of(trained)
    state['backbone.stem.0.conv.weight'][0, 0, 0, 0] = float('inf')
    cfg = config(tmp_path)
    cfg.load_from = saved(tmp_path, dict(state_dict=state))
    with pytest.raises(UserError, match=r'finite 1: backbone\.stem\.0\.conv'):
        train(cfg)


def test_load_from_without_a_frozen_part(
    trained: Path, tmp_path: Path
) -> None:
    state = state_of(trained)
    del state['backbone.stem.0.conv.weight']
    cfg = config(tmp_path, backbone=backbone_with(frozen_stages=0))
    cfg.load_from = saved(tmp_path, dict(state_dict=state))
    train(cfg)
    assert (
        'frozen, and not filled by load_from: backbone.stem.0.conv.weight'
    ) in log_of(tmp_path)


def test_load_from_with_averaging(trained: Path, tmp_path: Path) -> None:
    cfg = config(tmp_path, num_classes=5)
    cfg.load_from = str(trained)
    cfg.custom_hooks = [dict(type='EMAHook')]
    train(cfg)
    averaged = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)
    assert averaged['state_dict']['head.weight'].shape == (5, 24)
    cfg = config(tmp_path, num_classes=5)
    cfg.load_from = str(trained)
    cfg.custom_hooks = [dict(type='EMAHook', strict_load=True)]
    with pytest.raises(
        UserError, match='only a part of the model, which EMAHook'
    ):
        train(cfg)


def test_load_from_in_other_wrappings(
    trained: Path, server: Server, tmp_path: Path
) -> None:
    state = {f'module.model.{k}': v for k, v in state_of(trained).items()}
    content = io.BytesIO()
    torch.save(dict(model_state_dict=state), content)
    server.files['/a/net.pth'] = File(content.getvalue())
    cfg = config(tmp_path)
    cfg.load_from = f'{server.url}/a/net.pth'
    train(cfg)
    log = log_of(tmp_path)
    assert '_plain.pth' in log
    assert 'fills 80 of 80 tensors' in log


# ---------------------------------------------------------------------- resume
def resumed(cfg: Config, checkpoint: object) -> None:
    cfg.train_cfg.max_epochs = 2
    train(cfg, resume=str(checkpoint))


def test_resume_needs_no_official_weights(
    trained: Path, server: Server, tmp_path: Path
) -> None:
    official = dict(type='Pretrained', checkpoint='official')
    backbone = backbone_with(init_cfg=official)
    resumed(config(tmp_path, backbone=backbone), trained)
    assert not server.requests
    assert f'resuming from {trained}' in log_of(tmp_path)
    assert (tmp_path / 'epoch_2.pth').is_file()


def test_resume_with_another_optimizer(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match='was trained with SGD, and the config has AdamW'
    ):
        resumed(config(tmp_path, optimizer='AdamW'), trained)


def test_resume_with_other_groups(trained: Path, tmp_path: Path) -> None:
    cfg = config(tmp_path)
    cfg.optim_wrapper.paramwise_cfg = dict(norm_decay_mult=0.0)
    with pytest.raises(UserError, match='has 1 parameter groups, and not'):
        resumed(cfg, trained)
    cfg = config(tmp_path, optimizer='AdamW')
    content = torch.load(trained, weights_only=False)
    content['meta']['cfg'] = 'not = a config ('
    path = saved(tmp_path, content)
    with pytest.raises(UserError, match='settings momentum, and not betas'):
        resumed(cfg, path)
    content['optimizer']['param_groups'][0]['params'] = [0, 1]
    with pytest.raises(UserError, match='2 parameters in group 0, and not'):
        resumed(config(tmp_path), saved(tmp_path, content))


def test_resume_of_another_model(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match='does not fit the config.*mismatched'):
        resumed(config(tmp_path, num_classes=3), trained)


@pytest.mark.parametrize(
    ('kept', 'message'),
    (
        (('state_dict',), 'lacks optimizer, message_hub, meta.epoch'),
        (('optimizer',), 'is no checkpoint of a training'),
        (('state_dict', 'optimizer', 'meta'), 'lacks message_hub'),
    ),
)
def test_resume_from_weights_alone(
    kept: tuple[str, ...], message: str, trained: Path, tmp_path: Path
) -> None:
    content = torch.load(trained, weights_only=False)
    path = saved(tmp_path, {key: content[key] for key in kept})
    with pytest.raises(UserError, match=message):
        resumed(config(tmp_path), path)
