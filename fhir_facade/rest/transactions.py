"""Bundles of requests: batch, each entry for itself, and transaction, all or nothing.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

from collections.abc import Sequence

from fhir_facade.bundles.answers import Result, at_entry, refused
from fhir_facade.bundles.entries import Entry
from fhir_facade.bundles.order import order_of
from fhir_facade.contracts import Separately
from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.answer import Answer
from fhir_facade.rest.bundle_run import Reading, Run
from fhir_facade.rest.change_queue import MOST_TOGETHER
from fhir_facade.rest.changes import Undone, asked, no_more, refusal
from fhir_facade.rest.services import Request, Services


def process(services: Services, request: Request, read: Reading) -> Answer:
    """Carry out a Bundle of requests; `read` answers those that only read."""
    wanted, pairs = asked(request)
    no_more(pairs, "Bundle")
    writing = services.writing
    if writing is None:
        raise ValueError("a server for reading only has no route to here")
    try:
        run = Run(services, request, writing, wanted, read)
        return _transacted(run) if run.plan.type == "transaction" else _batched(run)
    except Refused as fault:
        return refusal(request, wanted.tongue, fault)


def _transacted(run: Run) -> Answer:
    """All of it in one transaction of the store, or nothing."""
    if run.plan.faults:
        raise Refused(*run.plan.faults)
    answer = None
    try:
        with run.writing.store.transaction() as writer:
            if run.name is not None and (known := run.name.answered(writer)) is not None:
                return known
            run.begin(writer)
            run.all_changes()
            answer = run.answer(run.results())
            run.end(writer, answer)
    except Undone:
        pass
    if answer is None:
        raise ValueError("a transaction that is carried out has an answer")
    return answer


def _batched(run: Run) -> Answer:
    """Each entry in a transaction of its own; the answer is kept when all are done."""
    if run.name is not None:
        with run.writing.store.transaction() as writer:
            if (known := run.name.answered(writer)) is not None:
                return known
    results = {entry.number: refused(entry) for entry in run.plan.entries if entry.is_faulty}
    sound = [run.plan.entries[number - run.plan.first] for number in order_of(run.plan)]
    changing = [entry for entry in sound if entry.changes]
    for start in range(0, len(changing), MOST_TOGETHER):
        results |= _committed_together(run, changing[start : start + MOST_TOGETHER])
    for entry in sound:
        if not entry.changes:
            try:
                results[entry.number] = run.read_entry(entry, run.services)
            except Refused as fault:
                results[entry.number] = _refused_alone(entry, fault)
    answer = run.answer(results)
    if run.name is not None and not run.wanted.dry_run:
        with run.writing.store.transaction() as writer:
            run.name.keep(writer, answer)
    return answer


def _committed_together(run: Run, entries: Sequence[Entry]) -> dict[int, Result]:
    """What came of some entries of a batch; each is undone by itself, and the disk is written to once.

    What fails them all is told by each of them: others of the batch may have been stored before.
    """
    try:
        try:
            with run.writing.store.together():
                return {entry.number: _alone(run, entry) for entry in entries}
        except Separately:
            return {entry.number: _alone(run, entry) for entry in entries}
    except Refused as fault:
        return {entry.number: _refused_alone(entry, fault) for entry in entries}
    except Exception as error:
        run.services.failed("/", run.request.request_id, error)
        told = Refused(Issue("internal-error", "", {"request_id": run.request.request_id}))
        return {entry.number: _refused_alone(entry, told) for entry in entries}


def _alone(run: Run, entry: Entry) -> Result:
    result = None
    try:
        with run.writing.store.transaction() as writer:
            run.begin(writer)
            run.alone(entry)
            result = run.result(entry)
            if run.wanted.dry_run:
                raise Undone
            run.changing.told()
    except Undone:
        pass
    except Refused as fault:
        return _refused_alone(entry, fault)
    if result is None:
        raise ValueError("an entry that is carried out has a result")
    return result


def _refused_alone(entry: Entry, fault: Refused) -> Result:
    return Result(fault.status, issues=at_entry(entry.number, fault.issues))
