"""Swap a backbone into every config of a package, and try each result."""

import argparse
import contextlib
import csv
import hashlib
import io
import json
import logging
import multiprocessing
import os
import resource
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, DefaultScope
from swap_sweep.trial import (
    at_small_size,
    build_model,
    listed_backbones,
    try_model,
)
from tqdm import tqdm

from lvt_dense import swap_backbone
from lvt_dense.config import load_config
from lvt_dense.utils.config_class import find_class
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import write_atomically

PACKAGES = ('mmdet', 'mmseg')
MEMORY = 8 << 30  # bytes that one config may take
VERDICTS = {
    'works': 'swapped, built, losses computed, one image predicted on',
    'refused': 'not possible; the reason names the part of the config',
    'failed': 'swapped, but the model does not run',
    'apart': 'does not load or run here with its own backbone either',
}


def shipped_configs(package: str) -> list[str]:
    """List the names of all configs of a package, ``'package::path'``."""
    folder = config_folder(package)
    paths = (path.relative_to(folder) for path in folder.rglob('*.py'))
    return sorted(
        f'{package}::{path.as_posix()}'
        for path in paths
        if '_base_' not in path.parts
    )


def config_folder(package: str) -> Path:
    """Find the folder of the configs that come with a package."""
    spec = find_spec(package)
    if spec is None:
        raise UserError(f'the package {package!r} is not installed')
    folder = Path(spec.submodule_search_locations[0], '.mim', 'configs')
    if not folder.is_dir():
        raise UserError(f'{folder} is missing; install {package} with pip')
    return folder


def is_plain(cfg: Config) -> bool:
    """Whether the backbone is a transformer of one resolution throughout.

    There is no pyramid to replace then.
    """
    from mmseg.models.backbones import VPD, BEiT, VisionTransformer

    backbone = cfg.model.get('backbone')
    if not isinstance(backbone, dict):
        return False
    scope = cfg.get('default_scope') or 'mmdet'
    with DefaultScope.overwrite_default_scope(scope):
        try:
            kind = find_class(MODELS, backbone)
        except UserError:  # of a package that is not installed
            return False
    return isinstance(kind, type) and issubclass(
        kind, (BEiT, VisionTransformer, VPD)
    )


def fingerprint(cfg: Config, *extra: str) -> str:
    """Digest a model's config; equal for models alike up to their weights."""
    model = at_small_size(cfg.model)
    text = json.dumps([model, *extra], sort_keys=True, default=str)
    return hashlib.sha1(text.encode()).hexdigest()[:16]


def examine(name: str, backbone: str, known: dict[str, dict]) -> dict:
    """Swap and try one config.

    Args:
        name: The config.
        backbone: Name of the backbone.
        known: Rows of models examined before, by both their fingerprints.

    Returns:
        A row: config, type of the old backbone, verdict, reason, and the
        fingerprints of the model before and after.
    """
    row = dict(config=name, old='', verdict='apart', reason='')
    try:
        original = load_config(name, import_custom_modules=False)
    except Exception as error:
        return dict(row, reason=f'does not load: {_first_line(error)}')
    if not isinstance(original.get('model'), dict):
        return dict(row, reason='has no model: it is a part of others')
    row['old'] = ', '.join(listed_backbones(original.model))
    row['plain'] = is_plain(original)
    row['before'] = fingerprint(original)
    if row['before'] in known:
        same = known[row['before']]
        return dict(row, verdict=same['verdict'], reason=same['reason'])
    stage = 'swap'
    try:
        swapped = swap_backbone(original, backbone)
        row['after'] = fingerprint(swapped, backbone)
        if known.get(row['after'], {}).get('verdict') == 'works':
            return dict(row, verdict='works')
        stage = 'run'
        try_model(swapped)
        return dict(row, verdict='works')
    except Exception as error:
        refused = isinstance(error, UserError) and stage == 'swap'
        row['verdict'] = 'refused' if refused else 'failed'
        row['reason'] = _first_line(error)
    try:
        (build_model if stage == 'swap' else try_model)(original)
    except Exception as error:
        row['verdict'] = 'apart'
        row['reason'] = f'its own model fails: {_first_line(error)}'
    return row


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    text = lines[0].strip() if lines else ''
    if isinstance(error, UserError):
        return text
    return f'{type(error).__name__}: {text}'[:200]


def sweep_packages(
    args: argparse.Namespace,
    packages: Sequence[str],
    backbone: str,
    task: Callable[[str, str, dict], dict] | None = None,
) -> list[dict]:
    """Sweep over the configs of packages, and write the tables.

    Args:
        args: Options of :func:`~.options.add_sweep_options`.
        packages: Whose configs.
        backbone: Name of the backbone to swap in.
        task: What is done with each config; :func:`examine` by default.

    Returns:
        A row for each config.
    """
    names = [
        name
        for package in packages
        for name in shipped_configs(package)
        if args.only in name
    ][:: args.every]
    out = Path(args.out).absolute()
    log = out / 'rows.jsonl'
    rows = sweep(names, backbone, log, args.workers, args.timeout, task)
    write_table(rows, out / 'table.md')
    write_table(rows, out / 'table.csv')
    return rows


def sweep(
    names: Sequence[str],
    backbone: str,
    log: Path,
    workers: int = 1,
    timeout: float = 300.0,
    task: Callable[[str, str, dict], dict] | None = None,
) -> list[dict]:
    """Examine many configs in parallel; go on where ``log`` ends.

    Args:
        names: Configs.
        backbone: Name of the backbone to swap in.
        log: JSON lines, one row a config; written as they come.
        workers: Processes at a time.
        timeout: Seconds of processor time after which a config counts as
            failed; ten times as many may pass on the clock.
        task: What is done with each config; :func:`examine` by default.

    Returns:
        Rows in the order of ``names``.
    """
    task = task or examine
    rows = _read(log)
    known: dict[str, dict] = {}
    for row in rows.values():
        _remember(row, known)
    waiting = [name for name in names if name not in rows]
    # Imported once here, and not again in every process.
    for package in {name.partition('::')[0] for name in waiting}:
        import_module(f'{package}.models')
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, 'a') as file, tqdm(total=len(waiting)) as bar:
        jobs: list[_Job] = []
        while waiting or jobs:
            while waiting and len(jobs) < workers:
                jobs.append(
                    _Job(task, waiting.pop(0), backbone, known, timeout)
                )
            for job in [job for job in jobs if job.ended(0.05)]:
                jobs.remove(job)
                rows[job.name] = job.row
                _remember(job.row, known)
                file.write(json.dumps(job.row) + '\n')
                file.flush()
                bar.update()
                bar.set_postfix_str(job.name[-40:])
    return [rows[name] for name in names]


def _read(log: Path) -> dict[str, dict]:
    if not log.is_file():
        return {}
    text = log.read_text()
    whole = text[: text.rfind('\n') + 1]  # a killed run may leave half a line
    if whole != text:
        write_atomically(log, whole)
    return {row['config']: row for row in map(json.loads, whole.splitlines())}


def _remember(row: dict, known: dict[str, dict]) -> None:
    for key in ('before', 'after'):
        if key in row:
            known[row[key]] = row


class _Job:
    """One config in a process of its own, which may die or hang."""

    def __init__(
        self,
        task: Callable[[str, str, dict], dict],
        name: str,
        backbone: str,
        known: dict,
        timeout: float,
    ) -> None:
        # A fork inherits the packages that are imported and what is known.
        context = multiprocessing.get_context('fork')
        self.name = name
        self.timeout = timeout
        self.start = time.monotonic()
        self.receiver, sender = context.Pipe(duplex=False)
        self.process = context.Process(
            target=_examine_quietly,
            args=(sender, task, name, backbone, known, timeout),
        )
        self.process.start()
        sender.close()
        self.row: dict = {}

    def ended(self, patience: float) -> bool:
        """Wait a little; True once there is a row."""
        seconds = time.monotonic() - self.start
        if self.receiver.poll(patience):
            try:
                self.row = self.receiver.recv()
            except EOFError:
                self.process.join()
                code = self.process.exitcode
                self.row = self._failed(f'its process ended with {code}')
        elif seconds > 10 * self.timeout:
            self.process.kill()
            self.row = self._failed('does not come to an end')
        else:
            return False
        self.process.join()
        self.row['seconds'] = round(seconds, 1)
        return True

    def _failed(self, reason: str) -> dict:
        return dict(config=self.name, old='', verdict='failed', reason=reason)


def _examine_quietly(
    sender: Any,
    task: Callable[[str, str, dict], dict],
    name: str,
    backbone: str,
    known: dict,
    timeout: float,
) -> None:
    torch.set_num_threads(1)
    seconds = int(timeout)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    warnings.simplefilter('ignore')
    logging.disable(logging.CRITICAL)
    MMLogger.get_instance('sweep', log_level='CRITICAL')
    # The teachers' configs are named from the folder above configs/.
    os.chdir(config_folder(name.partition('::')[0]).parent)
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        row = task(name, backbone, known)
    sender.send(row)


def has_pyramid(row: dict) -> bool:
    """Whether a backbone of convolutions or stages was there to replace."""
    return not row.get('plain')


def summarize(rows: Iterable[dict]) -> str:
    """Write counts by verdict, and the share that works, as text."""
    rows = list(rows)
    lines = [f'{len(rows)} configs']
    for verdict, meaning in VERDICTS.items():
        count = sum(row['verdict'] == verdict for row in rows)
        lines.append(f'{count:5} {verdict}: {meaning}')
    asked = [r for r in rows if r['verdict'] != 'apart' and has_pyramid(r)]
    works = sum(row['verdict'] == 'works' for row in asked)
    share = 100 * works / max(len(asked), 1)
    lines.append(
        f'{share:.1f} % ({works} of {len(asked)}) of those that run here '
        'with their own convolutional or hierarchical backbone'
    )
    return '\n'.join(lines)


def write_table(rows: Iterable[dict], path: Path) -> None:
    """Write config, verdict and reason, as CSV or (``.md``) Markdown."""
    columns = ('config', 'old', 'verdict', 'reason')
    cells = [[row[column] for column in columns] for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'w', newline='') as file:
        if path.suffix == '.md':
            header = [columns, ['---'] * len(columns)]
            for line in [*header, *cells]:
                text = ' | '.join(cell.replace('|', '/') for cell in line)
                file.write(f'| {text} |\n')
        else:
            csv.writer(file).writerows([columns, *cells])
