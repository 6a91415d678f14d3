"""Export a trained model, check it against PyTorch, and write it whole."""

import io
import json
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from lvt_dense.apis.visualize import load_model
from lvt_dense.compat import import_stack
from lvt_dense.deploy.graph import build_graph
from lvt_dense.deploy.metadata import KEY, describe, test_resize
from lvt_dense.deploy.parity import check_differences, compare_outputs
from lvt_dense.errors import UserError
from lvt_dense.files import write_atomically
from lvt_dense.metainfo import find_metainfo

OPSET = 18
TOLERANCE = 1e-4
_INSTALL = "pip install 'lvt_dense[export]'"


def export(
    cfg: Config,
    checkpoint: str,
    out: str,
    size: Sequence[int] | None = None,
    color: str = 'rgb',
    raw: bool = False,
    images: Sequence[str] = (),
    tolerance: float = TOLERANCE,
) -> dict[str, float]:
    """Export a model to ONNX.

    The file appears only if ONNX Runtime gives what PyTorch gives.

    Args:
        cfg: Config of the model.
        checkpoint: Its weights.
        out: File to write, ``.onnx``.
        size: Height and width of the graph's input; by default those that
            the config's test pipeline resizes images to.
        color: Channel order of the input, ``'rgb'`` or ``'bgr'``.
        raw: Stop at the heads' maps.
        images: Images to compare on; by default rendered ones.
        tolerance: See :func:`~lvt_dense.deploy.parity.check_differences`.

    Returns:
        The differences from PyTorch by name.

    Raises:
        UserError: The model has no exported graph, or differs too much.
    """
    require('onnx', 'onnxscript', 'onnxruntime')
    if Path(out).suffix != '.onnx':
        raise UserError(f'--out {out}: give a file that ends in .onnx')
    import_stack()
    init_default_scope(cfg.get('default_scope') or 'mmengine')
    model = load_model(cfg, checkpoint)
    meta = find_metainfo(cfg, checkpoint)
    padded = test_resize(cfg)['resize'] == 'fit'
    graph = build_graph(model, cfg, color, raw, padded)
    size = tuple(size or default_size(cfg))
    check_size(size, cfg)
    inputs = example_inputs(graph, size, images, color)
    program = _export_program(graph, inputs, OPSET)
    info = describe(cfg, checkpoint, task_of(model), meta, color, size, OPSET)
    content = _with_metadata(program, info)
    differences = _differences(graph, content, inputs)
    check_differences(differences, tolerance)
    write_atomically(Path(out), content)
    return differences


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
    graph: nn.Module, inputs: Sequence[tuple[torch.Tensor, ...]], opset: int
) -> Any:
    from lvt_dense.deploy.translations import onnx_translations

    chatter = io.StringIO()
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
                inputs[0],
                dynamo=True,
                opset_version=opset,
                custom_translation_table=onnx_translations(),
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            reason = str(error.__cause__ or error).strip().splitlines()
            raise UserError(
                f'the model does not export: {reason[0] if reason else error}'
            ) from error


def _with_metadata(program: Any, info: dict[str, Any]) -> bytes:
    proto = program.model_proto
    entry = proto.metadata_props.add()
    entry.key, entry.value = KEY, json.dumps(info)
    return proto.SerializeToString()


def _differences(
    graph: nn.Module,
    content: bytes,
    inputs: Sequence[tuple[torch.Tensor, ...]],
) -> dict[str, float]:
    import onnxruntime

    session = onnxruntime.InferenceSession(
        content, providers=['CPUExecutionProvider']
    )
    worst: dict[str, float] = {}
    for values in inputs:
        with torch.no_grad():
            expected = [value.numpy() for value in graph(*values)]
        feed = {k: v.numpy() for k, v in zip(graph.inputs, values)}
        found = session.run(list(graph.outputs), feed)
        gaps = compare_outputs(
            dict(zip(graph.outputs, expected)),
            dict(zip(graph.outputs, found)),
        )
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
