"""What a new model, or another threshold, would have said about a recording: `andon-monitor compare`.

`sides` says who judges, `comparison` counts over all frames, `rates` puts intervals around shares, `limits` decides;
`table`, `junit` and `page` show it.
"""
