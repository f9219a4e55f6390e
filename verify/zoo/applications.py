"""Keras Applications: the smallest of each family, with random weights and small images."""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
from keras import applications

CLASSES = 10


def _application(build: Callable[..., Any], size: int, **options: Any) -> keras.Model:
    model: keras.Model = build(
        input_shape=(size, size, 3), weights=None, classes=CLASSES, **options
    )
    return model


MODELS: dict[str, Callable[[], keras.Model]] = {
    name: partial(_application, build, size, **options)
    for name, build, size, options in (
        ("mobilenet_v2_small", applications.MobileNetV2, 32, {"alpha": 0.35}),
        ("mobilenet_v2", applications.MobileNetV2, 32, {}),
        ("mobilenet_v3_small", applications.MobileNetV3Small, 32, {}),
        ("efficientnet_b0", applications.EfficientNetB0, 32, {}),
        ("efficientnet_v2_b0", applications.EfficientNetV2B0, 32, {}),
        ("resnet_50_v2", applications.ResNet50V2, 32, {}),
        ("densenet_121", applications.DenseNet121, 32, {}),
        ("nasnet_mobile", applications.NASNetMobile, 32, {}),
        ("xception", applications.Xception, 71, {}),
        ("convnext_tiny", applications.ConvNeXtTiny, 32, {}),
        ("inception_v3", applications.InceptionV3, 75, {}),
    )
}
