"""Export of trained models; :mod:`lvt_dense.runtime` predicts with them."""
