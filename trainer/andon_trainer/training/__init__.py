"""From images to trained networks: resolution, device, schedule, loss, optimiser, one network or several."""
