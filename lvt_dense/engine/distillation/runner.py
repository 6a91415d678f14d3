"""A runner whose model has a teacher."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from lvt_dense.datasets.metainfo import metainfo_of_config
from lvt_dense.engine.console import QuietRunner

from .distiller import NAME, attach
from .settings import NONE
from .teachers import open_teacher


class DistillingRunner(QuietRunner):
    """A runner that puts the teacher of ``distillation`` beside its model.

    The settings that are used are in the config that it writes.

    Attributes:
        teacher_lines: What there is to say of the teacher, for the log.
    """

    teacher_lines: list[str]

    def build_model(self, model: nn.Module | dict) -> nn.Module:
        """Build the model, and give it its teacher."""
        student = super().build_model(model)
        settings = self.cfg.distillation
        teacher = open_teacher(settings.teacher, settings.get('checkpoint'))
        classes = metainfo_of_config(self.cfg, 'train').get('classes') or ()
        used, self.teacher_lines = attach(student, teacher, settings, classes)
        settings.update(used)
        return student


class ProjectionHook(Hook):
    """Keep the projections in checkpoints, apart from the student's weights.

    They are under ``distillation``, from which a training that is resumed
    takes them; nothing else reads them.
    """

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the projections."""
        checkpoint[NAME] = {
            name: value.detach().cpu()
            for name, value in _distiller(runner).named_parameters()
        }

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take the projections."""
        found = checkpoint.get(NAME) or {}
        if not runner._resume:
            return
        for name, value in _distiller(runner).named_parameters():
            if name in found and found[name].shape == value.shape:
                value.data.copy_(found[name])


def is_distilled(cfg: Any) -> bool:
    """Tell whether a config has a teacher whose loss is added."""
    settings = cfg.get('distillation') or {}
    return bool(settings) and settings.get('kind') != NONE


def _distiller(runner: Runner) -> nn.Module:
    model: Any = runner.model
    model = model.module if is_model_wrapper(model) else model
    return getattr(model, NAME)
