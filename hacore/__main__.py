"""``python -m hacore`` is ``hacore``."""

from hacore.cli import main

if __name__ == "__main__":
    main()
