"""What ``import mxnet`` finds in a process that inherited ``sys.path`` or ``PYTHONPATH`` from one with the stand-in."""

import os

from facekit.compat.mxnet import install
from facekit.compat.mxnet.numpy_names import ASKED, restore_numpy_names

install()
if ASKED in os.environ:
    restore_numpy_names()
