"""Convert official checkpoints to ours, file to file."""

import io
from collections import defaultdict
from pathlib import Path

import torch
from torch import Tensor

from lvt_dense.checkpoints import read_state_dict
from lvt_dense.checkpoints.whole import WHOLE_LAYOUTS, identify_whole
from lvt_dense.errors import UserError
from lvt_dense.files import write_atomically
from lvt_dense.models.backbones import build_backbone, families
from lvt_dense.models.backbones.factory import parse_backbone
from lvt_dense.models.backbones.pretrained import (
    LoadReport,
    convert,
    identify,
    target_of,
)

SHOWN = 5  # keys that a message names in full


def convert_checkpoint(
    source: str,
    target: str,
    backbone: str | None = None,
    flip_stem: bool = False,
) -> str:
    """Convert a file in an official layout to one in ours.

    Family and layout are told from the keys alone. A whole detector or
    segmenter stays whole unless ``backbone`` is given.

    Args:
        source: Path or URL of the official file.
        target: File to write, ``dict(meta=..., state_dict=...)``; it appears
            only when complete.
        backbone: Name of the backbone that the tensors must fill, such as
            ``'emo_5m'``. A supernet needs it, to know which sub-network.
        flip_stem: Reverse the input channels of the first layer; needs
            ``backbone``.

    Returns:
        What was done, in one line.

    Raises:
        UserError: The file cannot be read, is of no known layout or not of
            ``backbone``, or an argument cannot be used.
    """
    if flip_stem and backbone is None:
        raise UserError(
            'the stem can be flipped only in the weights of a known backbone: '
            'give --backbone too'
        )
    state = read_state_dict(source)
    whole = identify_whole(state) if backbone is None else None
    if whole is not None:
        own, unknown = whole.to_own(state)
        layout = whole.name
    else:
        own, unknown, layout = _backbone_tensors(source, state, backbone)
    report = f'{source} ({layout}): {len(own)} tensors'
    if backbone is not None:
        own, report = _fitted(
            own, unknown, source, layout, backbone, flip_stem
        )
    elif unknown:
        report += f', {len(unknown)} unknown left out: {_some(unknown)}'
    content = io.BytesIO()
    meta = dict(source=str(source), layout=layout, backbone=backbone)
    torch.save(dict(meta=meta, state_dict=own), content)
    write_atomically(Path(target), content.getvalue())
    return f'{report}; wrote {target}'


def _backbone_tensors(
    source: str, state: dict[str, Tensor], backbone: str | None
) -> tuple[dict[str, Tensor], list[str], str]:
    found = identify(state, families().values())
    if found is None:
        raise UserError(
            f'{source} is of no known layout; tried {_all_layouts()}; its '
            f'first keys are {_some(list(state))}'
        )
    family, layout, prefix = found
    title = f'{family.__name__}, {layout.name} layout'
    target = None
    if backbone is not None:
        try:
            wanted, _ = parse_backbone(backbone)
        except ValueError as error:
            raise UserError(f'--backbone: {error}') from error
        if wanted is not family:
            raise UserError(f'{source} is of {title}, not of {backbone}')
        target = target_of(build_backbone(backbone, **_all_levels(backbone)))
    own, unknown = convert(state, layout, prefix, target)
    return own, unknown, title


def _fitted(
    own: dict[str, Tensor],
    unknown: list[str],
    source: str,
    layout: str,
    backbone: str,
    flip_stem: bool,
) -> tuple[dict[str, Tensor], str]:
    """Tensors that a backbone takes, after the strict check that they fit."""
    model = build_backbone(backbone, **_all_levels(backbone))
    report = LoadReport(str(source), backbone, layout)
    report.unexpected = list(unknown)
    own = model.adapt_state(own)
    report.compare(own, model.state_dict())
    if not report.is_complete:
        raise UserError(f'checkpoint does not fit: {report}')
    model.load_state_dict({k: own[k] for k in report.loaded}, strict=False)
    if flip_stem:
        model.flip_input_channels()
    return dict(model.state_dict()), str(report)


def _all_levels(backbone: str) -> dict[str, tuple[int, ...]]:
    family, _ = parse_backbone(backbone)
    return dict(out_indices=tuple(range(family.num_levels)))


def _all_layouts() -> str:
    names = defaultdict(list)
    for family in families().values():
        for layout in family.layouts:
            names[family.__name__].append(layout.name)
    for layout in WHOLE_LAYOUTS:
        names['whole models'].append(layout.name)
    return '; '.join(f'{k}: {", ".join(v)}' for k, v in names.items())


def _some(keys: list[str]) -> str:
    return ', '.join(keys[:SHOWN]) + (', ...' if len(keys) > SHOWN else '')
