// Where the server is, and what its store holds: handed over by the Python test in the environment.
import { readFileSync } from 'node:fs';

export const base = process.env.FHIR_BASE;
export const resources = JSON.parse(readFileSync(process.env.FHIR_RESOURCES, 'utf8'));

/** The ids of the resources of a type for which something holds, sorted. */
export function ids(type, holds = () => true) {
  return Object.values(resources[type]).filter(holds).map((each) => each.id).sort();
}

/** The ids of the resources of a type that refer to a subject, sorted. */
export function of(type, subject) {
  return ids(type, (each) => each.subject?.reference === subject);
}

/** The subject of some inpatient stay. */
export const subject = Object.values(resources.Encounter).find((each) => each.class.code === 'IMP').subject.reference;
