"""What a network learns by: protocol, scaling, batches, augmentation, training, presets, the classifier."""
