"""Evaluation of a checkpoint, for all tasks."""

import json
import tempfile
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process

from lvt_dense.checkpoints import read_state_dict
from lvt_dense.compat import allow_own_checkpoints, import_stack
from lvt_dense.config import dataset_cfgs, evaluators
from lvt_dense.errors import UserError
from lvt_dense.files import write_atomically

from .checks import check_data
from .runs import (
    build_runner,
    check_fit,
    explained,
    use_launcher,
    work_dir_of,
)


def test(
    cfg: Config,
    checkpoint: str,
    work_dir: str | None = None,
    out: str | None = None,
    show_dir: str | None = None,
    score_thr: float = 0.3,
    opacity: float | None = None,
    tta: bool = False,
    launcher: str = 'none',
) -> dict[str, float]:
    """Evaluate a checkpoint on the test split of a config.

    Args:
        cfg: Config; adapted in place.
        checkpoint: File written by training, or by the converter.
        work_dir: Folder of the log and of ``metrics.json``; by default
            ``work_dirs/<name of the config>``.
        out: Where the predictions go: a ``.json`` file in COCO's result
            format, or a ``.pkl`` file with all data samples.
        show_dir: Folder of pictures, ground truth beside prediction.
        score_thr: Lowest score of an object that is drawn.
        opacity: Weight of the colour in overlays, in [0, 1].
        tta: Test-time augmentation, as the config's ``tta_pipeline`` says.
        launcher: How the processes were started, as in MMEngine.

    Returns:
        The figures by name.

    Raises:
        UserError: Data, checkpoint or output cannot be used.
    """
    allow_own_checkpoints()
    import_stack()
    use_launcher(cfg, launcher)
    cfg.work_dir = str(work_dir_of(cfg, work_dir))
    cfg.load_from = str(checkpoint)
    cfg.resume = False
    state = read_state_dict(checkpoint)
    check_data(cfg, ['test'])
    if show_dir:
        _draw(cfg, show_dir=show_dir, score_thr=score_thr, opacity=opacity)
    if tta:
        _use_tta(cfg)
    _leave_out_averaging(cfg)
    with tempfile.TemporaryDirectory() as folder, explained(cfg):
        if out:
            _write_predictions(cfg, Path(out), Path(folder))
        runner = build_runner(cfg)
        check_fit(runner.model, state, checkpoint)
        del state
        metrics = runner.test()
        if out:
            _collect(Path(out), Path(folder))
    figures = {name: float(value) for name, value in metrics.items()}
    if is_main_process():
        target = Path(cfg.work_dir, 'metrics.json')
        write_atomically(target, json.dumps(figures, indent=2) + '\n')
    return figures


def _draw(cfg: Config, **options: Any) -> None:
    hooks = cfg.setdefault('default_hooks', {})
    hooks['visualization'] = dict(type='lvt_dense.PictureHook', **options)


def _leave_out_averaging(cfg: Config) -> None:
    # A checkpoint holds the averaged weights already, and the hook would ask
    # for the wrapping that only files of a training have.
    cfg.custom_hooks = [
        hook
        for hook in cfg.get('custom_hooks') or []
        if 'EMAHook' not in str(hook.get('type'))
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
    coco = [e for e in evaluators(cfg, 'test') if 'Coco' in str(e.type)]
    if out.suffix != '.json' or not coco:
        raise UserError(
            f'--out {out}: give a .pkl file'
            + (', or a .json file' if coco else '')
            + '; .json is for data sets with a COCO evaluator'
        )
    coco[0].outfile_prefix = str(folder / 'result')


def _collect(out: Path, folder: Path) -> None:
    files = sorted(p for p in folder.iterdir() if p.suffix == out.suffix)
    for path in files:
        kind = path.name.split('.')[-2]  # result.bbox.json, result.segm.json
        target = out if len(files) == 1 else out.with_suffix(f'.{kind}.json')
        write_atomically(target, path.read_bytes())
