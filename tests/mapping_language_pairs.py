"""The Python pair that an example of docs/mapping-language.md names."""

from __future__ import annotations

from typing import Any


class Telephone:
    """A telephone number as a whole ContactPoint."""

    examples = (("22334455", {"system": "phone", "value": "+47 22334455"}),)

    def to_fhir(self, value: Any) -> Any | None:
        return {"system": "phone", "value": f"+47 {value}"} if str(value).isdigit() else None

    def to_record(self, value: Any) -> Any | None:
        if not isinstance(value, dict) or value.get("system") != "phone":
            return None
        return str(value["value"]).removeprefix("+47 ")


telephone = Telephone()
