"""Choose how to train on a folder of labeled images, and say why.

:mod:`.recipes` is the table of candidates, :mod:`.facts` what the data are,
:mod:`.machine` how fast this one is, :mod:`.choices` the rules, :mod:`.fit`
their effect on a config, :mod:`.text` what is printed and written.
"""
