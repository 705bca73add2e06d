"""The `alad` command: parse, call, print."""

from alad_tf.cli.commands import app, main

__all__ = ["app", "main"]
