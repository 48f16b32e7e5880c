"""Which comparison sees each trap first: read by the parity tests, and beside what the ROCs see of it."""

# Trap -> the network, and the comparison that sees it first.
SEEN_BY = {
    "kernels_not_flipped": ("resnet", "initial"),
    "stem_with_he": ("resnet", "initial"),
    "he_truncated": ("resnet", "initial"),
    "dense_with_gain_of_relu": ("resnet", "initial"),
    "bias_kept_before_a_norm": ("resnet", "initial"),
    "bias_dropped_before_the_sum": ("resnet", "initial"),
    "norm_before_the_first_unit": ("resnet", "initial"),
    "elu_before_the_norm": ("resnet", "first"),
    "shortcut_of_the_raw_input": ("resnet", "first"),
    "norm_before_the_pooling": ("resnet", "first"),
    "norm_epsilon_of_torch": ("resnet", "after1"),
    "norm_momentum_of_keras": ("resnet", "after1"),
    "norm_averages_the_variance": ("resnet", "after1"),
    "adam_of_torch": ("resnet", "after1"),
    "adam_faster_by_a_thousandth": ("resnet", "after1"),
    "rmsprop_of_torch": ("cnn", "after1"),
    "flattened_channels_last": ("cnn", "after1"),
    "pooling_of_torch": ("cnn", "after1"),
    "loss_clipped_as_torch_does": ("cnn", "saturated"),
    "augmentation_wraps_at_the_side": ("cnn", "augmented"),
}
