"""Hooks of the runner."""

from .best_checkpoint_hook import BestCheckpointHook
from .class_rows_hook import ClassRowsHook
from .compile_hook import CompileHook
from .cudnn_benchmark_hook import CudnnBenchmarkHook
from .ema_hook import EMAHook
from .exact_resume_hook import ReplayHook
from .finite_loss_hook import FiniteLossHook
from .mono3d_check_hook import Mono3DCheckHook
from .patience_hook import PatienceHook
from .picture_hook import PictureHook
from .resume_hook import ResumeHook
from .runtime_info_hook import LazyRuntimeInfoHook
from .start_hook import StartHook
from .time_limit_hook import TimeLimitHook
from .train_pictures_hook import TrainPicturesHook
from .validation_hook import ValidationHook

__all__ = [
    'BestCheckpointHook',
    'ClassRowsHook',
    'CompileHook',
    'CudnnBenchmarkHook',
    'EMAHook',
    'FiniteLossHook',
    'LazyRuntimeInfoHook',
    'Mono3DCheckHook',
    'PatienceHook',
    'PictureHook',
    'ReplayHook',
    'ResumeHook',
    'StartHook',
    'TimeLimitHook',
    'TrainPicturesHook',
    'ValidationHook',
]
