"""Add the losses toward a teacher to those of a model."""

import types
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.text import shorten

from .imitation import KINDS, Imitation, Pair, Size
from .networks import (
    DETECTOR,
    MONO3D,
    SEGMENTER,
    part_of,
    run,
    task_of_network,
)
from .normalization import ImageNorm
from .recording import record
from .teachers import Teacher

NAME = 'distillation'  # of the distiller in the model
SIZE = (320, 320)  # of the image on which student and teacher are compared


class Distiller(nn.Module):
    """What a model learns from its teacher, beside its own loss.

    Args:
        imitation: What is compared, and how.
        teacher: The teacher.
        norm: How the student's images are normalized.
        weight: Weight of the losses, above 0.
    """

    def __init__(
        self,
        imitation: Imitation,
        teacher: Teacher,
        norm: ImageNorm,
        weight: float,
    ) -> None:
        super().__init__()
        self.imitation, self.teacher = imitation, teacher
        self.norm, self.weight = norm, weight

    def forward(
        self, images: Tensor, samples: Sequence[Any], ours: Any
    ) -> dict[str, Tensor]:
        """Compute the losses.

        Args:
            images: Images as the student sees them, (N, 3, H, W).
            samples: Their data samples, with ``img_shape``.
            ours: What the student has computed.

        Returns:
            The weighted losses by their names.
        """
        size = tuple(images.shape[-2:])
        shapes = [s.metainfo.get('img_shape', size)[:2] for s in samples]
        theirs = self.teacher.answer(
            self.imitation.what, images, self.norm, shapes
        )
        losses = self.imitation(ours, theirs, size)
        return {
            f'distill.loss_{name}': self.weight * loss
            for name, loss in losses.items()
        }


def attach(
    student: Any,
    teacher: Teacher,
    settings: Mapping[str, Any],
    classes: Sequence[str] = (),
) -> tuple[dict[str, Any], list[str]]:
    """Let a model learn from a teacher.

    The model gets no parameters except for projections, and its checkpoints
    and predictions do not change.

    Args:
        student: Detector or segmenter; changed in place.
        teacher: The teacher.
        settings: ``kind``, ``weight`` and ``temperature``; what is missing
            or None follows from the task and the kind.
        classes: Names of the student's classes; empty if not known.

    Returns:
        The settings that are used, and lines for the log.

    Raises:
        UserError: The two do not fit.
    """
    task = task_of_network(student)
    if teacher.task != task:
        raise UserError(
            f'distillation: {teacher.name} is a {teacher.task}, and the '
            f'model a {task}'
        )
    kind = settings.get('kind') or default_kind(student)
    chosen = KINDS[kind]
    if chosen.needs_classes:
        _check_classes(teacher, classes)
    size = getattr(teacher, 'session', None)
    size = (size and size.info['size']) or SIZE
    with torch.random.fork_rng(devices=[]):
        pair = _probe(student, teacher, chosen, size)
        imitation = chosen(pair, settings.get('temperature'))
    weight = settings.get('weight') or chosen.weight
    norm = ImageNorm.of(student.data_preprocessor)
    student.add_module(NAME, Distiller(imitation, teacher, norm, weight))
    student.loss = types.MethodType(_loss, student)
    used = dict(kind=kind, weight=weight, temperature=imitation.temperature)
    line = (
        f'distillation: {teacher.name} ({teacher.size}) teaches by {kind}, '
        f'weight {weight:g}, temperature {imitation.temperature:g}'
    )
    return used, [line, *(f'distillation: {x}' for x in imitation.lines)]


def default_kind(model: nn.Module) -> str:
    """Choose what is imitated by the task of a model."""
    from lvt_dense.models.mono3d import MonoConHead

    task = task_of_network(model)
    if task == SEGMENTER:
        return 'cwd'
    head = getattr(model, 'bbox_head', None)
    if task == MONO3D and isinstance(head, MonoConHead):
        return 'heatmap'
    assert task in (DETECTOR, MONO3D)
    return 'pkd'


def _loss(
    self: Any, inputs: Tensor, data_samples: Any, **kwargs: Any
) -> dict[str, Any]:
    """Compute the losses of a model, and those toward its teacher."""
    distiller = getattr(self, NAME)
    part = part_of(self, distiller.imitation.what)
    with record(part) as outputs:
        losses = type(self).loss(self, inputs, data_samples, **kwargs)
    if not outputs:
        raise UserError(
            f'distillation: {type(self).__name__} does not use '
            f'{type(part).__name__} for its loss; choose another --distill'
        )
    return {**losses, **distiller(inputs, data_samples, outputs[0])}


@torch.no_grad()
def _probe(
    student: Any, teacher: Teacher, kind: type[Imitation], size: Size
) -> Pair:
    """Run student and teacher on a black image."""
    weight = next(student.parameters())
    images = torch.zeros(1, 3, *size, device=weight.device)
    was_training = student.training
    student.eval()
    ours = run(student, images, kind.what)
    student.train(was_training)
    norm = ImageNorm.of(student.data_preprocessor)
    theirs = teacher.answer(kind.what, images, norm, [size])
    return Pair(student, teacher, ours, theirs, size)


def _check_classes(teacher: Teacher, classes: Sequence[str]) -> None:
    if not teacher.classes or not classes:
        return  # their numbers are compared in any case
    if tuple(teacher.classes) != tuple(classes):
        raise UserError(
            f'distillation: the classes of {teacher.name} are '
            f'{shorten(teacher.classes, 8)}, and those of the model '
            f'{shorten(classes, 8)}: they must be the same, in the same '
            'order; --distill pkd, which compares features, has no such limit'
        )
