"""Griffe extension: the docstrings' "Example:" with its `>>>` lines is shown as code."""

import re

import griffe


class Examples(griffe.Extension):
    """Google's style knows "Examples:"; with "Example:" the lines would be taken for quotations."""

    def on_instance(self, *, obj, **kwargs):
        """Rename the section of an object that was just read."""
        if obj.docstring:
            obj.docstring.value = re.sub(
                r"^( *)Example:$", r"\1Examples:", obj.docstring.value, flags=re.MULTILINE
            )
