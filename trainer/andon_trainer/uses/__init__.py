"""What else an autoencoder is good for: reduce, denoise, compress, classify. `commands` are their command lines."""
