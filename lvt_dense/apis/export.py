"""Export a trained model, check it against PyTorch, and write it whole."""

import io
import json
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from lvt_dense.apis.visualize import load_model
from lvt_dense.compat import import_stack
from lvt_dense.deploy.formats import (
    TOLERANCES,
    check_format,
    onnx_call,
    openvino_call,
    to_openvino,
    write_onnx,
    write_openvino,
)
from lvt_dense.deploy.graph import build_graph
from lvt_dense.deploy.metadata import KEY, describe, test_resize
from lvt_dense.deploy.parity import check_differences, compare_outputs
from lvt_dense.errors import UserError
from lvt_dense.metainfo import find_metainfo

OPSET = 18
MAX_CALIBRATION = 100  # images
DIVISOR = 32  # of the sides of images of any size
_INSTALL = "pip install 'lvt_dense[export]'"


def export(
    cfg: Config,
    checkpoint: str,
    out: str,
    kind: str = 'onnx',
    precision: str = 'fp32',
    size: Sequence[int] | str | None = None,
    color: str = 'rgb',
    raw: bool = False,
    images: Sequence[str] = (),
    calibration: str | None = None,
    tolerance: float | None = None,
) -> dict[str, float]:
    """Export a model.

    The file appears only if its runtime gives what PyTorch gives.

    Args:
        cfg: Config of the model.
        checkpoint: Its weights.
        out: File to write, ``.onnx`` or ``.xml``.
        kind: ``'onnx'`` or ``'openvino'``.
        precision: ``'fp32'``; for OpenVINO also ``'fp16'``, ``'bf16'`` or
            ``'int8'``, see :mod:`lvt_dense.deploy.formats`.
        size: Height and width of the graph's input; ``'dynamic'`` for any;
            by default those that the config's test pipeline resizes images
            to.
        color: Channel order of the input, ``'rgb'`` or ``'bgr'``.
        raw: Stop at the heads' maps.
        images: Images to compare on; by default rendered ones.
        calibration: Folder of images that int8 is fitted to.
        tolerance: See :func:`~lvt_dense.deploy.parity.check_differences`;
            by default that of the precision.

    Returns:
        The differences from PyTorch by name.

    Raises:
        UserError: The model has no exported graph, or differs too much.
    """
    require('onnx', 'onnxscript', 'onnxruntime')
    if kind == 'openvino':
        require('openvino', *(['nncf'] if precision == 'int8' else []))
    check_format(Path(out), kind, precision)
    made = _make_graph(cfg, checkpoint, size, color, raw, images)
    if tolerance is None:
        tolerance = TOLERANCES[precision]
    if kind == 'onnx':
        gaps = _differences(made, onnx_call(made.content))
        check_differences(gaps, tolerance)
        write_onnx(made.content, Path(out))
        return gaps
    feeds = _calibration(made, calibration, color)
    model = to_openvino(made.content, made.info, precision, feeds)
    gaps = _differences(made, openvino_call(model, precision))
    check_differences(gaps, tolerance)
    write_openvino(model, Path(out), precision)
    return gaps


@dataclass
class _Made:
    """A graph in PyTorch and in ONNX, and inputs to compare them on."""

    graph: nn.Module
    content: bytes
    info: dict[str, Any]
    inputs: list[tuple[torch.Tensor, ...]]
    shape: tuple[int, int]


def _make_graph(
    cfg: Config,
    checkpoint: str,
    size: Sequence[int] | str | None,
    color: str,
    raw: bool,
    images: Sequence[str],
) -> _Made:
    import_stack()
    init_default_scope(cfg.get('default_scope') or 'mmengine')
    model = load_model(cfg, checkpoint)
    padded = test_resize(cfg)['resize'] == 'fit'
    graph = build_graph(model, cfg, color, raw, padded)
    is_dynamic = size == 'dynamic'
    shape = default_size(cfg) if is_dynamic or not size else tuple(size)
    if is_dynamic:
        shape = tuple(-(-side // DIVISOR) * DIVISOR for side in shape)
    check_size(shape, cfg)
    inputs = example_inputs(graph, shape, images, color)
    if raw:
        _name_maps(graph, inputs[0])
    program = _export_program(graph, inputs, is_dynamic)
    if _fixes_batch(program):
        program = _export_program(graph, inputs, is_dynamic, one_image=True)
    info = describe(
        cfg,
        checkpoint,
        'raw' if raw else task_of(model),
        find_metainfo(cfg, checkpoint),
        color,
        None if is_dynamic else shape,
        OPSET,
    )
    if is_dynamic:
        info['divisor'] = DIVISOR
    info['batch'] = 1 if _fixes_batch(program) else None
    return _Made(graph, _with_metadata(program, info), info, inputs, shape)


def _name_maps(graph: nn.Module, example: tuple[torch.Tensor, ...]) -> None:
    with torch.no_grad():
        count = len(graph(*example))
    graph.outputs = tuple(f'map_{i}' for i in range(count))


def _calibration(
    made: _Made, folder: str | None, color: str
) -> list[dict[str, np.ndarray]]:
    if folder is None:
        return []
    from lvt_dense.deploy.predictor import list_images

    try:
        paths = [str(path) for path in list_images(folder)]
    except ValueError as error:
        raise UserError(f'--calibration: {error}') from error
    paths = paths[:MAX_CALIBRATION]
    inputs = example_inputs(made.graph, made.shape, paths, color)
    return [
        {k: v.numpy() for k, v in zip(made.graph.inputs, values)}
        for values in inputs
    ]


def task_of(model: nn.Module) -> str:
    """Return ``detection``, ``instance``, ``semantic`` or ``mono3d``."""
    from mmdet.models.detectors.base import BaseDetector

    from lvt_dense.models.mono3d import Mono3DDetector

    if isinstance(model, Mono3DDetector):
        return 'mono3d'
    if isinstance(model, BaseDetector):
        return 'instance' if model.with_mask else 'detection'
    return 'semantic'


def default_size(cfg: Config) -> tuple[int, int]:
    """Return height and width that the test pipeline makes of images.

    Raises:
        UserError: The pipeline does not resize.
    """
    resize = test_resize(cfg)
    if resize['scale'] is None:
        raise UserError(
            f'the test pipeline of {cfg.filename} does not resize images: '
            'give --size HxW'
        )
    width, height = resize['scale']
    divisor = resize['divisor']
    return tuple(-(-side // divisor) * divisor for side in (height, width))


def check_size(size: Sequence[int], cfg: Config) -> None:
    """Check a size of the input.

    Raises:
        UserError: It is too small, or no multiple of what it has to be.
    """
    divisor = test_resize(cfg)['divisor']
    if min(size) < 32 or any(side % divisor for side in size):
        raise UserError(
            f'--size {size[0]}x{size[1]}: height and width are at least 32 '
            f'and multiples of {divisor} here'
        )


def example_inputs(
    graph: nn.Module,
    size: Sequence[int],
    images: Sequence[str],
    color: str,
) -> list[tuple[torch.Tensor, ...]]:
    """Return inputs of the graph: given images, or two rendered ones."""
    pictures = [_read(path) for path in images] or _rendered(size)
    inputs = []
    for picture in pictures:
        picture = _resized(picture, size)
        if color == 'bgr':
            picture = picture[..., ::-1]
        image = torch.from_numpy(np.array(picture))[None]
        inputs.append((image, *_other_inputs(graph, size)))
    return inputs


def require(*packages: str) -> None:
    """Check that optional packages are installed.

    Raises:
        UserError: Names those that are missing, and the command.
    """
    from importlib.util import find_spec

    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise UserError(
            f'this needs {", ".join(missing)}, not installed here: {_INSTALL}'
        )


def _export_program(
    graph: nn.Module,
    inputs: Sequence[tuple[torch.Tensor, ...]],
    is_dynamic: bool,
    one_image: bool = False,
) -> Any:
    from lvt_dense.deploy.translations import onnx_translations

    chatter = io.StringIO()
    # A batch of one would be taken for a constant.
    count = 1 if one_image else 2
    example = tuple(torch.cat([value] * count) for value in inputs[0])
    with (
        torch.no_grad(),
        warnings.catch_warnings(),
        redirect_stdout(chatter),
        redirect_stderr(chatter),
    ):
        warnings.simplefilter('ignore')
        try:
            return torch.onnx.export(
                graph,
                example,
                dynamo=True,
                opset_version=OPSET,
                custom_translation_table=onnx_translations(),
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                dynamic_shapes=_dynamic_shapes(graph, is_dynamic, one_image),
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            reason = _reason(error)
            hint = '; --size HxW exports it for one size' if is_dynamic else ''
            raise UserError(
                f'the model does not export: {reason}{hint}'
            ) from error


def _dynamic_shapes(
    graph: nn.Module, is_dynamic: bool, one_image: bool
) -> tuple[dict[int, Any], ...]:
    from torch.export import Dim

    batch = {} if one_image else {0: Dim('batch', min=1, max=1024)}
    image: dict[int, Any] = dict(batch)
    if is_dynamic:
        image[1] = DIVISOR * Dim('rows', min=2, max=128)
        image[2] = DIVISOR * Dim('columns', min=2, max=128)
    return (image, *(batch for _ in graph.inputs[1:]))


def _fixes_batch(program: Any) -> bool:
    """Whether a graph takes one number of images only."""
    return any(
        isinstance(value.shape[0], int) for value in program.model.graph.inputs
    )


def _reason(error: BaseException) -> str:
    """Find the innermost line that says what went wrong."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [x.strip() for x in str(error).splitlines() if x.strip()]
    return lines[0] if lines else type(error).__name__


def _with_metadata(program: Any, info: dict[str, Any]) -> bytes:
    proto = program.model_proto
    entry = proto.metadata_props.add()
    entry.key, entry.value = KEY, json.dumps(info)
    return proto.SerializeToString()


def _differences(
    made: _Made, call: Callable[[Any], dict[str, np.ndarray]]
) -> dict[str, float]:
    graph, worst = made.graph, dict[str, float]()
    for values in made.inputs:
        with torch.no_grad():
            expected = [value.numpy() for value in graph(*values)]
        found = call({k: v.numpy() for k, v in zip(graph.inputs, values)})
        gaps = compare_outputs(dict(zip(graph.outputs, expected)), found)
        worst = {k: max(v, worst.get(k, 0.0)) for k, v in gaps.items()}
    return worst


def _read(path: str) -> np.ndarray:
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert('RGB'))
    except OSError as error:
        raise UserError(f'image {path} cannot be read: {error}') from error


def _other_inputs(graph: nn.Module, size: Sequence[int]) -> list[torch.Tensor]:
    """Return a plausible camera, and the size, where the graph wants them."""
    height, width = size
    camera = torch.eye(4)
    camera[0, 0] = camera[1, 1] = 0.58 * width
    camera[0, 2], camera[1, 2] = width / 2, height / 2
    known = dict(camera=camera[None], size=torch.tensor([[height, width]]))
    return [known[name] for name in graph.inputs[1:]]


def _rendered(size: Sequence[int]) -> list[np.ndarray]:
    from lvt_dense.scenes.camera import Camera
    from lvt_dense.scenes.frame import render
    from lvt_dense.scenes.layout import NEAR_PROFILE

    camera = Camera.for_size(max(size[1], 96), max(size[0], 64))
    frames = (render(0, index, camera, NEAR_PROFILE) for index in range(2))
    return [frame.image[..., ::-1] for frame in frames]


def _resized(picture: np.ndarray, size: Sequence[int]) -> np.ndarray:
    from PIL import Image

    image = Image.fromarray(picture).resize(tuple(size[::-1]))
    return np.asarray(image)
