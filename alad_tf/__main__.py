"""`python -m alad_tf` is the command line `alad`, for where its script is not on the path."""

from alad_tf.cli import main

if __name__ == "__main__":
    main()
