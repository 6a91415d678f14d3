"""Packaging: configs and tools travel in the wheel as ``lvt_dense/.mim``."""

import os
import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
SHIPPED = ('configs', 'tools', 'model-index.yml')
STACKS = {
    # The maintained continuation of OpenMMLab ...
    'onedl': [
        'onedl-mmengine',
        'onedl-mmcv',
        'onedl-mmdetection',
        'onedl-mmsegmentation',
    ],
    # ... and the originals; the import names are the same.
    'openmmlab': [
        'mmengine>=0.10',
        'mmcv>=2.1',
        'mmdet>=3.3',
        'mmsegmentation>=1.2',
    ],
}


class BuildWithMim(build_py):
    """Adds ``.mim``: copies in a wheel, links in an editable install."""

    def run(self) -> None:
        super().run()
        base = ROOT if self.editable_mode else Path(self.build_lib)
        target = base / 'lvt_dense' / '.mim'
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in SHIPPED:
            source = ROOT / name
            if self.editable_mode:
                os.symlink(os.path.relpath(source, target), target / name)
            elif source.is_dir():
                ignore = shutil.ignore_patterns('__pycache__')
                shutil.copytree(source, target / name, ignore=ignore)
            else:
                shutil.copy(source, target / name)


version = re.search(
    r"__version__ = '(.+)'", (ROOT / 'lvt_dense/__init__.py').read_text()
)
readme = ROOT / 'README.md'
setup(
    name='lvt_dense',
    version=version.group(1),
    description='Light vision transformers for dense prediction in OpenMMLab',
    long_description=readme.read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    python_requires='>=3.10',
    packages=find_packages(include=['lvt_dense', 'lvt_dense.*']),
    # A user of either stack must not be made to install the other, so the
    # OpenMMLab packages are extras: lvt_dense[onedl] or [openmmlab].
    install_requires=['torch>=2.4', 'numpy', 'opencv-python', 'pycocotools'],
    extras_require=STACKS,
    cmdclass={'build_py': BuildWithMim},
    zip_safe=False,
)
