"""A run: frames from a source through a model into sinks, on threads, put together from the settings.

Also what belongs to it: a shadow, hot swap of the model, `check` and `tune`.
"""
