"""Export a trained model, check it against PyTorch, and write it whole."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from torch import nn

from lvt_dense.compat.stack import import_stack
from lvt_dense.datasets.metainfo import find_metainfo
from lvt_dense.deploy.formats import (
    PACKAGES,
    TOLERANCES,
    Call,
    Feed,
    check_format,
    onnx_call,
    openvino_call,
    to_openvino,
    write_openvino,
)
from lvt_dense.deploy.graph import build_graph
from lvt_dense.deploy.metadata import describe_model, test_resize
from lvt_dense.deploy.onnx_program import (
    DIVISOR,
    OPSET,
    export_program,
    fixes_batch,
    to_bytes,
)
from lvt_dense.deploy.parity import check_differences, compare_outputs
from lvt_dense.deploy.reference import compare_with_model
from lvt_dense.deploy.web_page import find_ort_web, write_web_page
from lvt_dense.engine.model_loading import load_model
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import write_atomically
from lvt_dense.utils.optional import import_optional

MAX_CALIBRATION = 100  # images


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
    keep_float: Sequence[str] = (),
    tolerance: float | None = None,
    score_thr: float | None = None,
    ort_web: str | None = None,
) -> dict[str, float]:
    """Export a model, and write it only if it gives what PyTorch gives.

    Args:
        cfg: Config of the model.
        checkpoint: Its weights.
        out: File to write; its suffix belongs to the format.
        kind: A key of :data:`lvt_dense.deploy.formats.FORMATS`; ``'web'`` is a
            folder with a page that runs the model in the browser.
        precision: One of :data:`lvt_dense.deploy.formats.PRECISIONS`.
        size: Height and width of the graph's input, or ``'dynamic'``; by
            default as the config's test pipeline resizes images.
        color: Channel order of the input, ``'rgb'`` or ``'bgr'``.
        raw: Stop at the heads' maps.
        images: Images to compare on; by default rendered ones.
        calibration: Folder of images that int8 is fitted to.
        keep_float: Layers that int8 leaves in float, see :func:`to_openvino`.
        tolerance: See :func:`.check_differences`; by the precision if None.
        score_thr: Lowest score worth drawing, in [0, 1]; 0.3 by default.
        ort_web: Folder of npm's package onnxruntime-web, for ``'web'``.

    Returns:
        Differences from PyTorch by name; none if the format cannot run here.

    Raises:
        UserError: The model has no exported graph, or differs too much.
    """
    check_format(Path(out), kind, precision, size == 'dynamic')
    _check_keep_float(keep_float, precision)
    require_format(kind, precision, ort_web)
    _tell('building the graph, and comparing it with the model')
    made = _make_graph(cfg, checkpoint, kind, size, color, raw, images)
    if score_thr is not None:
        made.info['score_thr'] = score_thr
    check_differences(made.gaps, max(tolerance or 0.0, TOLERANCES['fp32']))
    limit = TOLERANCES[precision] if tolerance is None else tolerance
    feeds = _calibration(made, calibration, color)
    _tell(f'converting it to {kind} in {precision}, which takes a while')
    call, write = _convert(
        made, kind, Path(out), precision, feeds, keep_float, ort_web
    )
    gaps = {} if call is None else _compare(made, call, limit)
    _tell(f'writing {out}')
    write()
    return gaps


def _tell(step: str) -> None:
    print_log(f'export: {step}', logger='current')


def _check_keep_float(keep_float: Sequence[str], precision: str) -> None:
    if keep_float and precision != 'int8':
        raise UserError(
            f'--keep-float with --precision {precision}: all of it is float; '
            'it belongs to --precision int8'
        )


@dataclass
class _Made:
    """A graph in PyTorch, and inputs to compare it on.

    Attributes:
        graph: The graph.
        info: Its metadata.
        inputs: Inputs of single images.
        shape: Height and width of them.
        is_dynamic: Whether other sizes are to be taken, too.
        gaps: Differences from the model's own prediction.
    """

    graph: nn.Module
    info: dict[str, Any]
    inputs: list[tuple[torch.Tensor, ...]]
    shape: tuple[int, int]
    is_dynamic: bool
    gaps: dict[str, float]


def _make_graph(
    cfg: Config,
    checkpoint: str,
    kind: str,
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
    task = task_of_model(model)
    gaps: dict[str, float] = {}
    if raw:
        _name_maps(graph, inputs[0])
    else:
        gaps = _own_differences(model, task, color, graph, inputs[0])
    info = describe_model(
        cfg,
        checkpoint,
        'raw' if raw else task,
        find_metainfo(cfg, checkpoint),
        color,
        None if is_dynamic else shape,
        PACKAGES[kind],
    )
    if raw:
        info['maps_of'] = task
    if is_dynamic:
        info['divisor'] = DIVISOR
        for other in _other_sizes(shape):
            inputs += example_inputs(graph, other, images[:1], color)[:1]
    return _Made(graph, info, inputs, shape, is_dynamic, gaps)


def _other_sizes(size: Sequence[int]) -> list[tuple[int, int]]:
    """Return sizes at which a graph of any size is compared, too.

    A graph may hold what is right for one size alone: one of them is small,
    and of one the levels at stride 32 are odd where those of the given size
    are even.
    """
    height, width = size
    return [
        (height + DIVISOR, width + DIVISOR),
        (2 * DIVISOR, 3 * DIVISOR),
    ]


def _own_differences(
    model: nn.Module,
    task: str,
    color: str,
    graph: nn.Module,
    values: tuple[torch.Tensor, ...],
) -> dict[str, float]:
    """Compare a graph with the model's own prediction, both in PyTorch."""
    with torch.no_grad():
        found = [value.numpy() for value in graph(*values)]
    inputs = dict(zip(graph.inputs, values))
    outputs = dict(zip(graph.outputs, found))
    return compare_with_model(model, task, color, inputs, outputs)


def _convert(
    made: _Made,
    kind: str,
    out: Path,
    precision: str,
    feeds: list[Feed],
    keep_float: Sequence[str],
    ort_web: str | None = None,
) -> tuple[Call | None, Callable[[], None]]:
    """Convert a graph.

    Returns:
        What runs the converted graph, None where it does not run on this
        machine, and what writes it.
    """
    if kind == 'executorch':
        from lvt_dense.deploy import executorch_program as executorch

        content = executorch.convert(made.graph, made.inputs[0], made.info)
        call = executorch.load(content, made.graph.outputs)
        return call, lambda: write_atomically(out, content)
    if kind == 'coreml':
        from lvt_dense.deploy import coreml_program as coreml

        package = coreml.convert(
            made.graph, made.inputs[0], made.info, precision
        )
        return coreml.load(package), lambda: coreml.write(package, out)
    if kind == 'litert':
        from lvt_dense.deploy import litert_program as litert

        content = litert.convert(
            made.graph, made.inputs[0], made.info, precision
        )
        return litert.load(content), lambda: write_atomically(out, content)
    if kind == 'ncnn':
        return _to_ncnn(made, out, precision)
    content = _to_onnx(made, kind, precision)
    if kind == 'web':
        files = find_ort_web(ort_web)
        page = partial(write_web_page, content, made.info, out, files)
        return onnx_call(content), page
    if kind == 'onnx':
        return onnx_call(content), lambda: write_atomically(out, content)
    model = to_openvino(content, made.info, precision, feeds, keep_float)
    return (
        openvino_call(model, precision),
        lambda: write_openvino(model, out, precision),
    )


def _to_ncnn(
    made: _Made, out: Path, precision: str
) -> tuple[Call, Callable[[], None]]:
    from lvt_dense.deploy import ncnn_program as ncnn

    # It goes when what writes the model has gone.
    folder = tempfile.TemporaryDirectory(suffix='.ncnn')
    path = Path(folder.name)
    call = ncnn.convert(made.graph, made.inputs[0], made.info, path, precision)

    def write() -> None:
        ncnn.write(path, out)
        folder.cleanup()

    return call, write


def _to_onnx(made: _Made, kind: str, precision: str) -> bytes:
    graph = made.graph
    if kind == 'openvino':
        from lvt_dense.deploy.openvino_graph import adapt_to_openvino

        graph = adapt_to_openvino(graph, precision)
    program = export_program(graph, made.inputs, made.is_dynamic)
    if fixes_batch(program):
        program = export_program(
            graph, made.inputs, made.is_dynamic, one_image=True
        )
    made.info['opset'] = OPSET
    made.info['batch'] = 1 if fixes_batch(program) else None
    return to_bytes(program, made.info)


def _name_maps(graph: nn.Module, example: tuple[torch.Tensor, ...]) -> None:
    with torch.no_grad():
        count = len(graph(*example))
    graph.outputs = tuple(f'map_{i}' for i in range(count))


def _calibration(made: _Made, folder: str | None, color: str) -> list[Feed]:
    if folder is None:
        return []
    from lvt_dense.runtime.sources import list_images

    try:
        paths = [str(path) for path in list_images(folder)]
    except ValueError as error:
        raise UserError(f'--calibration: {error}') from error
    feeds: list[Feed] = []
    for path in paths:
        if len(feeds) == MAX_CALIBRATION:
            break
        try:
            (values,) = example_inputs(made.graph, made.shape, [path], color)
        except UserError as error:
            _tell(f'left out: {error}')
            continue
        feeds.append({k: v.numpy() for k, v in zip(made.graph.inputs, values)})
    if not feeds:
        raise UserError(f'--calibration {folder}: no image can be read')
    return feeds


def task_of_model(model: nn.Module) -> str:
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
        picture = _with_channels(picture, graph.input.channels)
        image = torch.from_numpy(np.array(picture))[None]
        inputs.append((image, *_other_inputs(graph, size)))
    return inputs


def _with_channels(picture: np.ndarray, channels: int) -> np.ndarray:
    """Repeat or leave out channels of a picture, (H, W, 3)."""
    return picture[..., [i % picture.shape[2] for i in range(channels)]]


def check_packages(*packages: str, extra: str = 'export') -> None:
    """Check that optional packages can be imported.

    Args:
        packages: Their import names.
        extra: Extra of this package that installs them.

    Raises:
        UserError: Names the first one that cannot be, why, and what to do.
    """
    for name in packages:
        import_optional(name, 'this', extra)


def require_format(
    kind: str, precision: str, ort_web: str | None = None
) -> None:
    """Check that the packages of a format can be imported.

    Raises:
        UserError: Names one that cannot be, why, and what to do.
    """
    packages = [*PACKAGES[kind], *(['nncf'] if precision == 'int8' else [])]
    check_packages(
        *packages, extra='export' if kind in ('onnx', 'web') else kind
    )
    if kind == 'web':
        find_ort_web(ort_web)


def _compare(made: _Made, call: Call, limit: float) -> dict[str, float]:
    """Return the largest differences from PyTorch, none beyond the limit."""
    _tell(f'comparing the result with PyTorch ({len(made.inputs)} images)')
    graph, worst = made.graph, dict[str, float]()
    inputs = list(made.inputs)
    if made.info.get('batch', 1) is None:
        # Three images: the export had two.
        shape = inputs[0][0].shape
        alike = [values for values in inputs if values[0].shape == shape]
        three = (alike[0], alike[-1], alike[0])
        inputs.append(tuple(map(torch.cat, zip(*three))))
    for values in inputs:
        with torch.no_grad():
            expected = [value.numpy() for value in graph(*values)]
        found = call({k: v.numpy() for k, v in zip(graph.inputs, values)})
        gaps = compare_outputs(dict(zip(graph.outputs, expected)), found)
        worst = {k: max(v, worst.get(k, 0.0)) for k, v in gaps.items()}
    check_differences(worst, limit)
    return worst


def _read(path: str) -> np.ndarray:
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert('RGB'))
    except (OSError, Image.DecompressionBombError) as error:
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
