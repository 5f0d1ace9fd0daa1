"""A monitor with all its outputs on, for an hour, on a stream in which every tenth frame is hostile: `make soak`."""
