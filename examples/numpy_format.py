"""A format and a runtime of one's own: the weights in a `.npz`, and NumPy that computes with them.

It carries models that are one product, `y = factor * x`, as the README's is.
"""

import sys

import numpy as np

import portproof


def write(source, root, folder):
    """Write the artifact into `root/folder`, and say where it has each signature, and its names."""
    if len(source.model.variables) != 1:
        raise portproof.ExportError("numpy carries models with one variable, which is a factor")
    [factor] = source.model.variables
    (root / folder).mkdir()
    np.save(root / folder / "factor.npy", factor.numpy())
    endpoints = {}
    for name, signature in source.signatures.items():
        inputs, outputs = ({n: n for n in names} for names in (signature.inputs, signature.outputs))
        path = f"{folder}/factor.npy"
        endpoints[name] = portproof.Endpoint(path=path, inputs=inputs, outputs=outputs)
    return portproof.Written(endpoints)


def load(request):
    """What the runtime does with an artifact: named arrays in, named arrays out."""
    factor = np.load(request.artifact)
    return lambda inputs: {"y": factor * inputs["x"]}


FORMAT = portproof.Format("numpy", write)
RUNTIME = portproof.Runtime(
    "numpy",
    formats=("numpy",),
    command=lambda: [sys.executable, __file__],  # the program below, in a process of its own
)

if __name__ == "__main__":
    portproof.serve({"numpy": np.__version__}, load)
