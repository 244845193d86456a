"""fhir_facade: Norwegian hospital records (EPJ) as HL7 FHIR R4."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fhir_facade.facade import Facade as Facade

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import Facade when it is asked for, so that importing the package costs nothing."""
    if name == "Facade":
        from fhir_facade.facade import Facade

        return Facade
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
