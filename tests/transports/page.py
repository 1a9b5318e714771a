"""The transport that docs/transports.md writes, as it stands there."""

import importlib.util
import re
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "transports.md"
_BLOCK = re.compile(r"^`private\.py`:\n\n```python\n(.*?)```", re.MULTILINE | re.DOTALL)


def code() -> str:
    """The file that the page writes."""
    (text,) = _BLOCK.findall(PAGE.read_text("utf-8"))
    return str(text)


@cache
def private() -> Any:
    """The class in it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "private.py"
        path.write_text(code(), "utf-8")
        spec = importlib.util.spec_from_file_location("private_of_the_page", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    return module.PrivateTransport
