"""Where frames come from: a folder of images, one image, a video file, a camera, a recording, a topic of Kafka.

`base` says what a source is, `uri` opens the one that a name stands for; `pacing` and `selection` wrap one. Topics of
Kafka, which need settings and metrics, are opened in `andon_monitor.kafka`.
"""
