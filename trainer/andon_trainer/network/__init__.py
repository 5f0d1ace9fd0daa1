"""The networks, plain torch: registration, linear (PCA) branch, convolutional and dense autoencoders."""
