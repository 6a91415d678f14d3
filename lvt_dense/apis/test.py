"""Evaluation of a checkpoint, for all tasks."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.dist import is_main_process
from mmengine.hooks import EMAHook
from mmengine.registry import HOOKS, METRICS, init_default_scope
from mmengine.runner import Runner
from torch import Tensor

from lvt_dense.analysis.recording import Recorder
from lvt_dense.analysis.records import SUFFIX, save_record
from lvt_dense.apis.load import predictor_of
from lvt_dense.checkpoints.model_files import read_model_file
from lvt_dense.config import dataset_cfgs, default_hooks, evaluators
from lvt_dense.deploy.exported_model import is_exported
from lvt_dense.deploy.tiled_model import TiledModel
from lvt_dense.engine.checkpoint_classes import check_classes
from lvt_dense.engine.checkpoint_settings import check_settings
from lvt_dense.engine.data_checks import check_data, read_coco_once
from lvt_dense.engine.runner import (
    build_runner,
    check_fit,
    explain_errors,
    prepare_run,
)
from lvt_dense.engine.train_options import use_per_class
from lvt_dense.runtime import Tiling
from lvt_dense.utils.config_class import find_class
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import write_atomically
from lvt_dense.visualization.draw import use_fast_drawing


def test(
    cfg: Config,
    checkpoint: str,
    work_dir: str | None = None,
    out: str | None = None,
    record: str | None = None,
    show_dir: str | None = None,
    score_thr: float = 0.3,
    opacity: float | None = None,
    tta: bool = False,
    per_class: bool = False,
    launcher: str = 'none',
    tiling: Tiling | None = None,
) -> dict[str, float]:
    """Evaluate a checkpoint on the test split of a config.

    Args:
        cfg: Config; adapted in place.
        checkpoint: Its weights, or an exported model (``.onnx``, ``.xml``,
            ``.ncnn`` or ``.tflite``).
        work_dir: Folder of the log and of ``metrics.json``; by default
            ``work_dirs/<name of the config>``.
        out: Where the predictions go: a ``.json`` file in COCO's result
            format, a ``.pkl`` file with all data samples, or an ``.npz``
            file with predictions and truth for ``lvt-dense report``.
        record: Another ``.npz`` file of that kind.
        show_dir: Folder of pictures, ground truth beside prediction.
        score_thr: Lowest score of an object that is drawn.
        opacity: Weight of the color in overlays, in [0, 1].
        tta: Test-time augmentation, as the config's ``tta_pipeline`` says.
        per_class: Metrics of every class as well.
        launcher: How the processes were started, as in MMEngine.
        tiling: Predict on tiles of the images, and merge what is found.

    Returns:
        The metrics by name.

    Raises:
        UserError: Data, checkpoint or output cannot be used.
    """
    _check_tiling(tiling, tta, launcher)
    prepare_run(cfg, work_dir, launcher)
    init_default_scope(cfg.get('default_scope') or 'mmdet')
    cfg.resume = False
    read_coco_once(check_data(cfg, ['test']))
    if show_dir:
        _draw(cfg, show_dir=show_dir, score_thr=score_thr, opacity=opacity)
    if per_class:
        use_per_class(cfg)
    records = [path for path in (out, record) if path and _is_record(path)]
    out = None if out in records else out
    with tempfile.TemporaryDirectory() as folder, explain_errors(cfg):
        if out:
            _write_predictions(cfg, Path(out), Path(folder))
        runner = _build(cfg, checkpoint, tta, tiling)
        with _recording(runner, cfg, checkpoint, records):
            metrics = runner.test()
        if out:
            _collect(Path(out), Path(folder))
    return _write_metrics(metrics, cfg.work_dir)


def _check_tiling(tiling: Tiling | None, tta: bool, launcher: str) -> None:
    if tiling and (tta or launcher != 'none'):
        other = '--tta' if tta else f'--launcher {launcher}'
        raise UserError(f'--tiles with {other}: give one of them')


def _is_record(path: str) -> bool:
    return Path(path).suffix == SUFFIX


@contextmanager
def _recording(
    runner: Runner, cfg: Config, checkpoint: str, paths: Sequence[str]
) -> Iterator[None]:
    """Write what is tested inside to ``.npz`` files."""
    if not paths:
        yield
        return
    loop = runner.test_loop
    recorder = Recorder(loop.dataloader.dataset, loop.evaluator)
    yield
    if is_main_process():
        config = Path(cfg.filename or 'config').name
        about = dict(config=config, checkpoint=Path(checkpoint).name)
        record = recorder.build(about)
        for path in paths:
            save_record(record, path)


def _build(
    cfg: Config, checkpoint: str, tta: bool, tiling: Tiling | None
) -> Runner:
    """Build a runner that tests a checkpoint, which fits its model."""
    _leave_out_averaging(cfg)
    if tiling:
        return _build_for_tiles(cfg, checkpoint, tiling)
    state = _use_checkpoint(cfg, checkpoint)
    if tta:
        _use_tta(cfg)
    runner = build_runner(cfg)
    if state is not None:
        check_fit(runner.model, state, checkpoint)
    return runner


def _use_checkpoint(cfg: Config, checkpoint: str) -> dict[str, Tensor] | None:
    """Load a checkpoint, or put an exported model in the model's place.

    Returns:
        The tensors of the checkpoint; None for an exported model.
    """
    if is_exported(checkpoint):
        cfg.load_from = None
        # MMEngine would hand it to a model without one; graphs normalize.
        cfg.pop('data_preprocessor', None)
        cfg.model = dict(type='lvt_dense.ExportedModel', path=str(checkpoint))
        return None
    check_classes(cfg, checkpoint, 'test')
    check_settings(cfg, checkpoint)
    model_file = read_model_file(checkpoint)
    cfg.load_from = str(model_file.plain_path(cfg.work_dir))
    return model_file.state


def _build_for_tiles(cfg: Config, checkpoint: str, tiling: Tiling) -> Runner:
    """Build a runner whose model predicts on tiles."""
    predictor = predictor_of(cfg, checkpoint)
    if predictor.info['task'] == 'mono3d':
        raise UserError(
            '--tiles: a model of 3D boxes needs the whole view of the camera'
        )
    cfg.load_from = None
    cfg.pop('data_preprocessor', None)
    cfg.model = dict(type='lvt_dense.TiledModel')
    runner = build_runner(cfg)
    assert isinstance(runner.model, TiledModel)
    runner.model.use(predictor, tiling)
    return runner


def _draw(cfg: Config, **options: Any) -> None:
    use_fast_drawing(cfg)
    hooks = default_hooks(cfg)
    hooks['visualization'] = dict(type='lvt_dense.PictureHook', **options)


def _leave_out_averaging(cfg: Config) -> None:
    # A checkpoint holds the averaged weights already, and the hook would ask
    # for the wrapping that only files of a training have.
    cfg.custom_hooks = [
        hook
        for hook in cfg.get('custom_hooks') or []
        if not issubclass(find_class(HOOKS, hook), EMAHook)
    ]


def _use_tta(cfg: Config) -> None:
    if 'tta_model' not in cfg or 'tta_pipeline' not in cfg:
        raise UserError(
            f'--tta: the config {cfg.filename} has no tta_model and '
            'tta_pipeline'
        )
    for dataset in dataset_cfgs(cfg, 'test'):
        dataset.pipeline = cfg.tta_pipeline
    cfg.model = dict(cfg.tta_model, module=cfg.model)


def _write_predictions(cfg: Config, out: Path, folder: Path) -> None:
    if out.suffix == '.pkl':
        found = evaluators(cfg, 'test')
        cfg.test_evaluator = [
            *found,
            dict(type='DumpResults', out_file_path=str(folder / 'all.pkl')),
        ]
        return
    coco = [e for e in evaluators(cfg, 'test') if _writes_coco_results(e)]
    if out.suffix != '.json' or not coco:
        raise UserError(
            f'--out {out}: give a .pkl or an .npz file'
            + (', or a .json file' if coco else '')
            + '; .json is for data sets with a COCO evaluator'
        )
    coco[0].outfile_prefix = str(folder / 'result')


def _writes_coco_results(evaluator: ConfigDict) -> bool:
    try:
        from mmdet.evaluation import CocoMetric
    except ImportError:
        return False
    return issubclass(find_class(METRICS, evaluator), CocoMetric)


def _write_metrics(metrics: dict[str, Any], work_dir: str) -> dict[str, float]:
    numbers = {name: float(value) for name, value in metrics.items()}
    if is_main_process():
        path = Path(work_dir, 'metrics.json')
        write_atomically(path, json.dumps(numbers, indent=2) + '\n')
    return numbers


def _collect(out: Path, folder: Path) -> None:
    files = sorted(p for p in folder.iterdir() if p.suffix == out.suffix)
    for path in files:
        kind = path.name.split('.')[-2]  # result.bbox.json, result.segm.json
        target = out if len(files) == 1 else out.with_suffix(f'.{kind}.json')
        write_atomically(target, path.read_bytes())
