"""A verdict for each part, joined from the verdicts of its views.

`joiner` is pure: views in, part verdicts out. `sink` is the joiner in a run without Kafka; with Kafka `rekeying` brings
the views of a part together in one partition, `joining` joins them, and `service` runs both.
"""
