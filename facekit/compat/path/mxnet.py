"""What ``import mxnet`` finds in a process that inherited ``sys.path`` or ``PYTHONPATH`` from one with the stand-in."""

from facekit.compat.mxnet import install

install()
