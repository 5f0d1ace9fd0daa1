"""The sample part: images of a machined plate as a factory camera would take them, for the demo and the tests.

`geometry` and `part` draw a good part, `shapes` and `defects` damage it, `camera` and `photo` take its image, and
`render` writes the files. No other room needs this one, apart from the command `sample`.
"""
