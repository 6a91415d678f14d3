"""What a report is computed from: matches, curves, errors, calibration.

Everything here works on :mod:`.records` of truths and predictions; nothing
knows of models.
"""
