"""A folder with a page that runs an exported model in the browser."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lvt_dense import runtime
from lvt_dense.utils.errors import UserError

PAGE = Path(runtime.__file__).parent / 'page'
# What the page loads of npm's package onnxruntime-web.
ORT_FILES = (
    'ort.wasm.min.mjs',
    'ort-wasm-simd-threaded.mjs',
    'ort-wasm-simd-threaded.wasm',
    'ort.webgpu.min.mjs',
    'ort-wasm-simd-threaded.asyncify.mjs',
    'ort-wasm-simd-threaded.asyncify.wasm',
)


def find_ort_web(given: str | None = None) -> Path:
    """Find the files of npm's package onnxruntime-web.

    Args:
        given: Folder of the package, or of its files; by default that in
            ``node_modules`` here, or npm's global one.

    Raises:
        UserError: It is not there, or lacks a file.
    """
    for folder in [Path(given)] if given else _places():
        for inner in (folder / 'dist', folder):
            if all((inner / name).is_file() for name in ORT_FILES):
                return inner
    if given:
        raise UserError(
            f'--ort-web {given} lacks files of onnxruntime-web 1.20 or later, '
            f'such as {ORT_FILES[0]}: give the folder of the package'
        )
    raise UserError(
        '--format web needs the npm package onnxruntime-web: run `npm '
        'install onnxruntime-web` here, or give its folder as --ort-web DIR'
    )


def _places() -> Iterator[Path]:
    yield Path('node_modules', 'onnxruntime-web')
    npm = shutil.which('npm')
    if npm:
        found = subprocess.run(
            [npm, 'root', '-g'], capture_output=True, text=True
        )
        yield Path(found.stdout.strip() or '.', 'onnxruntime-web')


def write_web_page(
    content: bytes, info: Mapping[str, Any], out: Path, ort_web: Path
) -> None:
    """Write the page whole.

    Args:
        content: The ONNX model.
        info: Its metadata.
        out: Folder; an earlier page there is replaced.
        ort_web: Folder of onnxruntime-web's files.

    Raises:
        UserError: A file is in the way, or a folder that is no page.
    """
    if out.exists() and not (out / 'model.onnx').is_file():
        if not out.is_dir() or any(out.iterdir()):
            raise UserError(
                f'{out} is in the way and is not a page of this command: '
                'choose another --out'
            )
        out.rmdir()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        page = Path(folder, 'page')
        shutil.copytree(PAGE, page)
        (page / 'ort').mkdir()
        for name in ORT_FILES:
            shutil.copyfile(ort_web / name, page / 'ort' / name)
        (page / 'model.onnx').write_bytes(content)
        (page / 'model.json').write_text(json.dumps(dict(info)), 'utf-8')
        if out.exists():
            out.rename(Path(folder, 'old'))
        page.rename(out)
