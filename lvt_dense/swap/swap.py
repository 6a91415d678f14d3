"""Put a backbone of ours into a config of MMDetection or MMSegmentation.

The config tells the rest: the old backbone is built and run once to see which
strides it returns; the new one returns the same ones; whatever reads them is
given the new channel numbers.
"""

import torch
from mmengine.config import Config

from lvt_dense.config import load_config
from lvt_dense.models.backbones.factory import parse_backbone
from lvt_dense.utils.errors import UserError

from .backbone_slot import Choice, Slot, trained_parts
from .training import (
    adapt_optimizer,
    drop_imports,
    drop_model_checkpoints,
    import_custom_modules,
    set_input_norm,
)

# Arguments of MMDetection's models that hold a trained network.
TEACHERS = ('teacher_config', 'teacher_backbone')


def swap_backbone(
    cfg: str | Config, name: str, *, pretrained: str | None = None
) -> Config:
    """Replace the backbone of a detector or segmenter.

    Which levels the new backbone returns, its output stride, the channels of
    necks and heads, the normalization of the images, and the optimizer's
    settings by parameter name follow from the old config. Checkpoints that
    hold the old backbone are dropped. The learning rate and the schedule stay
    as they are.

    Args:
        cfg: A path, an ``'mmdet::'`` or ``'mmseg::'`` name, or a config,
            which is left as it is.
        name: One of :func:`lvt_dense.list_backbones`, or ``timm:NAME[.TAG]``.
        pretrained: Weights of the new backbone: ``'official'`` for the
            published ones, or a file or URL in any layout that it reads.
            Without them (None or ``'none'``) nothing is frozen.

    Returns:
        A new config.

    Raises:
        UserError: The config cannot take the backbone; the message names the
            part of it that stands against it.
    """
    choice = _build_choice(name, None if pretrained == 'none' else pretrained)
    cfg = load_config(cfg, import_custom_modules=False)
    model = cfg.get('model')
    if not isinstance(model, dict):
        raise UserError(f'config {cfg.filename} has no model')
    parts = list(trained_parts(model))
    if not parts:
        raise UserError(
            f'model: a {model.get("type")} has no part that is called backbone'
        )
    missing = import_custom_modules(cfg)
    for part, path in parts:
        scope = cfg.get('default_scope') or 'mmdet'
        slot = Slot(part, path, scope, missing)
        adapt_optimizer(cfg, *slot.swap(choice))
        drop_model_checkpoints(part)
    drop_model_checkpoints(model)
    if cfg.get('load_from'):
        cfg.load_from = None
    in_channels = {part['backbone'].get('in_channels', 3) for part, _ in parts}
    # A teacher has learned from images with its own norm, and so have images
    # of other channels.
    if not any(key in model for key in TEACHERS) and in_channels == {3}:
        set_input_norm(model, choice.backbone.input_norm)
    drop_imports(cfg, 'mmpretrain')
    return cfg


def _build_choice(name: str, pretrained: str | None) -> Choice:
    """Build a backbone by its name, without memory."""
    try:
        cls, arch = parse_backbone(name)
    except ValueError as error:
        raise UserError(str(error)) from error
    with torch.device('meta'):
        backbone = cls(arch)
    if pretrained == 'official' and not backbone.weights.get(arch):
        raise UserError(
            f'{name} has no official weights: name a file or URL, or leave '
            '--pretrained out'
        )
    return Choice(backbone, arch, pretrained)
