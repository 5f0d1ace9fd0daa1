"""`python -m andon_monitor`: the same as `andon-monitor`."""

from andon_monitor.cli.main import main

if __name__ == "__main__":
    main()
