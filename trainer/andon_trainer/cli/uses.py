"""The command lines of the autoencoder's other uses, one module each; `images` is what they read, write and print."""

import typer

from andon_trainer.cli.classify import classify
from andon_trainer.cli.compress import compress, decompress
from andon_trainer.cli.denoise import denoise
from andon_trainer.cli.reduce import reduce

app = typer.Typer()
for command in (reduce, denoise, compress, decompress, classify):
    app.command()(command)
