"""`python -m nfkit`, for where the program is not on the path."""

from nfkit.cli.start import main

if __name__ == "__main__":
    main()
