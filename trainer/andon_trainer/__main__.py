"""`python -m andon_trainer`: the same as `andon-trainer`."""

from andon_trainer.cli.main import main

if __name__ == "__main__":
    main()
