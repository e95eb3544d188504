"""For the reference: what `field(description=...)` says is the docstring of that field, as griffe reads the source."""

import ast
from typing import Any

import griffe


class Fields(griffe.Extension):
    """Gives fields of job classes their words."""

    def on_attribute_instance(self, *, node: Any, attr: griffe.Attribute, **kwargs: Any) -> None:
        """Take the description of a field that has no docstring, and show its default rather than the call."""
        del kwargs
        call = getattr(node, "value", None)
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in ("field", "Field")):
            return
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        words = given.get("description")
        if isinstance(words, ast.Constant) and attr.docstring is None:
            attr.docstring = griffe.Docstring(str(words.value), parent=attr)
        attr.value = ast.unparse(call.args[0]) if call.args else None
