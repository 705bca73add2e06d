"""Lines that commands print."""

from alad_tf.engine.texts import as_is


def say(line, console):
    """Print a line as it is: paths and users' names are no markup, and steer no terminal."""
    console.print(as_is(line), markup=False, highlight=False, soft_wrap=True)
