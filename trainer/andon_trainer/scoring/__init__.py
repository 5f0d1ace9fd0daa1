"""From a network's outputs to one score: patch memories, texture features, scales of good parts, the detector."""
