"""The predictor as one file, to be copied beside an exported model."""

import io
import shutil
import tempfile
import zipapp
from pathlib import Path

from lvt_dense import runtime
from lvt_dense.utils.files import write_atomically

NAME = 'predict.pyz'
PACKAGE = 'lvt_dense_runtime'
_MAIN = (
    f'import sys\n\nfrom {PACKAGE}.command import main\n\nsys.exit(main())\n'
)


def write_predictor(folder: Path) -> Path:
    """Write ``predict.pyz``.

    ``python predict.pyz MODEL SOURCE`` runs it; with the file in
    ``sys.path``, ``lvt_dense_runtime`` is a package to import.

    Args:
        folder: Where it is written.

    Returns:
        Its path.
    """
    source = Path(runtime.__file__).parent
    content = io.BytesIO()
    with tempfile.TemporaryDirectory() as temporary:
        target = Path(temporary, PACKAGE)
        ignored = shutil.ignore_patterns('__pycache__', 'page', 'serve.py')
        shutil.copytree(source, target, ignore=ignored)
        Path(temporary, '__main__.py').write_text(_MAIN)
        zipapp.create_archive(
            temporary, content, '/usr/bin/env python3', compressed=True
        )
    path = folder / NAME
    write_atomically(path, content.getvalue())
    return path
