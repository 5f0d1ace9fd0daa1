"""`andon-monitor review`: the page where people look at defects, and what they say of them.

`reading` fills the `store` from Kafka (beside it `run` does), `labels`, `gallery`, `live` and `figures` ask it,
`pictures` renders, `access` says who may do what, `pages` and `app` serve, `publishing` and `export` pass labels on.
"""
