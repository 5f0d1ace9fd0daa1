"""`andon-monitor review`: the page where people look at defects, and what they say of them.

`filling` fills the `store` from Kafka or for `run`, `labels`, `gallery`, `live` and `figures` ask it,
`pictures` renders, `access` says who may do what, `app` serves, `publishing` and `export` pass labels on.
"""
