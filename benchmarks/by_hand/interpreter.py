"""A TFLite file in LiteRT's interpreter, compared with references: BUNDLE."""

import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from safetensors.numpy import load_file


def main(bundle: Path) -> None:
    for file in sorted(bundle.glob("tflite*/*.tflite")):
        if "1_row" in file.name:
            continue
        interpreter = Interpreter(str(file))
        for name in interpreter.get_signature_list():
            run = interpreter.get_signature_runner(name)
            for case in sorted(bundle.glob(f"vectors/{name}.*.safetensors")):
                if ".typical." not in case.name and ".batch-" not in case.name:
                    continue
                arrays = load_file(case)
                inputs = {k[7:]: a for k, a in arrays.items() if k.startswith("inputs/")}
                for key, array in run(**inputs).items() if inputs else ():
                    expected = arrays[f"reference/{key}"]
                    np.isclose(array, expected, rtol=1e-4, atol=1e-5).all()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
