"""What a port from Lasagne or Keras to PyTorch gets wrong: each trap, set into the modern twin by hand.

Source of the list: the known differences between the frameworks, which docs/differences.md explains.
"""

from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from lens_common.learning import augmentation, initial
from lens_modern import cnn, faithful, resnet


def kernels_not_flipped():
    def draw(weights, seed, plain=resnet.draw_resnet_weights):
        drawn = plain(weights, seed)
        return {name: values[:, :, ::-1, ::-1] if values.ndim == 4 else values for name, values in drawn.items()}

    resnet.draw_resnet_weights = draw


def norm_epsilon_of_torch():
    faithful.BatchNormLayer.__init__.__defaults__ = (0.1, 1e-5)


def norm_momentum_of_keras():
    faithful.BatchNormLayer.__init__.__defaults__ = (0.01, 1e-4)


def norm_averages_the_variance():
    def forward(self, input):
        if not self.training:
            return plain(self, input)
        output, mean, inv_std = torch.native_batch_norm(input, self.gamma, self.beta, None, None, True, 0, self.epsilon)
        with torch.no_grad():
            self.mean.lerp_(mean, self.alpha)
            variance = self.inv_std**-2
            self.inv_std.copy_(variance.lerp_(inv_std**-2, self.alpha).rsqrt())
        return output

    plain, faithful.BatchNormLayer.forward = faithful.BatchNormLayer.forward, forward


def bias_kept_before_a_norm():
    def convolution(*arguments, bias=True, **kwargs):
        return nn.Conv2d(*arguments, bias=True, **kwargs)

    resnet.nn = SimpleNamespace(**{**vars(nn), "Conv2d": convolution})


def bias_dropped_before_the_sum():
    def convolution(*arguments, bias=True, **kwargs):
        return nn.Conv2d(*arguments, bias=False, **kwargs)

    resnet.nn = SimpleNamespace(**{**vars(nn), "Conv2d": convolution})


def elu_before_the_norm():
    def forward(self, net):
        entry = resnet.elu(self.norm0(net)) if self.norm0 is not None else net
        path = self.norm1(resnet.elu(self.conv1(entry)))
        path = self.conv3(self.norm2(resnet.elu(self.conv2(path))))
        return path + (self.shortcut(entry) if self.shortcut is not None else net)

    resnet.ResidualUnit.forward = forward


def shortcut_of_the_raw_input():
    def forward(self, net):
        entry = resnet.elu(self.norm0(net)) if self.norm0 is not None else net
        path = resnet.elu(self.norm1(self.conv1(entry)))
        path = self.conv3(resnet.elu(self.norm2(self.conv2(path))))
        return path + (self.shortcut(net) if self.shortcut is not None else net)

    resnet.ResidualUnit.forward = forward


def norm_before_the_first_unit():
    plain = resnet.ResidualUnit
    resnet.ResidualUnit = lambda *arguments, activated=False, **kwargs: plain(*arguments, **kwargs)


def norm_before_the_pooling():
    def build(shape, plain=resnet.build_graph):
        graph = plain(shape)
        graph.pool = nn.Sequential(nn.BatchNorm2d(512, affine=False, track_running_stats=False), graph.pool)
        return graph

    resnet.build_graph = build


def stem_with_he():
    plain = initial.glorot_uniform
    initial.glorot_uniform = lambda random_state, shape, gain=1.0: (
        initial.he_normal(random_state, shape) if len(shape) == 4 else plain(random_state, shape)
    )


def he_truncated():
    plain = initial.he_normal
    initial.he_normal = lambda random_state, shape: np.clip(
        plain(random_state, shape), *(np.sqrt(2 / np.prod(shape[1:])) * np.array([-2, 2]))
    )


def dense_with_gain_of_relu():
    plain = initial.glorot_uniform
    initial.glorot_uniform = lambda random_state, shape, gain=1.0: plain(random_state, shape, np.sqrt(2))


def adam_of_torch():
    class Adam(faithful.Adam):
        def step(self, learning_rate, beta1=0.9, beta2=0.999, epsilon=1e-8):
            # Inside of the bias correction, epsilon counts sqrt(1 - beta2^t) times as much.
            super().step(learning_rate, beta1, beta2, epsilon * (1 - beta2 ** (float(self.t) + 1)) ** 0.5)

    resnet.Adam = Adam


def adam_faster_by_a_thousandth():
    class Adam(faithful.Adam):
        def step(self, learning_rate, *arguments):
            super().step(1.001 * learning_rate, *arguments)

    resnet.Adam = Adam


def rmsprop_of_torch():
    class RMSprop(faithful.RMSprop):
        def step(self, learning_rate, rho=0.99, epsilon=1e-8):
            super().step(learning_rate, rho, epsilon)

    cnn.RMSprop = RMSprop


def flattened_channels_last():
    def logits(self, stamps, mask=1.0):
        features = self._pool(torch.relu(self.conv(stamps)))
        return self.dense((features * mask).permute(0, 2, 3, 1).flatten(1))

    cnn.CNN._logits = logits


def pooling_of_torch():
    cnn.max_pool = torch.nn.functional.max_pool2d


def loss_clipped_as_torch_does():
    cnn.clipped_binary_cross_entropy = lambda one_hot, probabilities: torch.nn.functional.binary_cross_entropy(
        probabilities, one_hot, reduction="none"
    ).mean(dim=1)


def augmentation_wraps_at_the_side():
    plain = augmentation.ndimage.affine_transform
    augmentation.ndimage = SimpleNamespace(
        affine_transform=lambda *arguments, **kwargs: plain(*arguments, **{**kwargs, "mode": "grid-wrap"})
    )


TRAPS = {
    name: trap for name, trap in globals().items() if callable(trap) and getattr(trap, "__module__", "") == __name__
}
