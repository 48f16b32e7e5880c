"""What Lasagne and Keras do and PyTorch does not."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d


class BatchNormLayer(nn.Module):
    """Batch normalisation over all axes but the second, with Lasagne 0.2's statistics."""

    mean: Tensor
    inv_std: Tensor

    def __init__(self, channels: int, alpha: float = 0.1, epsilon: float = 1e-4) -> None:
        super().__init__()
        self.alpha, self.epsilon = alpha, epsilon
        self.beta = nn.Parameter(torch.zeros(channels))
        self.gamma = nn.Parameter(torch.ones(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("inv_std", torch.ones(channels))

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (N, channels, H, W)."""
        if self.training:
            output, mean, inv_std = torch.native_batch_norm(
                input, self.gamma, self.beta, None, None, True, 0.0, self.epsilon
            )
            with torch.no_grad():
                self.mean.lerp_(mean.to(self.mean.dtype), self.alpha)
                self.inv_std.lerp_(inv_std.to(self.inv_std.dtype), self.alpha)
            return output
        pattern = (1, -1, 1, 1)
        mean, inv_std, gamma, beta = (v.view(pattern) for v in (self.mean, self.inv_std, self.gamma, self.beta))
        return (input - mean) * (gamma * inv_std) + beta


class _MaxPool(torch.autograd.Function):
    """Maximum over windows, and Theano's gradient of it."""

    @staticmethod
    def forward(context: Any, maps: Tensor, size: int) -> Tensor:
        n_stamps, channels, height, width = (length // step for length, step in zip(maps.shape, (1, 1, size, size)))
        whole = maps[:, :, : height * size, : width * size]
        windows = whole.reshape(n_stamps, channels, height, size, width, size)
        maxima = windows.amax(dim=(3, 5), keepdim=True)
        context.save_for_backward(windows == maxima)
        context.shape, context.whole = maps.shape, whole.shape
        return maxima[:, :, :, 0, :, 0]

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (tied,) = context.saved_tensors
        full = gradients[0].new_zeros(context.shape)
        full[:, :, : context.whole[2], : context.whole[3]] = (tied * gradients[0][:, :, :, None, :, None]).reshape(
            context.whole
        )
        return full, None


def max_pool(maps: Tensor, size: int) -> Tensor:
    """Maximum over windows of `size` x `size`."""
    return _MaxPool.apply(maps, size) if torch.is_grad_enabled() else max_pool2d(maps, size)


class Adam:
    """Adam as Lasagne writes it."""

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self.parameters = dict(parameters)
        self.m = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
        self.v = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
        self.t = torch.zeros(())

    @torch.no_grad()
    def step(self, learning_rate: float, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> None:
        """Move every parameter against its gradient."""
        parameters = list(self.parameters.values())
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        m, v = list(self.m.values()), list(self.v.values())
        self.t += 1
        rate = learning_rate * (1 - beta2 ** float(self.t)) ** 0.5 / (1 - beta1 ** float(self.t))
        torch._foreach_lerp_(m, gradients, 1 - beta1)
        torch._foreach_mul_(v, beta2)
        torch._foreach_addcmul_(v, gradients, gradients, 1 - beta2)
        denominators = torch._foreach_sqrt(v)
        torch._foreach_add_(denominators, epsilon)
        torch._foreach_addcdiv_(parameters, m, denominators, -rate)

    def state(self) -> dict[str, Tensor]:
        """All that is carried from step to step, by canonical name."""
        moments = {f"adam.{key}.{name}": getattr(self, key)[name] for name in self.m for key in ("m", "v")}
        return {**moments, "adam.t": self.t}


class RMSprop:
    """RMSprop as Keras writes it."""

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self.parameters = dict(parameters)
        self.v = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
        self.t = torch.zeros((), dtype=torch.int64)

    @torch.no_grad()
    def step(self, learning_rate: float, rho: float = 0.9, epsilon: float = 1e-7) -> None:
        """Move every parameter against its gradient."""
        self.t += 1
        for name, parameter in self.parameters.items():
            average = self.v[name]
            assert parameter.grad is not None
            average.mul_(rho).addcmul_(parameter.grad, parameter.grad, value=1 - rho)
            parameter.addcdiv_(parameter.grad, average.sqrt().add_(epsilon), value=-learning_rate)

    def state(self) -> dict[str, Tensor]:
        """All that is carried from step to step, by canonical name."""
        return {**{f"rmsprop.v.{name}": average for name, average in self.v.items()}, "rmsprop.t": self.t}
