"""Which model inspects a frame, by its camera and product: rules, and the models that are open.

One model for all frames is one recipe that takes every frame.
"""
