"""KITTI on disk: labels, calibrations, splits, frames and the data set."""
