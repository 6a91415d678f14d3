"""Pure PyTorch versions of mmcv's compiled operators.

``import lvt_dense`` installs them: where ``mmcv._ext`` is missing or cannot
be loaded, a module of that name with the same functions takes its place, so
that mmdet and mmseg work without a compiler. A compiled mmcv is never
replaced. On a GPU, torchvision's kernels do the work of some of them where
torchvision loads; :func:`operator_forms` tells which. Importing this package
needs the standard library only.
"""

from lvt_dense.ops.stand_in import install, operator_forms, using_compiled

__all__ = ['install', 'operator_forms', 'using_compiled']
