"""Export of trained models, and prediction without PyTorch.

``predictor.py`` is a file of its own: it imports neither PyTorch nor a
package of OpenMMLab, so that it can be copied beside an exported model.
"""
