"""What mmcv reports of its compiled operators."""


def get_compiler_version() -> str:
    """Return the compiler's version: there is none."""
    return 'none (pure PyTorch operators of lvt_dense)'


def get_compiling_cuda_version() -> str:
    """Return the CUDA version of the operators: there is none."""
    return 'none (pure PyTorch operators of lvt_dense)'
