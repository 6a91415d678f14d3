"""KITTI evaluation: matching, average precision, results files, metric."""
