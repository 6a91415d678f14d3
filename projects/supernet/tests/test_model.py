"""Supernets of segmenters: slices, losses, steps."""

import copy
import random
from functools import partial

import pytest
import torch
from helpers.official import difference, figures, image, official_state
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from supernet.model import Supernet
from supernet.networks import copy_state, state_of
from supernet.optim_wrapper import ConflictAwareOptimWrapper
from supernet.slicing import Slice, plan_slices
from supernet.space import SearchSpace
from supernet.tests.small import SEGMENTER, SPACE
from torch import Tensor, nn

from lvt_dense.checkpoints import Target
from lvt_dense.models.backbones import NASViT, families
from lvt_dense.models.backbones.pretrained import (
    convert_state,
    identify,
    target_of,
)
from lvt_dense.utils.errors import UserError

CLASSIFIER = dict(
    type='ImageClassifier',
    backbone=dict(type='lvt_dense.NASViT', out_indices=(0, 1, 2, 3, 4)),
    head=dict(type='ClassificationHead', in_channels=224, num_classes=2),
)
OFFICIAL_LEVELS = ('mb2', 'mb3', 'mb4', 'mb6', 'mb7')


def target(arch: dict) -> Target:
    with torch.device('meta'):
        return target_of(NASViT(arch, range(5)))


@pytest.fixture(scope='module')
def official() -> dict[str, Tensor]:
    keys = figures('nasvit')['official_keys']
    return official_state(
        {k: v for k, v in keys.items() if not k.endswith('_index')}
    )


@pytest.fixture(scope='module')
def filled(official: dict[str, Tensor]) -> Supernet:
    """The published space with the official tensors, every row included."""
    supernet = Supernet(CLASSIFIER)
    space = supernet.space
    _, layout, prefix = identify(official, families().values())
    state = supernet.network.backbone.state_dict()
    with supernet._single_rows():
        whole = target_of(supernet.network.backbone)
    own, _ = convert_state(official, layout, prefix, whole)
    for depth in range(3, 10):
        rows = dict(space.largest)
        rows['depth'] = tuple(
            min(max(depth, choices[0]), choices[-1]) if part > 2 else most
            for part, (choices, most) in enumerate(
                zip(space.depth, space.largest['depth'])
            )
        )
        found, _ = convert_state(official, layout, prefix, target(rows))
        for name, value in found.items():
            if '.scale_' in name:
                put_row(state, space, rows, name, value)
    for name, value in own.items():
        if '.scale_' not in name:
            state[name] = value
    supernet.network.backbone.load_state_dict(state)
    return supernet.eval()


def put_row(
    state: dict, space: SearchSpace, arch: dict, name: str, value: Tensor
) -> None:
    """Put the scales of a depth into the row of a table."""
    _, stage, block, rest = name.split('.', 3)
    part = {2: 4, 3: 5, 4: 7}[int(stage)]
    if part == 5 and int(block) >= arch['depth'][4]:
        block = str(int(block) - arch['depth'][4] + space.depth[4][-1])
        part = 6
    row = space.depth[part - 1].index(arch['depth'][part - 1])
    table = state[f'stages.{stage}.{block}.{rest}']
    table[row, : len(value)] = value


@pytest.mark.parametrize('name', ['min', 't3', 'max'])
def test_subnetwork_is_the_plain_backbone(
    name: str, filled: Supernet, official: dict[str, Tensor]
) -> None:
    arch = filled.space.find(name)
    plain = NASViT(arch, range(5))
    state = filled.extract(arch).backbone.state_dict()
    plain.load_state_dict(state)  # strictly
    _, layout, prefix = identify(official, families().values())
    expected, _ = convert_state(official, layout, prefix, target(arch))
    counters = {k for k in state if k.endswith('num_batches_tracked')}
    assert state.keys() - counters == expected.keys() - counters
    for key in state.keys() - counters:
        assert torch.equal(state[key], expected[key]), key
    named = NASViT(name, range(5))
    assert {k: v.shape for k, v in named.state_dict().items()} == {
        k: v.shape for k, v in state.items()
    }
    named.load_state_dict(state)
    x = image(64, 96)
    with torch.no_grad():
        for one, other in zip(plain.eval()(x), named.eval()(x)):
            assert torch.equal(one, other)


@pytest.mark.parametrize('name', ['min', 't2'])
def test_features_are_the_official_ones(
    name: str, filled: Supernet, official: dict[str, Tensor]
) -> None:
    case = figures('nasvit')['subnets'][f'nasvit_{name}']['cases'][0]
    arch = filled.space.find(name)
    supernet = copy.deepcopy(filled)
    state = supernet.network.backbone.state_dict()
    # Our rows are those of the largest resolution.
    own = dict(NASViT.arch_settings[name])
    _, layout, prefix = identify(official, families().values())
    rows, _ = convert_state(official, layout, prefix, target(own))
    for key, value in rows.items():
        if '.scale_' in key:
            put_row(state, supernet.space, arch, key, value)
    supernet.network.backbone.load_state_dict(state)
    backbone = supernet.extract(arch).backbone
    with torch.no_grad():
        levels = backbone(image(*case['input']))
    for level, official_name in zip(levels, OFFICIAL_LEVELS):
        assert difference(level, case['levels'][official_name]) < 1e-4


def make_batch() -> dict:
    rng = torch.Generator().manual_seed(0)
    samples = []
    for _ in range(2):
        sample = SegDataSample()
        labels = torch.randint(0, 3, (1, 64, 64), generator=rng)
        labels[:, :8] = 255
        sample.gt_sem_seg = PixelData(data=labels)
        shape = dict(img_shape=(64, 64), ori_shape=(64, 64))
        sample.set_metainfo(shape)
        samples.append(sample)
    images = torch.randint(0, 256, (2, 3, 64, 64), generator=rng)
    return dict(inputs=list(images.byte()), data_samples=samples)


def make_wrapper(model: nn.Module) -> ConflictAwareOptimWrapper:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    return ConflictAwareOptimWrapper(optimizer)


def randomize(model: nn.Module) -> None:
    for name, parameter in model.named_parameters():
        if '.scale_' in name or name.endswith('norm.weight'):
            nn.init.uniform_(parameter.data, 0.5, 1.5)


def test_shell_and_plain_model_agree(segmenter: Supernet) -> None:
    randomize(segmenter)
    arch = segmenter.space.sample(random.Random(3))
    plain = segmenter.extract(arch).train()
    state = state_of(segmenter.network)
    shell = segmenter.builder.shell(arch, state)
    images = torch.randn(2, 3, 64, 64)
    found = shell.run(state, images, mode='tensor')
    assert torch.equal(found, plain(images, mode='tensor'))
    # The statistics of the slice were updated in the supernet.
    name = 'backbone.stem.0.norm.running_mean'
    assert state[name][:16].tolist() == plain.state_dict()[name].tolist()


def test_gradient_reaches_the_slice_alone(segmenter: Supernet) -> None:
    randomize(segmenter)
    space, network = segmenter.space, segmenter.network
    arch = space.smallest
    state = state_of(network)
    shell = segmenter.builder.shell(arch, state)
    out = shell.run(state, torch.randn(2, 3, 64, 64), mode='tensor')
    out.square().mean().backward()
    block = network.backbone.stages[2][1]
    weight = block.attn.query_key.weight.grad
    used = torch.zeros(144, 72, dtype=bool)
    used[:64, :64] = used[72:136, :64] = True
    assert (weight[used] != 0).any() and (weight[~used] == 0).all()
    table = block.scale_attn.grad  # rows of depths 3 and 4
    assert (table[0, :64] != 0).all() and (table[1] == 0).all()
    # The last of two blocks in mb1, and the border of a 5x5 kernel.
    assert network.backbone.stem[2].project.conv.weight.grad is None
    kernel = network.backbone.stem[1].depthwise.conv.weight.grad
    assert (kernel[:, :, 1:4, 1:4] != 0).all()
    assert (kernel[:, :, 0] == 0).all() and (kernel[:, :, :, 4] == 0).all()
    head = network.decode_head.branches[0].conv.weight.grad
    assert (head[:, :160] != 0).any() and (head[:, 160:] == 0).all()


def test_scales_without_switches_are_shared(mmseg_scope: None) -> None:
    supernet = Supernet(SEGMENTER, SPACE, switchable_scaling=False)
    table = supernet.network.backbone.stages[2][1].scale_mlp
    assert table.shape == (1, 72)
    nn.init.uniform_(table.data)
    for arch in (supernet.space.smallest, supernet.space.largest):
        row = supernet.extract(arch).backbone.stages[2][1].scale_mlp
        assert torch.equal(row, table[0, : len(row)])


def test_initialization_fills_every_row(segmenter: Supernet) -> None:
    randomize(segmenter)
    parameters = [id(p) for p in segmenter.parameters()]
    segmenter.init_weights()
    assert [id(p) for p in segmenter.parameters()] == parameters
    block = segmenter.network.backbone.stages[3][1]
    assert block.scale_attn.shape == (2, 112)
    assert torch.equal(block.scale_attn[0], block.scale_attn[1])
    # Every MBConv block starts as its shortcut.
    project = segmenter.network.backbone.stem[1].project
    assert (project.norm.weight == 0).all()


def test_step_trains_all_subnetworks(segmenter: Supernet) -> None:
    randomize(segmenter)
    segmenter.train()
    wrapper = make_wrapper(segmenter)
    wrapper.is_watched = True
    before = {k: v.clone() for k, v in segmenter.named_parameters()}
    logs = segmenter.train_step(make_batch(), wrapper)
    assert {'decode.loss_ce', 'aux.loss_ce', 'loss', 'distance'} <= set(logs)
    assert logs['distance'] > 0
    after = dict(segmenter.named_parameters())
    moved = [k for k in before if not torch.equal(before[k], after[k])]
    assert len(moved) > 0.6 * len(before)
    assert wrapper.inner is not None
    # No loss is left to be listened to.
    assert 'loss_by_feat' not in vars(segmenter.network.decode_head)


def test_distance_of_the_same_network_is_zero(mmseg_scope: None) -> None:
    space = {key: [(c[-1],) for c in value] for key, value in SPACE.items()}
    torch.manual_seed(0)
    supernet = Supernet(SEGMENTER, space, num_random=1).train()
    logs = supernet.train_step(make_batch(), make_wrapper(supernet))
    assert logs['distance'].abs() < 1e-5


def test_ignored_pixels_do_not_count(segmenter: Supernet) -> None:
    segmenter.train()
    batch = make_batch()
    for sample in batch['data_samples']:
        sample.gt_sem_seg.data[:] = 255
    logs = segmenter.train_step(batch, make_wrapper(segmenter))
    assert logs['distance'] == 0


def test_copy_and_state_are_complete(segmenter: Supernet) -> None:
    copied = copy.deepcopy(segmenter)
    copied.load_state_dict(segmenter.state_dict())
    arch = copied.space.find('random:1')
    one, other = (m.extract(arch).state_dict() for m in (segmenter, copied))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_level_with_others_after_it_is_cut_in_two() -> None:
    space = SearchSpace()
    subnet = dict(w=torch.empty(8, 64 + 16))
    supernet = dict(w=torch.arange(8.0 * 88).view(8, 88))
    channels = [(40, 32), (72, 64), (184, 168)]
    plan = partial(
        plan_slices,
        arch=space.smallest,
        space=space,
        channels=channels,
        readers={'w': [72]},
    )
    slices = plan(subnet, supernet)
    assert slices['w'] == Slice('w', {1: ((0, 64), (72, 88))})
    cut = copy_state(supernet, slices)['w']
    assert cut.shape == (8, 80) and cut[0, 64] == 72
    subnet = dict(w=torch.empty(8, 90))
    supernet = dict(w=torch.empty(8, 95))
    with pytest.raises(UserError, match='w has 95 channels along axis 1'):
        plan(subnet, supernet)


def test_wrong_use_is_named(mmseg_scope: None, segmenter: Supernet) -> None:
    with pytest.raises(UserError, match='extract a sub-network'):
        segmenter(torch.zeros(1, 3, 64, 64), mode='predict')
    plain = torch.optim.SGD(segmenter.parameters(), lr=0.1)
    with pytest.raises(UserError, match='ConflictAwareOptimWrapper'):
        segmenter.train_step(make_batch(), plain)
    for change, message in (
        (dict(type='lvt_dense.EMO'), 'only lvt_dense.NASViT'),
        (dict(type='lvt_dense.NASViT', with_cp=True), 'with_cp=True'),
    ):
        with pytest.raises(UserError, match=message):
            Supernet(dict(SEGMENTER, backbone=change), SPACE)
