"""More cameras, more monitors, more hours: what grows with them and what does not, on a real Kafka."""
