"""Where verdicts go: JSON lines, a folder of dead letters, a history, a summary, the log. Kafka: `andon_monitor.kafka`.

`base` says what a sink is, `uri` opens the one that a name stands for.
"""
