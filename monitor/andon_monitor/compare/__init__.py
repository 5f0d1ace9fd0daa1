"""`andon-monitor compare`: a new model or threshold against a baseline, on a recording.

`sides` judge frames, `comparison` counts over all of them into `results`, `limits` decides; `facts` puts it into words
for `table` and `page`, `junit` writes it for CI; `job` puts all together.
"""
