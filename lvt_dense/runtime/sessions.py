"""Model files, opened in the runtimes that they are for."""

import importlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .errors import InputError

KEY = 'lvt_dense'  # of the metadata
NCNN_FILES = ('model.ncnn.param', 'model.ncnn.bin', 'metadata.json')
LITERT_INFO = 'lvt_dense.json'  # in the ZIP file at the end of a model
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


def _open_ncnn(path: Path, threads: int) -> tuple[Run, dict]:
    param, weights, meta = (path / name for name in NCNN_FILES)
    for file in (param, weights, meta):
        if not file.is_file():
            raise InputError(
                f'{path} is no NCNN model: {file.name} is missing'
            )
    info = _parse(meta.read_text(encoding='utf-8'), path)
    ncnn = require('ncnn', path)
    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    if threads:
        net.opt.num_threads = threads
    if info['precision'] == 'fp32':
        for name in ('fp16_packed', 'fp16_storage', 'fp16_arithmetic'):
            setattr(net.opt, f'use_{name}', False)
    if net.load_param(str(param)) or net.load_model(str(weights)):
        raise InputError(
            f'{path} is no readable NCNN model for ncnn {ncnn.__version__}, '
            'which may be older than the file'
        )

    def run(feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        _check_batch(feed, path)
        planes = _fill_padding(feed, info['padding'])
        extractor = net.create_extractor()
        extractor.input('in0', ncnn.Mat(planes))
        found = {}
        for i, (name, shape) in enumerate(info['outputs'].items()):
            status, value = extractor.extract(f'out{i}')
            if status:
                raise InputError(f'{path}: ncnn fails with status {status}')
            found[name] = np.array(value).reshape(shape)
        return _label(found, info.get('threshold'))

    return run, info


def _check_batch(feed: dict[str, np.ndarray], path: str | Path) -> None:
    if len(feed['image']) != 1:
        raise InputError(
            f'{path} takes one image at a time, not {len(feed["image"])}'
        )


def _open_litert(path: Path, threads: int) -> tuple[Run, dict]:
    return load_litert(path.read_bytes(), path, threads)


def load_litert(
    content: bytes, path: str | Path, threads: int = 0
) -> tuple[Run, dict]:
    """Load a model of LiteRT.

    Args:
        content: Content of a ``.tflite`` file.
        path: What it is called in messages.
        threads: Threads; 0 leaves the choice to LiteRT.

    Raises:
        InputError: It is no exported model, or its runtime is missing.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            text = archive.read(LITERT_INFO).decode()
    except (zipfile.BadZipFile, KeyError):
        text = None
    info = _parse(text, Path(path))
    litert = require('ai_edge_litert.interpreter', path, 'ai-edge-litert')
    try:
        network = litert.Interpreter(
            model_content=content, num_threads=threads or None
        )
        signature = network.get_signature_runner()
    except (RuntimeError, ValueError) as error:
        reason = ' '.join(str(error).split())[:300]
        raise InputError(f'{path} is no readable model: {reason}') from error
    kinds = signature.get_input_details()
    names = {name: f'args_{i}' for i, name in enumerate(info['inputs'])}

    def run(feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        _check_batch(feed, path)
        given = {
            names[name]: np.ascontiguousarray(
                value, kinds[names[name]]['dtype']
            )
            for name, value in feed.items()
            # LiteRT leaves out inputs without a use.
            if names[name] in kinds
        }
        found = signature(**given)
        return {n: found[f'output_{i}'] for i, n in enumerate(info['outputs'])}

    return run, info


def _fill_padding(
    feed: dict[str, np.ndarray], padding: list[float]
) -> np.ndarray:
    """Return an image as planes, (C, H, W), padded by the mean."""
    planes = feed['image'][0].transpose(2, 0, 1).astype(np.float32, 'C')
    if 'size' in feed:
        height, width = feed['size'][0]
        fill = np.array(padding, np.float32)[:, None, None]
        planes[:, height:] = fill
        planes[:, :, width:] = fill
    return planes


def _label(
    found: dict[str, np.ndarray], threshold: float | None
) -> dict[str, np.ndarray]:
    """Turn scores of pixels, (1, C, H, W), into labels, (1, H, W)."""
    if 'scores' not in found:
        return found
    scores = found['scores']
    if threshold is not None:
        return dict(labels=(scores[:, 0] > threshold).astype(np.int32))
    return dict(labels=scores.argmax(1).astype(np.int32))


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
    '.ncnn': _open_ncnn,
    '.tflite': _open_litert,
}
