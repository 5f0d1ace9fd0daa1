"""The command lines of the autoencoder's other uses, one module each; `images` is what they read, write and print."""

import typer

from trainer.uses.commands.classify import classify
from trainer.uses.commands.compress import compress, decompress
from trainer.uses.commands.denoise import denoise
from trainer.uses.commands.reduce import reduce

app = typer.Typer()
for command in (reduce, denoise, compress, decompress, classify):
    app.command()(command)
