"""One server for the clients of others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fhir_facade.mapping.mapping_set import MappingSet
from tests.served import Served, serving


@pytest.fixture(scope="session")
def served(mapping_set: MappingSet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server over synthetic records; a proxy of the environment is not asked for what is on this machine."""
    with pytest.MonkeyPatch.context() as patch, serving(tmp_path_factory.mktemp("served"), mapping_set) as each:
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setenv("no_proxy", "127.0.0.1")
        yield each
