"""Servers to compare with, on our settings: `python -m benchmarks.peers bare|fhirstarter|prebuilt PORT FOLDER`.

`bare` is an ASGI application that does nothing: it has the answers of our server and sends them again, byte for byte.
`fhirstarter` is written as its example is: a handler that validates the stored JSON into a model and returns it.
`prebuilt` is the same with the models made at the start, so that only their writing is measured.
"""

# No "from __future__ import annotations" here: fhirstarter reads the annotations of its handlers.
import json
import os
import pickle
import sys
from pathlib import Path
from typing import Any

Answers = dict[str, tuple[list[tuple[bytes, bytes]], bytes]]


def bare(folder: Path) -> Any:
    """The answers of our server by path and query."""
    answers: Answers = pickle.loads((folder / "answers.pickle").read_bytes())  # noqa: S301 -- our own file, just written

    async def app(scope: Any, receive: Any, send: Any) -> None:
        path, query = scope["path"], scope["query_string"]
        headers, body = answers[f"{path}?{query.decode()}" if query else path]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def bare_create(folder: Path) -> Any:
    """Reads a body and sends one answer of our server, whatever was sent."""
    body = (folder / "created.json").read_bytes()
    headers = [(b"content-type", b"application/fhir+json"), (b"content-length", str(len(body)).encode())]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def fhirstarter_create(folder: Path) -> Any:
    """fhirstarter's create: what comes is validated into a model, kept as JSON text in memory and sent back."""
    os.environ["FHIR_SEQUENCE"] = "R4B"  # the nearest it has to R4
    from fhir.resources.R4B.encounter import Encounter
    from fhirstarter import FHIRProvider, FHIRStarter, InteractionContext

    database: dict[str, str] = {}
    provider = FHIRProvider()

    @provider.create(Encounter)
    async def encounter_create(context: InteractionContext, resource: Encounter) -> Encounter:
        resource.id = str(len(database))
        database[resource.id] = resource.json()
        return resource

    app = FHIRStarter()
    app.add_providers(provider)
    return app


def prebuilt(folder: Path) -> Any:
    """fhirstarter with all models made before the first request."""
    return fhirstarter(folder, keep_models=True)


def fhirstarter(folder: Path, *, keep_models: bool = False) -> Any:
    """Encounters of our server, kept as JSON text as fhirstarter's example keeps its patients."""
    os.environ["FHIR_SEQUENCE"] = "R4B"  # the nearest it has to R4
    from fhir.resources.R4B.bundle import Bundle
    from fhir.resources.R4B.encounter import Encounter
    from fhirstarter import FHIRProvider, FHIRStarter, InteractionContext
    from fhirstarter.exceptions import FHIRResourceNotFoundError

    database: dict[str, str] = json.loads((folder / "encounters.json").read_text())
    pages: dict[str, list[str]] = json.loads((folder / "pages.json").read_text())
    models = {key: Encounter.model_validate_json(text) for key, text in database.items()} if keep_models else {}
    provider = FHIRProvider()

    def model(key: str) -> Encounter:
        return models.get(key) or Encounter.model_validate_json(database[key])

    @provider.read(Encounter)
    async def encounter_read(context: InteractionContext, id_: str) -> Encounter:
        if id_ not in database:
            raise FHIRResourceNotFoundError
        return model(id_)

    @provider.search_type(Encounter)
    async def encounter_search(context: InteractionContext, date: list[str] | None) -> Bundle:
        found = [model(key) for key in pages[(date or [""])[0]]]
        return Bundle(
            type="searchset",
            total=len(found),
            entry=[
                {"fullUrl": f"http://localhost/Encounter/{each.id}", "resource": each, "search": {"mode": "match"}}
                for each in found
            ],
        )

    app = FHIRStarter()
    app.add_providers(provider)
    return app


def main() -> None:
    """Serve on loopback with the settings of fhir_facade/serving.py."""
    import uvicorn

    which, port, folder = sys.argv[1:]
    makers = {
        "bare": bare, "fhirstarter": fhirstarter, "prebuilt": prebuilt,
        "bare-create": bare_create, "fhirstarter-create": fhirstarter_create,
    }  # fmt: skip
    app = makers[which](Path(folder))
    uvicorn.run(
        app, host="127.0.0.1", port=int(port), log_level="warning", access_log=False, server_header=False, ws="none"
    )


if __name__ == "__main__":
    main()
