"""Convert official checkpoints to ours, file to file."""

import io
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from lvt_dense.checkpoints.model_files import read_model_file
from lvt_dense.checkpoints.timm import timm_key
from lvt_dense.checkpoints.whole import WHOLE_LAYOUTS
from lvt_dense.models.backbones import families
from lvt_dense.models.backbones.factory import parse_backbone
from lvt_dense.models.backbones.pretrained import (
    SWITCH,
    convert_state,
    identify,
    load_backbone,
)
from lvt_dense.models.backbones.timm_networks import PREFIX
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import write_atomically

SHOWN = 5  # keys that a message names in full


def convert_checkpoint(
    source: str,
    target: str,
    backbone: str | None = None,
    flip_stem: bool = False,
    to_timm: bool = False,
) -> str:
    """Convert a file in an official layout to one in ours, or to timm's.

    Family and layout are told from the keys alone. A whole detector or
    segmenter stays whole unless ``backbone`` is given.

    Args:
        source: The official file, by any name that
            :func:`lvt_dense.checkpoints.locate.locate` takes; with
            ``backbone`` also ``'official'`` or the name of a record.
        target: File to write, ``dict(meta=..., state_dict=...)``; it appears
            only when complete.
        backbone: Name of the backbone that the tensors must fill, such as
            ``'emo_5m'``. A supernet needs it, to know which sub-network.
        flip_stem: Reverse the input channels of the first layer; needs
            ``backbone``.
        to_timm: Write the plain tensors of a ``timm:NAME`` under timm's
            names, as ``timm.create_model`` reads them.

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
    if to_timm and not (backbone or '').startswith(PREFIX):
        raise UserError(
            f'--to-timm: give the network of timm, --backbone {PREFIX}NAME'
        )
    if backbone is not None:
        own, layout, report = _backbone_weights(source, backbone, flip_stem)
    else:
        own, layout, report = _all_weights(source)
    content = io.BytesIO()
    meta = dict(source=str(source), layout=layout, backbone=backbone)
    whole: dict = dict(meta=meta, state_dict=own)
    if to_timm:
        whole = {timm_key(key): value for key, value in own.items()}
    torch.save(whole, content)
    write_atomically(Path(target), content.getvalue())
    return f'{report}; wrote {target}'


def _backbone_weights(
    source: str, name: str, flip_stem: bool
) -> tuple[dict[str, Tensor], str, str]:
    """Return the tensors of a backbone, the file's layout, and a report."""
    try:
        cls, arch = parse_backbone(name)
    except ValueError as error:
        raise UserError(f'--backbone: {error}') from error
    with torch.device('meta'):
        levels = cls(arch).level_indices
    backbone = cls(arch, out_indices=levels)
    report = load_backbone(
        backbone, source, flip_stem=flip_stem, families=families().values()
    )
    if report is None:
        raise UserError(f'{SWITCH} is none, so {source} was not read')
    return dict(backbone.state_dict()), report.layout, str(report)


def _all_weights(source: str) -> tuple[dict[str, Tensor], str, str]:
    """Return all tensors of a file by our keys, its layout, and a report."""
    found = read_model_file(source)
    if found.layout is not None:
        own, unknown = found.state, list(found.unknown)
        title = found.layout.name
    else:
        state = found.checkpoint.state
        match = identify(state, families().values())
        if match is None:
            raise UserError(
                f'{source} has an unknown layout; tried {_all_layouts()}; its '
                f'first keys are {_some(list(state))}'
            )
        family, layout, prefix = match
        title = f'{family.__name__}, {layout.name} layout'
        own, unknown = convert_state(state, layout, prefix)
    report = f'{source} ({title}): {len(own)} tensors'
    if unknown:
        report += f', {len(unknown)} unknown left out: {_some(unknown)}'
    return own, title, report


def _all_layouts() -> str:
    names = defaultdict(list)
    for family in families().values():
        for layout in family.layouts:
            names[family.__name__].append(layout.name)
    for layout in WHOLE_LAYOUTS:
        names['whole models'].append(layout.name)
    return '; '.join(f'{k}: {", ".join(v)}' for k, v in names.items())


def _some(keys: Sequence[str]) -> str:
    return ', '.join(keys[:SHOWN]) + (', ...' if len(keys) > SHOWN else '')
