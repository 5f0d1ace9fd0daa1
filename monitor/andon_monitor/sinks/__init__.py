"""Where inspections go: JSON lines, a folder of dead letters, a history, a summary, the log.

`base` is the protocol of a sink, `uri` opens the one that a name stands for. Kafka topics: `andon_monitor.kafka.sinks`.
"""
