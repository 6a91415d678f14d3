"""What pyproject.toml cannot say: two things that travel in the wheel.

``lvt_dense/.mim`` holds configs and tools, where mim and MMEngine look for
them. ``lvt_dense.pth`` imports the package when Python starts, which makes
``lvt_dense::name.py`` a config for the scripts of others, unless
``LVT_DENSE_NO_STARTUP=1`` is set.
"""

import os
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
# Silent where the package is gone while this line is still there.
START = (
    'import os; exec("try:\\n import lvt_dense\\nexcept ImportError: pass") '
    'if os.environ.get("LVT_DENSE_NO_STARTUP", "0") in ("", "0") else None\n'
)
SHIPPED = ('configs', 'tools', 'model-index.yml')


class BuildWithMim(build_py):
    """Add ``.mim`` (copies; links in an editable install) and the .pth."""

    def run(self) -> None:
        """Build, then add."""
        super().run()
        base = ROOT if self.editable_mode else Path(self.build_lib)
        self._add_mim(base / 'lvt_dense' / '.mim')
        site = Path(self.build_lib)
        if self.editable_mode:
            install = self.get_finalized_command('install')
            site = Path(install.install_purelib)
        site.mkdir(parents=True, exist_ok=True)
        (site / 'lvt_dense.pth').write_text(START)

    def _add_mim(self, target: Path) -> None:
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in SHIPPED:
            source = ROOT / name
            if self.editable_mode:
                os.symlink(os.path.relpath(source, target), target / name)
            elif source.is_dir():
                ignore = shutil.ignore_patterns('__pycache__', 'dev')
                shutil.copytree(source, target / name, ignore=ignore)
            else:
                shutil.copy(source, target / name)


setup(cmdclass={'build_py': BuildWithMim})
