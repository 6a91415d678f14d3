"""What timm's networks return, found out by running them without memory.

timm describes the levels of a network, but not what images it takes, nor
whether sizes are rounded up, down or not at all. So each is built on the meta
device and run on awkward sizes: what the answer says holds.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.optional import import_optional
from lvt_dense.utils.text import describe_error, suggest

PREFIX = 'timm:'
EXTRA = 'timm'
NUM_MAPS = 4  # of a network of one stride
MIN_STRIDE = 4
PLAIN_STRIDE = 16  # what necks for plain vision transformers want
# Networks that are built for one image size need one of these for others.
FREEING: tuple[dict[str, Any], ...] = (
    {},
    dict(dynamic_img_size=True),
    dict(strict_img_size=False),
)
# Images padded to multiples of these have the sizes of the contract.
UNITS = (1, 4, 16, 32, 64)
PLAIN_UNITS = (16, 32, 64)
COARSE_UNITS = (128, 256)
# Modules that timm's descriptions call by another name.
MISNAMED = {'block.': 'stages.', 'stage1': 'layer1'}
# Height and width; odd at every level, and with a remainder at each stride.
AWKWARD = ((101, 67), (45, 203))


@dataclass(frozen=True)
class Network:
    """A network of timm as a backbone.

    Attributes:
        name: Its name, with the tag of its weights if one was given.
        args: Arguments of ``timm.create_model`` besides.
        taps: By level, index among timm's features.
        channels: By level, its channels.
        strides: By level, its stride.
        modules: By level, name of the module that it comes from.
        unit: Images are padded to multiples of this; 0 if they have one size.
        size: Height and width, of a network that takes only that size.
        is_pyramid: Whether level i has stride ``2 ** (i + 2)``.
        has_batch_norm: Whether it has batch norms.
        is_channels_last: Whether it runs on maps in that memory format.
    """

    name: str
    args: dict[str, Any]
    taps: dict[int, int]
    channels: dict[int, int]
    strides: dict[int, int]
    modules: dict[int, str]
    unit: int
    size: tuple[int, int] | None
    is_pyramid: bool
    has_batch_norm: bool
    is_channels_last: bool

    def padding(self, height: int, width: int) -> tuple[int, int]:
        """Compute the pixels to pad, below and on the right.

        Raises:
            UserError: The network takes smaller images only.
        """
        if self.size is None:
            return -height % self.unit, -width % self.unit
        below, right = self.size[0] - height, self.size[1] - width
        if below < 0 or right < 0:
            raise UserError(
                f'{PREFIX}{self.name} is built for images of '
                f'{_by(self.size)}, and this one has {height}x{width}: give '
                f'arch=dict(name={self.name!r}, img_size=(H, W))'
            )
        return below, right

    def build(self, **kwargs: Any) -> nn.Module:
        """Create the network with random weights, and a classifier."""
        return create(self.name, **self.args, **kwargs)


def import_timm(name: str) -> ModuleType:
    """Import timm.

    Args:
        name: The network that is asked for, for messages.

    Raises:
        UserError: timm, or torchvision that it imports, cannot be imported.
    """
    return import_optional('timm', f'{PREFIX}{name}', EXTRA)


def check_name(name: str) -> None:
    """Make sure that timm has a network, and weights with its tag.

    Raises:
        UserError: It has not; the message offers near names.
    """
    timm = import_timm(name)
    network, _, tag = name.partition('.')
    if not timm.is_model(network):
        known = timm.list_models()
        near = suggest(network, known, cutoff=0.5)
        hint = f'{near} ' if near else ''
        raise UserError(
            f'timm {timm.__version__} has no network {network!r}; {hint}'
            f'timm.list_models() names all {len(known)}'
        )
    tags = timm.models.get_arch_pretrained_cfgs(network)
    known = [key.partition('.')[2] for key in tags]
    if tag and tag not in known:
        some = ', '.join(key for key in known if key) or 'none'
        raise UserError(
            f'timm {timm.__version__} has no weights {tag!r} of {network}; '
            f'its tags are {some}'
        )


def create(name: str, **kwargs: Any) -> nn.Module:
    """Create a network of timm with random weights.

    Raises:
        UserError: It does not take one of the arguments.
    """
    timm = import_timm(name)
    try:
        if 'output_stride' in kwargs:
            return _create_dilated(timm, name, **kwargs)
        return timm.create_model(name, **kwargs)
    except (
        AssertionError,
        AttributeError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        given = ', '.join(f'{k}={v!r}' for k, v in kwargs.items())
        raise UserError(
            f'{PREFIX}{name} cannot be built with {given or "its defaults"}: '
            f'{describe_error(error)}'
        ) from error


def _create_dilated(
    timm: ModuleType, name: str, output_stride: int, **kwargs: Any
) -> Any:
    """Create a network with a smaller stride.

    timm's MobileNets have it in their ``features_only`` form alone, whose
    modules have the same names.
    """
    try:
        return timm.create_model(name, output_stride=output_stride, **kwargs)
    except TypeError:
        parts = timm.create_model(
            name, features_only=True, output_stride=output_stride, **kwargs
        )
        net = timm.create_model(name, **kwargs)
        for child_name, child in parts.named_children():
            if any(True for _ in child.parameters()):
                net.get_submodule(child_name)  # raises where names differ
                net.add_module(child_name, child)
        return net


def features(
    net: Any, x: Tensor, taps: Sequence[int], norm: bool
) -> list[Tensor]:
    """Run a network up to its last tap, and return the maps (N, C, H, W).

    Args:
        net: A network of timm.
        x: Images, (N, C, H, W).
        taps: Indices among its features.
        norm: Whether its final norm is applied to each.
    """
    return net.forward_intermediates(
        x,
        indices=list(taps),
        norm=norm,
        stop_early=True,
        output_fmt='NCHW',
        intermediates_only=True,
    )


def find_network(
    name: str, args: Mapping[str, Any], output_stride: int
) -> Network:
    """Find out what a network of timm returns.

    Args:
        name: Its name, with the tag of its weights or without.
        args: Arguments of ``timm.create_model``.
        output_stride: Largest stride of levels 0 to 3.

    Raises:
        UserError: There is no such network, it has no levels of our strides,
            or it does not take images of any size.
    """
    frozen = tuple(sorted((k, _frozen(v)) for k, v in args.items()))
    return _find(name, frozen, output_stride)


@cache
def _find(
    name: str, args: tuple[tuple[str, Any], ...], output_stride: int
) -> Network:
    check_name(name)
    given = dict(args)
    strides = _strides_of(_on_meta(name, given))
    if len(set(strides)) == 1:
        return _find_plain(name, given, output_stride)
    taps = {
        stride.bit_length() - 3: index
        for index, stride in enumerate(strides)
        if stride >= MIN_STRIDE and stride & (stride - 1) == 0
    }
    if len(taps) < 2:
        raise UserError(
            f'{PREFIX}{name} returns maps of strides '
            f'{", ".join(map(str, dict.fromkeys(strides)))}, and levels have '
            'strides 4, 8, 16, 32, ...'
        )
    if output_stride != 32:
        given['output_stride'] = output_stride
        try:
            _on_meta(name, given)
        except UserError as error:
            raise UserError(
                f'{PREFIX}{name} has no output stride {output_stride}, leave '
                f'it out: {error}'
            ) from error
    kept = {
        level: min(2 ** (min(level, 3) + 2), output_stride)
        * 2 ** max(level - 3, 0)
        for level in taps
    }
    return _probe(name, given, _Claim(taps, kept, True))


def _find_plain(
    name: str, given: dict[str, Any], output_stride: int
) -> Network:
    """Describe a network of one stride: four maps of stride 16."""
    if output_stride != 32:
        raise UserError(
            f'{PREFIX}{name} has one stride, {PLAIN_STRIDE}: leave '
            'output_stride out'
        )
    strides = _strides_of(_on_meta(name, given))
    if strides[0] != PLAIN_STRIDE and 'patch_size' not in given:
        given = dict(given, patch_size=PLAIN_STRIDE)
        strides = _strides_of(_on_meta(name, given))
    depth = len(strides)
    if depth < NUM_MAPS:
        raise UserError(
            f'{PREFIX}{name} returns {depth} maps of stride {strides[0]}, and '
            f'{NUM_MAPS} are needed'
        )
    taps = {i: (i + 1) * depth // NUM_MAPS - 1 for i in range(NUM_MAPS)}
    return _probe(
        name, given, _Claim(taps, dict.fromkeys(taps, strides[0]), False)
    )


def _on_meta(name: str, args: Mapping[str, Any]) -> Any:
    with torch.device('meta'):
        return create(name, **args).eval()


def _strides_of(net: Any) -> list[int]:
    return [info['reduction'] for info in net.feature_info]


class _Claim(NamedTuple):
    """What a network should return; see :class:`Network`."""

    taps: dict[int, int]
    strides: dict[int, int]
    is_pyramid: bool


class _Trial(NamedTuple):
    """Arguments of a network, sizes of images, and the unit of padding."""

    args: dict[str, Any]
    sizes: Sequence[tuple[int, int]]
    unit: int


def _probe(name: str, given: dict[str, Any], claim: _Claim) -> Network:
    """Find arguments and padding with which the sizes are right."""
    faults: list[str | None] = []
    for args, trials in _trials(name, given, claim.is_pyramid):
        try:
            net = _on_meta(name, args)
        except UserError as error:
            faults.append(str(error))
            continue
        for trial in trials:
            for is_channels_last in (True, False):
                fault = _fault(net, claim, trial, is_channels_last)
                if fault is None:
                    return _describe(name, net, claim, trial, is_channels_last)
            faults.append(fault)
    what = (
        f'does not have the levels of a pyramid for images of any size '
        f'({faults[0]})'
    )
    if _fixed_side(name):
        what = (
            f'is built for images of one size ({faults[0]}): give it, as in '
            f'arch=dict(name={name!r}, img_size=(480, 640))'
        )
    raise UserError(f'{PREFIX}{name} {what}')


def _fixed_side(name: str) -> int:
    """Return the side of the images that a network is built for, else 0."""
    cfg = import_timm(name).get_pretrained_cfg(name)
    return cfg.input_size[-1] if cfg.fixed_input_size else 0


def _describe(
    name: str, net: Any, claim: _Claim, trial: _Trial, is_channels_last: bool
) -> Network:
    infos = {k: net.feature_info[tap] for k, tap in claim.taps.items()}
    return Network(
        name=name,
        args=trial.args,
        taps=claim.taps,
        channels={k: info['num_chs'] for k, info in infos.items()},
        strides=claim.strides,
        modules={k: _module_name(net, i['module']) for k, i in infos.items()},
        unit=trial.unit,
        size=None if trial.unit else trial.sizes[0],
        is_pyramid=claim.is_pyramid,
        has_batch_norm=any(isinstance(m, _BatchNorm) for m in net.modules()),
        is_channels_last=is_channels_last,
    )


def _module_name(net: Any, name: str) -> str:
    """Return the name under which a described module is registered."""
    if name not in dict(net.named_modules()):
        for wrong, right in MISNAMED.items():
            name = name.replace(wrong, right)
    return name


def _trials(
    name: str, given: dict[str, Any], is_pyramid: bool
) -> Iterator[tuple[dict[str, Any], list[_Trial]]]:
    """List arguments, and what to try with each."""
    units = UNITS if is_pyramid else PLAIN_UNITS
    for extra in FREEING:
        args = {**extra, **given}
        yield args, [_Trial(args, AWKWARD, unit) for unit in units]
    # windows that have to fit on the coarsest level; not one image each,
    # which a network for images of that size takes as well
    if is_pyramid:
        coarse = {*COARSE_UNITS, _fixed_side(name) or COARSE_UNITS[0]}
        yield given, [_Trial(given, ((u + 5, 67),), u) for u in sorted(coarse)]
    size = given.get('img_size')
    if size is not None:
        size = (size, size) if isinstance(size, int) else tuple(size)
        yield given, [_Trial(given, (size,), 0)]


def _fault(
    net: Any, claim: _Claim, trial: _Trial, is_channels_last: bool
) -> str | None:
    """Run a network on images of several sizes; say what is wrong, if any."""
    unit = trial.unit or 1
    for sides in trial.sizes:
        size = [-(-side // unit) * unit for side in sides]
        x = torch.zeros(1, 3, *size, device='meta')
        if is_channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        try:
            with torch.no_grad():
                maps = features(
                    net, x, list(claim.taps.values()), not claim.is_pyramid
                )
        except Exception as error:  # of any kind, and without text
            return f'{_by(size)}: {describe_error(error)}'
        for out, (level, stride) in zip(maps, claim.strides.items()):
            channels = net.feature_info[claim.taps[level]]['num_chs']
            right = (channels, *(-(-side // stride) for side in size))
            if tuple(out.shape[1:]) != right:
                return (
                    f'at {_by(size)} the level of stride {stride} is '
                    f'{_by(out.shape[1:])}, not {_by(right)}'
                )
    return None


def _by(sides: Sequence[int]) -> str:
    return 'x'.join(map(str, sides))


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
