"""KITTI evaluation: matching, average precision, result files, metric."""
