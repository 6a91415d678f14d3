"""The way back: official names of our tensors, by the rules of a layout."""

import re
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from lvt_dense.checkpoints import Layout
from lvt_dense.checkpoints.mobilevit import HuggingFaceLayout
from lvt_dense.checkpoints.nasvit import NASViTLayout
from lvt_dense.checkpoints.ssdlite import BOX, CLASSES, PREDICTION

State = Mapping[str, Tensor]
_GROUP = re.compile(r'\(\?P<(\w+)>([^()]*)\)')
_BLOCKS = range(64)  # that rules with a function are tried for


def to_official(layout: Layout, own: State) -> dict[str, Tensor]:
    """Rename and rearrange our tensors to the official ones.

    Raises:
        KeyError: A key has no official counterpart.
    """
    if isinstance(layout, NASViTLayout):
        own = _nasvit_blocks(layout, own)
    if layout.name == 'cvnets SSDLite':
        own = {key: _background_first(key, own[key]) for key in own}
    official = {_official_name(layout, key, own): own[key] for key in own}
    if isinstance(layout, HuggingFaceLayout):
        official = _query_key_value_apart(official)
    return official


def rename(layout: Layout, own: State) -> dict[str, Tensor]:
    """Rename our tensors, and leave their values as they are."""
    return {_official_name(layout, key, own): own[key] for key in own}


def _official_name(layout: Layout, key: str, own: State) -> str:
    names = [
        name
        for pattern, replacement in layout.rules
        for name in _candidates(pattern, replacement, key)
    ]
    if not names:
        raise KeyError(f'{key} has no name in the {layout.name} layout')
    if len(names) == 2:  # a norm of EMO, for batch norm and for layer norm
        module = key.rpartition('.')[0]
        return names[f'{module}.running_mean' not in own]
    return names[0].replace(r'\d+', _number_of_encoders(key, own))


def _candidates(
    pattern: re.Pattern[str], replacement: object, key: str
) -> Iterator[str]:
    """Official names that a rule gives our ``key``."""
    template = _GROUP.sub(r'{\1}', pattern.pattern.replace(r'\.', '.'))
    if callable(replacement):
        stage, suffix = key.split('.')[1], key.split('.')[-1]
        for block in _BLOCKS:
            name = template.format(s=stage, b=block, p=suffix)
            match = pattern.fullmatch(name)
            if match and replacement(match) == key:
                yield name
        return
    inverse = re.escape(str(replacement))
    for name, part in _GROUP.findall(pattern.pattern):
        inverse = inverse.replace(rf'\\g<{name}>', f'(?P<{name}>{part})')
    match = re.fullmatch(inverse, key)
    if match:
        yield template.format(**match.groupdict())


def _number_of_encoders(key: str, own: State) -> str:
    """Number of the norm after the encoders of the same block."""
    block = key.partition('.norm.')[0]
    found = re.compile(rf'{re.escape(block)}\.encoders\.(\d+)\.')
    return str(len({m[1] for m in map(found.match, own) if m}))


def _query_key_value_apart(official: State) -> dict[str, Tensor]:
    apart = dict(official)
    for key in official:
        if '.attention.qkv.' in key:
            thirds = apart.pop(key).chunk(3)
            for part, value in zip(('query', 'key', 'value'), thirds):
                apart[key.replace('.qkv.', f'.{part}.')] = value
    return apart


def _background_first(key: str, value: Tensor) -> Tensor:
    if not key.startswith(PREDICTION) or '.depthwise.' in key:
        return value
    anchors = value.unflatten(0, (-1, BOX + CLASSES))
    boxes, scores = anchors[:, :BOX], anchors[:, BOX:]
    return torch.cat([boxes, scores.roll(1, dims=1)], 1).flatten(0, 1)


def _nasvit_blocks(layout: NASViTLayout, own: State) -> dict[str, Tensor]:
    """Our tensors under the official numbers of the blocks.

    Every row of a scaling table holds the sub-network's own row, so that it
    is found at any resolution.
    """
    places = layout.blocks(_nasvit_depths(own)).items()
    numbers = {place: number for number, (place, _) in places}
    blocks = {}
    for key, value in own.items():
        place = '.'.join(key.split('.')[: 2 if key[:4] == 'stem' else 3])
        if place in numbers:
            key = f'blocks.{numbers[place]}{key[len(place) :]}'
        if '.query_key.' in key:
            for part, half in zip(('query', 'key'), value.chunk(2)):
                blocks[key.replace('query_key', part)] = half
        elif '.scale_' in key:
            blocks[key] = value.expand(10, 8, -1)
        else:
            blocks[key] = value
    return blocks


def _nasvit_depths(own: State) -> list[int]:
    """Depths of mb1 to mb7."""
    first_of_mb6 = 0
    counts = dict.fromkeys(('stem', *(f'stages.{i}' for i in range(5))), 0)
    for key in own:
        if not key.endswith(('.depthwise.conv.weight', '.proj.weight')):
            continue
        stage, block, *_ = re.split(r'\.(?=\d+\.\D)', key)
        counts[stage] += 1
        if stage == 'stages.3' and '.depthwise.' in key:
            first_of_mb6 = max(first_of_mb6, int(block.split('.')[0]))
    depths = list(counts.values())
    depths[4:5] = [first_of_mb6, depths[4] - first_of_mb6]
    return depths
