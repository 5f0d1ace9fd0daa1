"""Apache Kafka: frames in, verdicts and dead letters out.

In: `source` in a consumer group (`membership`, `ledger`, `commits`, `lag`), `tap` without one. Out: `sinks` at least
once, `transactions` exactly once, `publishing` for cameras. `endpoints` opens what the settings name.
"""
