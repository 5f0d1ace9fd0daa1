"""The sample part: a machined plate as a factory camera would see it, for the demo and the tests.

`geometry` and `part` draw a good part, `shapes` and `defects` spoil it, `camera` and `photo` take its picture and
`render` writes the files. Nothing in the product depends on it.
"""
