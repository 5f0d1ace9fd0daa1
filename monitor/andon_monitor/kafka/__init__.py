"""Apache Kafka: frames in, verdicts and dead letters out (contracts 3 and 4).

`address` and `connection` say whom to talk to, `messages` what is said, `ledger` which frames are whose, `source`,
`delivery` and `sinks` move them, `topics` makes topics, `checking` tries it all, `publishing` puts cameras' frames in.
"""
