"""`andon-monitor compare`: a new model or threshold against a baseline, on a recording.

`sides` judge frames, `comparison` counts over all of them into `results`, `limits` decides; `table`, `junit` and `page`
show it; `job` puts all together.
"""
