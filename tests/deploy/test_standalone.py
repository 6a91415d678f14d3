"""The predictor as one file."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from lvt_dense.deploy.standalone import write_predictor


def run(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    # Without site-packages of ours on the path there is no lvt_dense.
    code = (
        'import runpy, sys\n'
        'class Bar:\n'
        '    def find_spec(self, name, *_):\n'
        "        if name.split('.')[0] in ('lvt_dense', 'torch', 'mmcv'):\n"
        '            raise ImportError(name)\n'
        'sys.meta_path.insert(0, Bar())\n'
        f'sys.argv = {["predict.pyz", *args]!r}\n'
        "runpy.run_path('predict.pyz', run_name='__main__')\n"
    )
    return subprocess.run(
        [sys.executable, '-S', '-c', f'import site\nsite.main()\n{code}'],
        cwd=folder,
        capture_output=True,
        text=True,
    )


def test_one_file_predicts(tmp_path: Path) -> None:
    pytest.importorskip('onnx')
    write_predictor(tmp_path)
    Image.new('RGB', (50, 40), (10, 200, 10)).save(tmp_path / 'a.png')
    _write_model(tmp_path / 'colors.onnx')
    done = run(tmp_path, 'colors.onnx', 'a.png', '--format', 'json')
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(
        (tmp_path / 'predictions' / 'predictions.json').read_text()
    )
    assert record['pixels'] == {'green': 50 * 40}
    done = run(tmp_path, 'none.onnx', 'a.png')
    assert done.returncode == 2
    assert done.stderr == 'error: none.onnx does not exist\n'


def _write_model(path: Path) -> None:
    """A segmenter that gives each pixel its strongest channel."""
    from onnx import TensorProto, helper

    shape = ['n', 'h', 'w', 3]
    graph = helper.make_graph(
        [
            helper.make_node('Cast', ['image'], ['x'], to=TensorProto.FLOAT),
            helper.make_node('ArgMax', ['x'], ['labels'], axis=3, keepdims=0),
        ],
        'colors',
        [helper.make_tensor_value_info('image', TensorProto.UINT8, shape)],
        [
            helper.make_tensor_value_info(
                'labels', TensorProto.INT64, shape[:3]
            )
        ],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=9
    )
    info = dict(
        task='semantic', classes=['red', 'green', 'blue'], palette=[],
        color='rgb', size=None, resize='none', scale=None, batch=None,
    )  # fmt: skip
    helper.set_model_props(model, {'lvt_dense': json.dumps(info)})
    path.write_bytes(model.SerializeToString())
