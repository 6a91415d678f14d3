"""The formats of exported graphs, and their precisions.

``onnx``, ``web`` (a page around ``onnx``) and ``executorch`` hold fp32,
``coreml``, ``ncnn`` and ``litert`` fp32 or fp16. ``openvino`` holds fp32;
fp16, which halves the file and is computed in fp32 on a CPU; bf16, which is
fp32 in the file and computed in bf16 where the processor can; or int8,
quantized by NNCF after training.
"""

import json
import logging
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lvt_dense.runtime.sessions import compile_openvino
from lvt_dense.utils.errors import UserError

from .metadata import KEY
from .sensitivity import find_sensitive, layer_names

FORMATS: dict[str, str] = dict(
    onnx='.onnx',
    openvino='.xml',
    coreml='.mlpackage',
    executorch='.pte',
    ncnn='.ncnn',
    litert='.tflite',
    web='',
)
PRECISIONS: dict[str, tuple[str, ...]] = dict(
    onnx=('fp32',),
    openvino=('fp32', 'fp16', 'bf16', 'int8'),
    coreml=('fp32', 'fp16'),
    executorch=('fp32',),
    ncnn=('fp32', 'fp16'),
    litert=('fp32', 'fp16'),
    web=('fp32',),
)
# Import names of what a format needs.
PACKAGES: dict[str, tuple[str, ...]] = dict(
    onnx=('onnx', 'onnxscript', 'onnxruntime'),
    openvino=('onnx', 'onnxscript', 'openvino'),
    coreml=('coremltools',),
    executorch=('executorch',),
    ncnn=('ncnn', 'pnnx'),
    litert=('litert_torch', 'ai_edge_litert'),
    web=('onnx', 'onnxscript', 'onnxruntime'),
)
# Largest difference from PyTorch, by precision. That of int8 says little: its
# metric does.
TOLERANCES = dict(fp32=1e-4, fp16=1e-2, bf16=0.1, int8=float('inf'))
Feed = Mapping[str, np.ndarray]
Call = Callable[[Feed], dict[str, np.ndarray]]


def check_format(
    out: Path, kind: str, precision: str, is_dynamic: bool = False
) -> None:
    """Check that a file, a format, a precision and a size go together.

    Raises:
        UserError: They do not.
    """
    if kind not in FORMATS:
        raise UserError(f'--format {kind}: choose one of {", ".join(FORMATS)}')
    if precision not in PRECISIONS[kind]:
        raise UserError(
            f'--precision {precision} with --format {kind}: choose one of '
            f'{", ".join(PRECISIONS[kind])}'
        )
    if kind == 'web' and out.suffix:
        raise UserError(f'--out {out}: --format web writes a folder')
    if out.suffix != FORMATS[kind]:
        raise UserError(
            f'--out {out}: a file of --format {kind} ends in {FORMATS[kind]}'
        )
    if is_dynamic and kind in ('coreml', 'executorch', 'ncnn', 'litert'):
        raise UserError(
            f'--size dynamic with --format {kind}: such a graph has one '
            'size; give --size HxW'
        )


def to_openvino(
    content: bytes,
    info: Mapping[str, Any],
    precision: str,
    calibration: Sequence[Feed] = (),
    keep_float: Sequence[str] = (),
) -> Any:
    """Convert an ONNX graph to a model of OpenVINO.

    Args:
        content: The ONNX file.
        info: Metadata, which the model takes along.
        precision: One of :data:`PRECISIONS`.
        calibration: Inputs whose ranges int8 is fitted to.
        keep_float: Layers that int8 leaves in float: regular expressions of
            their names, or ``'auto'`` alone for those that
            :func:`~lvt_dense.deploy.sensitivity.find_sensitive` finds.

    Returns:
        ``openvino.Model``, whose metadata list the layers under
        ``float_layers``.

    Raises:
        UserError: int8 without calibration images.
    """
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'model.onnx')
        path.write_bytes(content)
        model = openvino.Core().read_model(path)
    info = dict(info, precision=precision)
    if precision == 'int8':
        if not calibration:
            raise UserError(
                '--precision int8 needs images to calibrate on: give '
                '--calibration DIR'
            )
        info['float_layers'] = names = _choose(model, calibration, keep_float)
        model = quantize(model, calibration, names)
    model.set_rt_info(json.dumps(info), KEY)
    return model


def _choose(
    model: Any, calibration: Sequence[Feed], keep_float: Sequence[str]
) -> list[str]:
    if list(keep_float) == ['auto']:
        return find_sensitive(model, calibration, quantize, openvino_call)
    names, kept = layer_names(model), set[str]()
    for pattern in keep_float:
        try:
            found = {name for name in names if re.fullmatch(pattern, name)}
        except re.error as error:
            raise UserError(f'--keep-float {pattern}: {error}') from error
        if not found:
            raise UserError(
                f'--keep-float {pattern} matches the name of no layer; some '
                f'names are {", ".join(names[:3])}'
            )
        kept |= found
    return [name for name in names if name in kept]


def quantize(
    model: Any, feeds: Sequence[Feed], keep_float: Sequence[str] = ()
) -> Any:
    """Quantize a model of OpenVINO to int8 after its training.

    Args:
        model: ``openvino.Model``, which stays as it is.
        feeds: Inputs whose ranges it is fitted to.
        keep_float: Names of layers that stay in float.
    """
    import nncf

    nncf.set_log_level(logging.ERROR)
    # Boxes are coordinates of many hundred pixels, for which eight bits do
    # not do; what follows the last convolutions stays as it is.
    ignored = nncf.IgnoredScope(
        names=list(keep_float),
        types=['NonMaxSuppression', 'TopK', 'ROIAlign'],
        validate=False,
    )
    return nncf.quantize(
        model,
        nncf.Dataset(list(feeds)),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(feeds),
        ignored_scope=ignored,
    )


def write_openvino(model: Any, out: Path, precision: str) -> None:
    """Write ``.xml`` and ``.bin``, each whole, the ``.xml`` last."""
    import openvino

    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        path = Path(folder, out.name)
        openvino.save_model(model, path, compress_to_fp16=precision == 'fp16')
        for suffix in ('.bin', '.xml'):
            shutil.move(path.with_suffix(suffix), out.with_suffix(suffix))


def openvino_call(model: Any, precision: str) -> Call:
    """Compile a model of OpenVINO for the CPU."""
    import openvino

    run = compile_openvino(openvino.Core(), model, precision)
    return lambda feed: run(dict(feed))


def onnx_call(content: bytes) -> Call:
    """Load an ONNX file into ONNX Runtime for the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        content, providers=['CPUExecutionProvider']
    )
    names = [o.name for o in session.get_outputs()]

    def run(feed: Feed) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, dict(feed))))

    return run
