"""Model files, opened in the runtimes that they are for."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .errors import InputError

KEY = 'lvt_dense'  # of the metadata
Run = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]


class Session(NamedTuple):
    """A network that is ready to run.

    Attributes:
        run: Takes the inputs by name and returns the outputs by name, all
            with a batch dimension.
        info: Metadata of the model, see :mod:`lvt_dense.deploy.metadata`,
            and under ``inputs`` the names of the inputs.
        name: What it is called in messages.
    """

    run: Run
    info: dict[str, Any]
    name: str


def open_session(path: str | Path, threads: int = 0) -> Session:
    """Open a model file.

    Args:
        path: File or folder that ``lvt-dense export`` wrote; its suffix says
            which runtime it is for.
        threads: Threads of the runtime; 0 leaves the choice to it.

    Raises:
        InputError: The file is of no exported model, or its runtime is not
            installed.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f'{path} does not exist')
    if path.suffix not in OPENERS:
        raise InputError(
            f'{path} is no exported model; those end in {", ".join(OPENERS)}'
        )
    run, info = OPENERS[path.suffix](path, threads)
    return Session(run, info, str(path))


def _open_onnx(path: Path, threads: int) -> tuple[Run, dict]:
    onnxruntime = require('onnxruntime', path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=onnxruntime.get_available_providers()
        )
    except Exception as error:  # the runtime's own classes
        reason = ' '.join(str(error).split())[:300]
        raise InputError(
            f'{path} is no readable ONNX model for onnxruntime '
            f'{onnxruntime.__version__}, which may be older than the file: '
            f'{reason}'
        ) from error
    text = session.get_modelmeta().custom_metadata_map.get(KEY)
    info = _parse(text, path)
    info['inputs'] = [i.name for i in session.get_inputs()]
    names = [o.name for o in session.get_outputs()]

    def run(feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, feed)))

    return run, info


def _open_openvino(path: Path, threads: int) -> tuple[Run, dict]:
    core = require('openvino', path).Core()
    try:
        model = core.read_model(path)
    except RuntimeError as error:
        reason = ' '.join(str(error).split())[:300]
        raise InputError(
            f'{path} is no readable OpenVINO model: {reason}'
        ) from error
    text = None
    if model.has_rt_info(KEY):
        text = model.get_rt_info(KEY).astype(str)
    info = _parse(text, path)
    info['inputs'] = [i.any_name for i in model.inputs]
    return compile_openvino(core, model, info.get('precision'), threads), info


def compile_openvino(
    core: Any, model: Any, precision: str | None, threads: int = 0
) -> Run:
    """Return what runs a model of OpenVINO on the CPU.

    It is compiled for the number of images of the first call, and again when
    that changes: OpenVINO fuses less in a model of any number.
    """
    hint = 'bf16' if precision == 'bf16' else 'f32'
    config = dict(INFERENCE_PRECISION_HINT=hint, INFERENCE_NUM_THREADS=threads)
    # Compiled outputs may also bear names of operators that were left out.
    names = [o.any_name for o in model.outputs]
    shapes = {i.any_name: list(i.partial_shape) for i in model.inputs}
    compiled: dict[int, Any] = {}

    def run(feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        batch = len(next(iter(feed.values())))
        if batch not in compiled:
            compiled.clear()
            fixed = model.clone()
            fixed.reshape({n: [batch, *s[1:]] for n, s in shapes.items()})
            compiled[batch] = core.compile_model(fixed, 'CPU', config)
        found = compiled[batch](dict(feed))
        return {name: found[i] for i, name in enumerate(names)}

    return run


def require(name: str, path: str | Path, package: str = '') -> Any:
    """Import a package that a file needs.

    Args:
        name: Name of the module.
        path: The file.
        package: What ``pip`` calls it, if it is not the module's name.

    Raises:
        InputError: It cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except Exception as error:  # compiled packages raise errors of all kinds
        package = package or name
        missing = getattr(error, 'name', None) or ''
        if missing.partition('.')[0] == name:
            reason = f'which is not installed: pip install {package}'
        else:
            reason = f'which cannot be imported: {error}'
        raise InputError(f'{path} needs {package}, {reason}') from error


def _parse(text: str | None, path: Path) -> dict:
    if not text:
        raise InputError(
            f'{path} has no metadata of lvt_dense: export it with '
            '`lvt-dense export`'
        )
    return json.loads(text)


OPENERS: dict[str, Callable[[Path, int], tuple[Run, dict]]] = {
    '.onnx': _open_onnx,
    '.xml': _open_openvino,
}
