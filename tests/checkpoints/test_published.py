"""Every published file: its record, and made files in its layout."""

import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlparse

import pytest
import torch
from helpers.commands import run_command
from helpers.official_names import to_official
from helpers.weight_server import File, Server, mirroring
from torch import Tensor

from lvt_dense.apis.weights import find_file, published_files
from lvt_dense.checkpoints import read_state_dict
from lvt_dense.checkpoints.published import WHOLE_MODELS
from lvt_dense.checkpoints.records import WeightFile
from lvt_dense.checkpoints.whole import WHOLE_LAYOUTS, identify_whole
from lvt_dense.models.backbones import (
    T2TViT,
    build_backbone,
    families,
    list_backbones,
)
from lvt_dense.models.backbones.pretrained import (
    LoadReport,
    convert_state,
    identify,
    target_of,
)
from lvt_dense.utils.errors import UserError

CASES = [
    pytest.param(f'{family}_{arch}', file, id=f'{family}_{arch}-{file.name}')
    for family, cls in families().items()
    for arch, files in cls.weights.items()
    if arch in cls.arch_settings
    for file in files
]


@pytest.fixture
def server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    """An empty mirror, and an empty cache."""
    with mirroring(tmp_path, monkeypatch) as server:
        yield server


def content_of(state: object) -> bytes:
    content = io.BytesIO()
    torch.save(state, content)
    return content.getvalue()


def light(shape: torch.Size) -> Tensor:
    """A tensor that takes no memory."""
    return torch.zeros(()).expand(shape)


# -------------------------------------------------------------------- records
def test_records_are_complete_and_unique() -> None:
    files = [entry.file for entry in published_files().values()]
    for part in ('name', 'file_name', 'url'):
        counts = Counter(getattr(file, part) for file in files)
        assert [value for value, n in counts.items() if n > 1] == []
    layouts = {
        layout.name for cls in families().values() for layout in cls.layouts
    } | {layout.name for layout in WHOLE_LAYOUTS}
    for file in files:
        assert urlparse(file.url).scheme == 'https'
        assert file.layout in layouts
        assert file.source
        assert '/' not in file.file_name
        if file.sha256:
            assert file.sha256 in file.url
        if not file.name.endswith('.timm'):
            assert file.input_norm is not None


def test_official_files_agree_with_the_family() -> None:
    for name in list_backbones():
        family, arch = next(
            (cls, name.removeprefix(f'{family}_'))
            for family, cls in families().items()
            if name.startswith(f'{family}_')
        )
        files = family.weights.get(arch, ())
        if files:
            assert files[0].input_norm == family.input_norm
            assert files[0].top1
            assert find_file(name) is files[0]
        else:
            assert family.family in ('emov2', 'plg_vit', 't2t_vit')


def test_channel_orders() -> None:
    orders = {
        file.name: file.input_norm['bgr_to_rgb']
        for file in WHOLE_MODELS
        if file.input_norm
    }
    assert not orders['ssdlite_mobilevit_320_coco']
    assert orders['deeplabv3_mobilevit_512_ade20k']
    assert not find_file('mobilevit_s').input_norm['bgr_to_rgb']
    assert find_file('mobilevit_s.range_augment').input_norm['bgr_to_rgb']


# -------------------------------------------------------------------- layouts
@pytest.mark.parametrize(('name', 'file'), CASES)
def test_layout_of_every_file(name: str, file: WeightFile) -> None:
    cls, arch = next(
        (cls, name.removeprefix(f'{family}_'))
        for family, cls in families().items()
        if name.startswith(f'{family}_')
    )
    with torch.device('meta'):
        backbone = cls(arch, out_indices=tuple(range(cls.num_levels)))
    own = {k: light(v.shape) for k, v in backbone.state_dict().items()}
    layout = next(x for x in cls.layouts if x.name == file.layout)
    official = to_official(layout, own)
    if 'mmpretrain' in file.name:
        official = {f'backbone.{k}': v for k, v in official.items()}
    if file.name == 't2t_vit_14.384':
        official['pos_embed'] = light(torch.Size((1, 577, 384)))
    official['aux_head.weight'] = official['head.weight'] = torch.zeros(1)
    found = identify(official, families().values())
    assert found is not None
    assert found[0] is cls
    assert found[1].name == file.layout
    given, unknown = convert_state(official, *found[1:], target_of(backbone))
    report = LoadReport(file.name, name, file.layout)
    given = backbone.adapt_state(given)
    report.compare(given, backbone.state_dict())
    assert report.is_complete, str(report)
    assert not report.unexpected
    assert [key for key in unknown if 'head' not in key] == []


def test_larger_grid_of_positions(tmp_path: Path) -> None:
    """T2T-ViT-14 at 384 pixels has 24 x 24 tokens, and needs no argument."""
    arch = dict(T2TViT.arch_settings['7'])
    large = T2TViT(arch, pretrain_size=384)
    with torch.no_grad():
        large.stages[2].pos_embed.normal_()
    layout = T2TViT.layouts[0]
    path = tmp_path / '83.3.pth.tar'
    state = to_official(layout, large.state_dict())
    torch.save({'state_dict_ema': state}, path)
    init = dict(type='Pretrained', checkpoint=str(path))
    backbone = T2TViT(arch, init_cfg=init)
    backbone.init_weights()
    image = torch.randn(1, 3, 64, 96)
    large.eval(), backbone.eval()
    with torch.no_grad():
        for ours, theirs in zip(backbone(image), large(image)):
            assert torch.equal(ours, theirs)
    # what was trained from there loads into a network made for 224 pixels
    again = T2TViT(arch)
    again.load_state_dict(backbone.state_dict())
    assert again.stages[2].pos_embed.shape == (1, 577, 256)
    with pytest.raises(RuntimeError, match='size mismatch'):
        again.load_state_dict(
            backbone.state_dict()
            | {'stages.2.pos_embed': torch.zeros(1, 500, 256)}
        )


@pytest.mark.parametrize('aux', (True, False))
def test_later_deeplabv3(aux: bool) -> None:
    backbone = build_backbone('mobilevit_xxs')
    cvnets = backbone.layouts[0]
    state = to_official(cvnets, backbone.state_dict())
    official = {f'encoder.{key}': value for key, value in state.items()}
    names = {
        'aspp.aspp_layer.project.block.conv.weight': 'project.conv.weight',
        'aspp.aspp_layer.convs.4.aspp_pool.conv_1x1.block.norm.bias': (
            'pool.1.bn.bias'
        ),
        'classifier.block.conv.weight': 'conv_seg.weight',
    }
    official |= {f'seg_head.{key}': torch.ones(1) for key in names}
    if aux:
        official |= {
            f'seg_head.aux_head.{key}': torch.ones(1)
            for key in ('0.block.norm.weight', '2.block.conv.bias')
        }
    layout = identify_whole(official)
    assert layout is not None
    assert layout.name == 'cvnets v0.2 DeepLabv3'
    own, unknown = layout.to_own(official)
    assert unknown == []
    expected = {f'backbone.{key}' for key in backbone.state_dict()}
    expected |= {f'decode_head.{key}' for key in names.values()}
    if aux:
        expected |= {
            'auxiliary_head.convs.0.bn.weight',
            'auxiliary_head.conv_seg.bias',
        }
    assert own.keys() == expected


# ------------------------------------------------------- names of Hugging Face
def test_hub_names(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv('HF_ENDPOINT', f'{server.url}/hf')
    monkeypatch.chdir(tmp_path)
    path = '/hf/apple/mobilevit-xx-small/resolve/main/pytorch_model.bin'
    server.files[path] = File(content_of({'w': torch.ones(2)}))
    path = '/hf/timm/x.cvnets_in1k/resolve/v2/pytorch_model.bin'
    server.files[path] = File(content_of({'w': torch.full((2,), 2.0)}))
    for name, value in (
        ('apple/mobilevit-xx-small', 1.0),
        ('hf://apple/mobilevit-xx-small', 1.0),
        ('hf-hub:timm/x.cvnets_in1k@v2', 2.0),
    ):
        assert read_state_dict(name)['w'][0] == value
    with pytest.raises(UserError, match='nobody/x does not exist; as a repo'):
        read_state_dict('nobody/x')
    with pytest.raises(UserError, match=r'runs/net\.pth does not exist$'):
        read_state_dict('runs/net.pth')


def test_folders_and_file_urls(tmp_path: Path) -> None:
    folder = tmp_path / 'a model'
    folder.mkdir()
    with pytest.raises(UserError, match='is a folder without'):
        read_state_dict(folder)
    torch.save({'w': torch.ones(2)}, folder / 'pytorch_model.bin')
    url = (folder / 'pytorch_model.bin').as_uri()
    for source in (folder, str(folder), url, folder.as_uri()):
        assert read_state_dict(source)['w'].sum() == 2
    safetensors = pytest.importorskip('safetensors.torch')
    safetensors.save_file({'w': torch.zeros(2)}, folder / 'model.safetensors')
    assert read_state_dict(folder)['w'].sum() == 0


def test_other_schemes() -> None:
    with pytest.raises(UserError, match='s3://x/net.pth cannot be read'):
        read_state_dict('s3://x/net.pth')


# ------------------------------------------------------------------- commands
def test_list(server: Server, capsys: pytest.CaptureFixture) -> None:
    assert run_command('weights') == run_command('weights', 'list') == 0
    text = capsys.readouterr().out
    for entry in published_files().values():
        assert text.count(f'\n{entry.file.name} ') == 2
    (line,) = {x for x in text.splitlines() if x.startswith('emo_5m ')}
    assert line.split() == [
        *('emo_5m', 'top-1', '78.4', 'none', 'stated', 'official'),
        *('not', 'verified', '-'),
    ]


def test_fetch_and_where(
    server: Server, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    server.files['/emo_1m.pth'] = File(content_of({'w': torch.ones(1)}))
    path = tmp_path / 'cache' / 'emo_1m.pth'
    assert run_command('weights', 'where', 'emo_1m') == 0
    assert f'file: {path} (not there yet)' in capsys.readouterr().out
    assert run_command('weights', 'fetch', 'emo_1m') == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(path)
    assert path.is_file()
    assert run_command('weights', 'where', 'emo_1m') == 0
    text = capsys.readouterr().out
    assert f'file: {path}\n' in text
    assert 'license: none stated' in text
    assert 'images: RGB, mean 123.675 116.28 103.53, std' in text


@pytest.mark.parametrize(
    ('args', 'message'),
    (
        (('fetch', 'emo_9m'), "no published weights 'emo_9m'; did you mean"),
        (('where',), 'weights where: name one or more files'),
        (('list', 'emo_1m'), 'takes no names'),
        (('steal', 'emo_1m'), 'invalid choice'),
    ),
)
def test_bad_arguments(
    args: tuple[str, ...], message: str, capsys: pytest.CaptureFixture
) -> None:
    assert run_command('weights', *args) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count('\n') == 1


def test_fetch_without_network(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv('LVT_DENSE_MIRROR', str(tmp_path / 'nowhere'))
    monkeypatch.setenv('https_proxy', 'http://127.0.0.1:9')
    status = run_command('weights', 'fetch', 'nasvit_t2', 'mobilevit_s')
    assert status == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    for part in (
        'nasvit_supernet cannot be fetched from file:///',
        'from https://drive.google.com/file/d/',
        f'put it at {tmp_path / "cache" / "nasvit_supernet.pth"}',
        'mobilevit_s cannot be fetched',
    ):
        assert part in error
