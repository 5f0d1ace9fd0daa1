"""`andon-monitor review`: the pages where people look at defects and label them.

`store` keeps frames, verdicts and labels; `destination` (from `run`) and `topic_reader` (from Kafka) fill it; `app`
serves pages, `news` and pictures; `access` and `users` say who may do what; `publishing` and `export` pass labels on.
"""
