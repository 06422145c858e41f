"""What a notebook finds when it starts, and on which GPU.

The kernelspecs in ``kernels/imaging`` (and ``imaging-gpu``) start IPython with this package as an extension.
"""

from aurelius_kernels.extension import load_ipython_extension

__all__ = ["load_ipython_extension"]
