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

from lvt_dense.compat import import_stack
from lvt_dense.errors import UserError
from lvt_dense.files import write_atomically

from .graph import build_graph
from .metadata import KEY, describe, test_resize
from .parity import check_differences, compare_outputs

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
    model, meta = load_model(cfg, checkpoint)
    graph = build_graph(model, cfg, color, raw)
    size = tuple(size or default_size(cfg))
    check_size(size, cfg)
    inputs = example_inputs(graph, size, images, color)
    program = _export_program(graph, inputs, OPSET)
    info = describe(
        cfg, checkpoint, task_of(model), meta, color, size, OPSET
    )
    content = _with_metadata(program, info)
    differences = _differences(graph, content, inputs)
    check_differences(differences, tolerance)
    write_atomically(Path(out), content)
    return differences


def load_model(
    cfg: Config, checkpoint: str
) -> tuple[nn.Module, dict[str, Any]]:
    """Build a model, fill it, and tell its classes.

    Returns:
        The model in eval mode on the CPU, and ``classes`` and ``palette``.

    Raises:
        UserError: The checkpoint does not fit.
    """
    from mmengine.registry import MODELS

    from lvt_dense.apis.runs import check_fit
    from lvt_dense.apis.visualize import class_names
    from lvt_dense.checkpoints import read_state_dict

    init_default_scope(cfg.get('default_scope') or 'mmengine')
    model = MODELS.build(cfg.model)
    state = read_state_dict(checkpoint)
    check_fit(model, state, checkpoint)
    model.load_state_dict(state, strict=False)
    return model.eval(), class_names(cfg, checkpoint)


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
        image = torch.from_numpy(np.ascontiguousarray(picture))[None]
        inputs.append((image, *graph.extra_inputs(size)))
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
    from .translations import onnx_translations

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

    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert('RGB'))


def _rendered(size: Sequence[int]) -> list[np.ndarray]:
    from lvt_dense.scenes import render_frame

    height, width = size
    return [
        render_frame(seed, size=(width, height)).image for seed in range(2)
    ]


def _resized(picture: np.ndarray, size: Sequence[int]) -> np.ndarray:
    from PIL import Image

    image = Image.fromarray(picture).resize(tuple(size[::-1]))
    return np.asarray(image)
