"""Components with a fault put in, to show that a property can fail."""

import sys
from pathlib import Path
from types import ModuleType

__all__ = ["mutant"]


def mutant(cls, old, new):
    """Return the class ``cls`` as it would be with ``old`` replaced in its file, at one place."""
    module = sys.modules[cls.__module__]
    source = Path(module.__file__).read_text(encoding="utf-8")
    assert source.count(old) == 1, f"{old!r} occurs {source.count(old)} times"
    changed = ModuleType(f"{cls.__module__}_mutant")
    changed.__package__ = module.__package__
    exec(compile(source.replace(old, new), changed.__name__, "exec"), vars(changed))
    return getattr(changed, cls.__name__)
