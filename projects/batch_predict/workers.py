"""The work on one shard, and the pool of Ray Data that does it."""

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import lvt_dense
from lvt_dense.runtime.errors import InputError
from lvt_dense.runtime.images import read_camera
from lvt_dense.runtime.predictor import Predictor

from .shards import Attempts, Run, Shard
from .tables import Row, make_failure, make_row, make_schema, write_rows


class ShardPredictor:
    """A predictor of one thread that writes shard after shard.

    Called with the same shard again, it writes the same file again.

    Args:
        model: File of the exported model.
        folder: Folder of the images.
        out: Folder of the results.
        score_thr: Lowest score; None for the model's.
        camera: Calibration file of all images, or a folder of them.
    """

    def __init__(
        self,
        model: str,
        folder: str,
        out: str,
        score_thr: float | None = None,
        camera: str | None = None,
    ) -> None:
        self.predictor = Predictor(model, threads=1)
        self.folder, self.out = Path(folder), Path(out)
        self.score_thr, self.camera = score_thr, camera
        self.schema = make_schema(self.predictor.info['task'])

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        """Predict on a shard, write its file, and return its entry.

        Args:
            item: ``shard``, its number, and ``images``, its paths.
        """
        shard = Shard(int(item['shard']), tuple(map(str, item['images'])))
        begin, cpu = time.perf_counter(), time.process_time()
        attempts = Attempts(self.out / f'shard-{shard.number:06}.attempt')
        rows = [self._row(image, attempts) for image in shard.images]
        size = write_rows(self.out / shard.file, rows, self.schema)
        attempts.finish()
        return dict(
            shard=shard.number,
            images=len(rows),
            failures=[[r['image'], r['error']] for r in rows if r['error']],
            bytes=size,
            seconds=time.perf_counter() - begin,
            cpu_seconds=time.process_time() - cpu,
            pid=os.getpid(),
        )

    def _row(self, image: str, attempts: Attempts) -> Row:
        if attempts.is_deadly(image):
            return make_failure(image, 'processes died while it was predicted')
        try:
            prepared = self.predictor.prepare(self.folder / image)
            camera = self._camera(image)
            (found,) = self.predictor.predict_prepared(
                [prepared], [camera], self.score_thr
            )
        except Exception as error:  # each decoder has its own
            reason = ' '.join(str(error).split()) or type(error).__name__
            return make_failure(image, reason)
        height, width = prepared.array.shape[:2]
        classes = self.predictor.classes
        return make_row(image, (height, width), found, classes)

    def _camera(self, image: str) -> np.ndarray | None:
        if self.camera is None:
            return None
        path = Path(self.camera)
        if path.is_dir():
            path = path / f'{Path(image).stem}.txt'
        return read_camera(path)


def predict_shards(
    run: Run, workers: int, address: str | None, arguments: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Predict on all shards of a run that are not done.

    Args:
        run: The run.
        workers: Processes, each of one thread.
        address: Address of a cluster; None for one on this machine, which
            ends with the run.
        arguments: Those of :class:`ShardPredictor`.

    Yields:
        What the journal holds of each shard, as it is done.
    """
    _start(workers, address)
    import ray.data

    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        logging.getLogger('ray.data').setLevel(logging.ERROR)
        items = [dict(shard=s.number, images=list(s.images)) for s in run.todo]
        dataset = ray.data.from_items(items, override_num_blocks=len(items))
        # Ray Data replaces a worker that dies, and does its shard again.
        results = dataset.map(
            ShardPredictor,
            fn_constructor_kwargs=arguments,
            compute=ray.data.ActorPoolStrategy(
                size=min(workers, len(items)),
                max_tasks_in_flight_per_actor=2,
            ),
            num_cpus=1,
        )
        for entry in results.iter_rows():
            yield {k: _plain(v) for k, v in entry.items()}
    except ray.exceptions.RayError as error:
        lines = [x.strip() for x in str(error).splitlines() if x.strip()]
        raise InputError(
            f'Ray gave up: {lines[-1]}; what is done is kept: run the '
            'command again'
        ) from error
    finally:
        ray.shutdown()


def _start(workers: int, address: str | None) -> None:
    # Its core warns of a restart after the loss of this process, with which
    # the run would end anyway.
    os.environ.setdefault('RAY_BACKEND_LOG_LEVEL', 'fatal')
    os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
    import ray

    options: dict[str, Any] = dict(
        include_dashboard=False,
        num_cpus=workers,
        # Only paths and counts pass through it.
        object_store_memory=128 << 20,
    )
    packages = [Path(lvt_dense.__file__).parent, Path(__file__).parent]
    environment: dict[str, Any] = {}
    if address is None:
        paths = [str(path.parent) for path in packages]
        paths += filter(None, [os.environ.get('PYTHONPATH')])
        environment['env_vars'] = dict(PYTHONPATH=os.pathsep.join(paths))
    else:  # of the cluster: they are sent to its machines
        environment['py_modules'] = [str(path) for path in packages]
        options = {}
    try:
        ray.init(
            address=address or 'local',
            runtime_env=environment,
            log_to_driver=False,
            logging_level='error',
            **options,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(
            f'Ray does not start at {address or "this machine"}: {error}'
        ) from error


def _plain(value: Any) -> Any:
    """Return what JSON can hold."""
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value
