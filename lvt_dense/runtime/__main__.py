"""Run the predictor: ``python predict.pyz MODEL SOURCE``."""

import sys

from .command import main

sys.exit(main())
