"""Draw Grad-CAM, attention maps, receptive fields and similarities."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

from lvt_dense.compat.stack import import_stack
from lvt_dense.engine.model_loading import load_model
from lvt_dense.engine.prediction_inputs import find_inputs
from lvt_dense.explain.attention import by_stride, watch_attention
from lvt_dense.explain.attribution import (
    METHODS,
    class_activation,
    pixel_attribution,
    share_inside,
)
from lvt_dense.explain.drawing import Panel, draw_grid
from lvt_dense.explain.receptive_field import (
    SHARES,
    effective_receptive_field,
    side_of,
)
from lvt_dense.explain.similarity import (
    VARIANTS,
    diagonal_similarity,
    has_variants,
    without_part,
)
from lvt_dense.explain.targets import find_target
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import write_atomically

_SAMPLES = 4  # random images of a receptive field


@dataclass
class Subject:
    """A model and the image as it gets it.

    Attributes:
        name: Name of the config.
        cfg: The config.
        model: The model in eval mode.
        images: (1, 3, H, W), normalized.
        samples: The data sample.
        classes: Names of the classes.
        picture: The image (H, W, 3), RGB, as it is.
    """

    name: str
    cfg: Config
    model: nn.Module
    images: Tensor
    samples: list
    classes: list[str]
    picture: Any

    @property
    def backbone(self) -> nn.Module:
        """The backbone of the model."""
        return self.model.get_submodule('backbone')

    @property
    def shown(self) -> tuple[float, float]:
        """Parts of height and width of the input that are no padding."""
        height, width = self.samples[0].img_shape[:2]
        return height / self.images.shape[2], width / self.images.shape[3]

    def crop(self, heat: Tensor) -> Tensor:
        """Cut the padding off a map (h, w) of the input."""
        rows, columns = (
            max(1, round(part * side))
            for part, side in zip(self.shown, heat.shape)
        )
        return heat[:rows, :columns]


def load_subject(cfg: Config, checkpoint: str, image: str) -> Subject:
    """Load a model and an image.

    Raises:
        UserError: One of them cannot be used.
    """
    import mmcv

    import_stack()
    init_default_scope(cfg.get('default_scope') or 'mmengine')
    inputs = find_inputs(cfg, image, '', limit=1)
    model: Any = load_model(cfg, checkpoint)
    data = pseudo_collate([inputs.load(0)])
    with torch.no_grad():
        batch = model.data_preprocessor(data, False)
    return Subject(
        Path(cfg.filename or 'model').stem,
        cfg,
        model,
        batch['inputs'],
        batch['data_samples'],
        list(inputs.metainfo.get('classes') or ()),
        mmcv.imread(inputs.paths[0], channel_order='rgb'),
    )


def explain(
    models: Sequence[tuple[Config, str]],
    image: str,
    out: str,
    detection: int | None = None,
    class_name: str | None = None,
    method: str = METHODS[0],
    level: int | None = None,
) -> list[str]:
    """Draw which pixels the score of an object or of a class comes from.

    Args:
        models: Configs and checkpoints, drawn one below the other.
        image: File of an image.
        out: ``.png`` file to write.
        detection: Number of the detection, from the highest score on.
        class_name: Class of a segmenter, or of the detections to count.
        method: One of :data:`.attribution.METHODS`.
        level: Level of the pyramid; all by default.

    Returns:
        What was explained, a line for each model.

    Raises:
        UserError: Something cannot be used, or nothing was detected.
    """
    if method not in METHODS:
        raise UserError(f'--method {method}: choose from {", ".join(METHODS)}')
    _check_out(out)
    rows, lines = [], []
    for subject in (load_subject(*model, image) for model in models):
        target = find_target(
            subject.model,
            subject.images,
            subject.samples,
            subject.classes,
            detection,
            class_name,
        )
        lines.append(f'{subject.name}: {target.text}')
        box = None if target.box is None else target.box.tolist()
        panels = [Panel(target.text, box=box)]
        if method in METHODS[:2]:
            maps = class_activation(
                subject.backbone, target.score, subject.images, method
            )
            for i in _chosen(maps, level):
                stride = round(subject.images.shape[2] / maps[i].shape[0])
                heat = subject.crop(maps[i])
                title = f'level {i}, stride {stride}'
                panels.append(Panel(title, heat, box))
                lines += _share_line(subject, heat, box, title)
        else:
            heat = pixel_attribution(target.score, subject.images, method)
            heat = subject.crop(heat)
            panels.append(Panel(method, heat, box))
            lines += _share_line(subject, heat, box, method)
        rows.append((subject.name, panels))
    write_atomically(out, draw_grid(subject.picture, rows))
    return lines


def _chosen(maps: dict[int, Tensor], level: int | None) -> list[int]:
    if level is None:
        return sorted(maps)
    if level not in maps:
        raise UserError(
            f'--level {level}: the backbone has the levels '
            f'{", ".join(map(str, sorted(maps)))}'
        )
    return [level]


def _share_line(
    subject: Subject, heat: Tensor, box: list[float] | None, title: str
) -> list[str]:
    """Say how much of a map lies inside the box of the object."""
    if box is None:
        return []
    mask = torch.zeros(subject.picture.shape[:2], dtype=torch.bool)
    x1, y1, x2, y2 = (max(round(value), 0) for value in box)
    mask[y1:y2, x1:x2] = True
    if not mask.any():
        return [f'  {title}: the box lies outside the image']
    share = share_inside(heat, mask)
    area = float(mask.float().mean())
    return [
        f'  {title}: {share:.1%} inside the box, which is {area:.1%} of the '
        'image'
    ]


def _check_out(out: str) -> None:
    if Path(out).suffix.lower() != '.png':
        raise UserError(f'--out {out}: give a file .png')


def explain_attention(
    models: Sequence[tuple[Config, str]],
    image: str,
    out: str,
    point: tuple[float, float],
) -> list[str]:
    """Draw where a pixel looks, at each stride that has attention.

    Args:
        models: Configs and checkpoints, drawn one below the other.
        image: File of an image.
        out: ``.png`` file to write.
        point: x and y in pixels of the image.

    Returns:
        The number of layers, a line for each model.

    Raises:
        UserError: The point lies outside, or a backbone has no attention.
    """
    _check_out(out)
    rows, lines = [], []
    for subject in (load_subject(*model, image) for model in models):
        height, width = subject.picture.shape[:2]
        x, y = point
        if not (0 <= x < width and 0 <= y < height):
            raise UserError(
                f'--attention {x:g},{y:g}: the image has {width} x {height} '
                'pixels'
            )
        part_y, part_x = subject.shown
        place = (x / width * part_x, y / height * part_y)
        looks = watch_attention(subject.backbone, subject.images, place)
        if not looks:
            raise UserError(
                f'{subject.name}: the backbone has no attention layer that '
                'is known'
            )
        size = (subject.images.shape[2], subject.images.shape[3])
        panels = [Panel('image', point=point)]
        for stride, heat in by_stride(looks, size).items():
            panels.append(
                Panel(f'stride {stride}', subject.crop(heat), point=point)
            )
        rows.append((subject.name, panels))
        lines.append(f'{subject.name}: {len(looks)} attention layers')
    write_atomically(out, draw_grid(subject.picture, rows))
    return lines


def explain_receptive_field(
    models: Sequence[tuple[Config, str]], image: str, out: str
) -> list[str]:
    """Draw how far each level sees, before and after training.

    Args:
        models: Configs and checkpoints.
        image: File of an image, whose size the network gets.
        out: ``.png`` file to write.

    Returns:
        The sides of the squares that hold half and 95 % of the field, in
        pixels of the input, a line for each level.

    Raises:
        UserError: Something cannot be used.
    """
    _check_out(out)
    rows, lines = [], []
    for subject in (load_subject(*model, image) for model in models):
        fresh = MODELS.build(subject.cfg.model).eval().backbone
        size = (subject.images.shape[2], subject.images.shape[3])
        for state, network in (('before', fresh), ('after', subject.backbone)):
            fields = effective_receptive_field(network, size, _SAMPLES)
            name = f'{subject.name}, {state} training'
            panels = []
            for i, field in enumerate(fields):
                half, most = (side_of(field, share) for share in SHARES)
                panels.append(
                    Panel(
                        f'level {i}: 50 % {half} px, 95 % {most} px',
                        (field / field.max()).sqrt(),
                        is_overlay=False,
                    )
                )
                lines.append(
                    f'{name}, level {i}: 50 % in {half} px, 95 % in {most} px'
                )
            rows.append((name, panels))
    write_atomically(out, draw_grid(None, rows))
    return lines


def explain_similarity(
    models: Sequence[tuple[Config, str]], image: str, out: str
) -> list[str]:
    """Draw how alike the positions on the diagonal of each level are.

    EMO is drawn three times: as it is, without attention, and without the
    depthwise convolutions; the weights are those of the whole network.

    Args:
        models: Configs and checkpoints.
        image: File of an image.
        out: ``.png`` file to write.

    Returns:
        The mean similarity of each level, a line for each row.

    Raises:
        UserError: Something cannot be used.
    """
    _check_out(out)
    rows, lines = [], []
    for subject in (load_subject(*model, image) for model in models):
        variants: Sequence[str] = VARIANTS[:1]
        if has_variants(subject.backbone):
            variants = VARIANTS
        for variant in variants:
            with torch.no_grad(), without_part(subject.backbone, variant):
                levels = subject.backbone(subject.images)
            maps = [diagonal_similarity(level) for level in levels]
            name = subject.name
            if len(variants) > 1:
                name += f', {variant}'
            rows.append(
                (
                    name,
                    [
                        Panel(f'level {i}', heat, is_overlay=False)
                        for i, heat in enumerate(maps)
                    ],
                )
            )
            means = ', '.join(f'{float(m.mean()):.2f}' for m in maps)
            lines.append(f'{name}: mean similarity by level {means}')
    write_atomically(out, draw_grid(None, rows))
    return lines
