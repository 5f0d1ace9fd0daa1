"""Where frames come from: a folder of images, one image, a video file, a camera, a recording.

`base` is the protocol of a source, `uri` opens the one that a name stands for, `pacing` and `selection` wrap one. Kafka
topics are sources too: `andon_monitor.kafka.source`, `andon_monitor.kafka.tap`.
"""
