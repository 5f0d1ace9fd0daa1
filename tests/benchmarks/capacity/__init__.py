"""From what a frame costs to cores, partitions, brokers and network: formulas, and simulations that check them."""
