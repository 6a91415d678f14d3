"""Write an ONNX graph in a format and a precision.

``onnx`` holds fp32. ``openvino`` holds fp32; fp16, which halves the file and
is computed in fp32 on a CPU; bf16, which is fp32 in the file and computed in
bf16 where the processor can; or int8, quantized by NNCF after training.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lvt_dense.errors import UserError
from lvt_dense.files import write_atomically

from .metadata import KEY

FORMATS: dict[str, str] = dict(onnx='.onnx', openvino='.xml')
PRECISIONS: dict[str, tuple[str, ...]] = dict(
    onnx=('fp32',), openvino=('fp32', 'fp16', 'bf16', 'int8')
)
# Largest difference from PyTorch, by precision. That of int8 says little: its
# metric does.
TOLERANCES = dict(fp32=1e-4, fp16=1e-2, bf16=0.1, int8=float('inf'))
Feed = Mapping[str, np.ndarray]


def check_format(out: Path, kind: str, precision: str) -> None:
    """Check that a file, a format and a precision go together.

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
    if out.suffix != FORMATS[kind]:
        raise UserError(
            f'--out {out}: a file of --format {kind} ends in {FORMATS[kind]}'
        )


def write_onnx(content: bytes, out: Path) -> None:
    """Write an ONNX file whole."""
    write_atomically(out, content)


def to_openvino(
    content: bytes,
    info: Mapping[str, Any],
    precision: str,
    calibration: Iterable[Feed] = (),
) -> Any:
    """Convert an ONNX graph to a model of OpenVINO.

    Args:
        content: The ONNX file.
        info: Metadata, which the model takes along.
        precision: One of :data:`PRECISIONS`.
        calibration: Inputs whose ranges int8 is fitted to.

    Returns:
        ``openvino.Model``.

    Raises:
        UserError: int8 without calibration images.
    """
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'model.onnx')
        path.write_bytes(content)
        model = openvino.Core().read_model(path)
    if precision == 'int8':
        model = _quantize(model, list(calibration))
    model.set_rt_info(json.dumps(dict(info, precision=precision)), KEY)
    return model


def _quantize(model: Any, feeds: list[Feed]) -> Any:
    import nncf

    if not feeds:
        raise UserError(
            '--precision int8 is fitted to images: give --calibration DIR'
        )
    # Boxes are coordinates of many hundred pixels, for which eight bits do
    # not do; what follows the last convolutions stays as it is.
    ignored = nncf.IgnoredScope(
        types=['NonMaxSuppression', 'TopK', 'ROIAlign'], validate=False
    )
    return nncf.quantize(
        model,
        nncf.Dataset(feeds),
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


def openvino_call(
    model: Any, precision: str
) -> Callable[[Feed], dict[str, np.ndarray]]:
    """Compile a model of OpenVINO for the CPU."""
    import openvino

    hint = 'bf16' if precision == 'bf16' else 'f32'
    compiled = openvino.Core().compile_model(
        model, 'CPU', {'INFERENCE_PRECISION_HINT': hint}
    )

    def run(feed: Feed) -> dict[str, np.ndarray]:
        found = compiled(dict(feed))
        return {o.any_name: found[o] for o in compiled.outputs}

    return run


def onnx_call(content: bytes) -> Callable[[Feed], dict[str, np.ndarray]]:
    """Load an ONNX file into ONNX Runtime for the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        content, providers=['CPUExecutionProvider']
    )
    names = [o.name for o in session.get_outputs()]

    def run(feed: Feed) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, dict(feed))))

    return run
