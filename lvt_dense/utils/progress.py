"""Progress bars, on terminals only: in a log file they are noise."""

import functools

from tqdm import tqdm as _tqdm

# tqdm's, which takes None for "hidden where the output is no terminal".
tqdm = functools.partial(_tqdm, disable=None)
