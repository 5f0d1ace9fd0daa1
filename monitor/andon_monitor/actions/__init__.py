"""What machines and services do with verdicts: rules, and targets that act now or remember.

`engine` decides, `worker` serves one target that acts now, `outbox` keeps what targets that remember have not yet had,
`links` speak the protocols, `bridge` does it all from a topic.
"""
