"""``python -m zmqfuzz``."""

from zmqfuzz.cli import main

if __name__ == "__main__":
    main()
