"""From one frame to its verdict, as pure functions of a model, rules and frames."""
