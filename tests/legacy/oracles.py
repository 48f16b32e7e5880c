"""The two networks once more, in plain NumPy, written from the published tables: slow, and nobody's code."""

import numpy as np

STAGES = ((16, 32, 1), (32, 64, 2), (64, 128, 2), (128, 256, 2), (256, 512, 2))


def correlate(maps, kernels, stride=1, pad=0):
    """Cross-correlation, (N, C, H, W) with (O, C, h, w), by a loop over kernel pixels."""
    maps = np.pad(maps, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    height = (maps.shape[2] - kernels.shape[2]) // stride + 1
    width = (maps.shape[3] - kernels.shape[3]) // stride + 1
    total = 0
    for row in range(kernels.shape[2]):
        for column in range(kernels.shape[3]):
            part = maps[:, :, row : row + stride * height : stride, column : column + stride * width : stride]
            total = total + np.einsum("nchw,oc->nohw", part, kernels[:, :, row, column], optimize=True)
    return total


def elu(values):
    return np.where(values > 0, values, np.exp(np.minimum(values, 0)) - 1)


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


class ResNetOracle:
    """CMU DeepLens in float64; `statistics` collects each batch norm's own mean and 1 / sigma."""

    def __init__(self, weights):
        self.weights = {name: values.astype(np.float64) for name, values in weights.items()}
        self.statistics = {}

    def norm(self, maps, name):
        mean = maps.mean(axis=(0, 2, 3))
        inv_std = 1 / np.sqrt(maps.var(axis=(0, 2, 3)) + 1e-4)
        self.statistics[f"{name}.mean"], self.statistics[f"{name}.inv_std"] = mean, inv_std
        scaled = (maps - mean[:, None, None]) * inv_std[:, None, None]
        gamma, beta = self.weights[f"{name}.gamma"], self.weights[f"{name}.beta"]
        return scaled * gamma[:, None, None] + beta[:, None, None]

    def conv(self, maps, name, stride=1):
        kernels = self.weights[f"{name}.weight"]
        maps = correlate(maps, kernels, stride, kernels.shape[2] // 2)
        bias = self.weights.get(f"{name}.bias")
        return maps if bias is None else maps + bias[:, None, None]

    def logits(self, stamps):
        net = elu(self.norm(self.conv(stamps.astype(np.float64), "stem.conv"), "stem.norm"))
        for stage, (_, outer, stride) in enumerate(STAGES, start=1):
            for unit in (1, 2, 3):
                name = f"stage{stage}.unit{unit}"
                step = stride if unit == 1 else 1
                entry = net if (stage, unit) == (1, 1) else elu(self.norm(net, f"{name}.norm0"))
                path = elu(self.norm(self.conv(entry, f"{name}.conv1", step), f"{name}.norm1"))
                path = elu(self.norm(self.conv(path, f"{name}.conv2"), f"{name}.norm2"))
                path = self.conv(path, f"{name}.conv3")
                same = step == 1 and net.shape[1] == outer
                net = path + (net if same else self.conv(entry, f"{name}.shortcut", step))
        pooled = net.mean(axis=(2, 3))  # 3x3 maps: one average
        return (pooled @ self.weights["dense.weight"].T + self.weights["dense.bias"])[:, 0]


def cnn_features(weights, stamps):
    """Convolution, ReLU and 4x4 max-pooling: (N, 32, 10, 10) for 45x45 stamps."""
    maps = correlate(stamps.astype(np.float64), weights["conv.weight"]) + weights["conv.bias"][:, None, None]
    maps = np.maximum(maps, 0)[:, :, :40, :40]
    return maps.reshape(len(maps), 32, 10, 4, 10, 4).max(axis=(3, 5))


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
