// fhirclient of SMART at work under Node, as an application that needs no launch uses it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fhir from 'fhirclient';
import { base, ids, of, resources, subject } from './served.mjs';

const request = { headers: { host: 'localhost' }, protocol: 'http', url: '/', socket: {} };
const session = new Map();
const storage = {
  get: async (key) => session.get(key),
  set: async (key, value) => session.set(key, value).get(key),
  unset: async (key) => session.delete(key),
};
const client = fhir(request, {}, storage).client({ serverUrl: base, tokenResponse: { patient: subject.split('/')[1] } });
const sorted = (found) => found.map((each) => each.id).sort();
const all = { pageLimit: 0, flat: true };

test('it reads what the server is', async () => {
  assert.equal(await client.getFhirRelease(), 4);
  assert.equal(await client.getFhirVersion(), '4.0.1');
});

test('it reads every patient by id', async () => {
  for (const [id, { gender, birthDate }] of Object.entries(resources.Patient)) {
    const patient = await client.request(`Patient/${id}`);
    assert.deepEqual([patient.id, patient.gender, patient.birthDate], [id, gender, birthDate]);
  }
});

for (const type of Object.keys(resources)) {
  test(`it walks all pages of ${type} to the end`, async () => {
    assert.deepEqual(sorted(await client.request(`${type}?_count=7`, all)), ids(type));
    const pages = await client.request(`${type}?_count=7`, { pageLimit: 0 });
    assert.equal(pages.length, Math.ceil(ids(type).length / 7));
  });
}

test('it iterates over pages and over resources', async () => {
  const seen = [];
  for await (const each of client.resources('Condition?_count=20')) seen.push(each);
  assert.deepEqual(sorted(seen), ids('Condition'));
  let pages = 0;
  for await (const each of client.pages('Condition?_count=20')) pages += each.entry.length <= 20 ? 1 : NaN;
  assert.equal(pages, Math.ceil(ids('Condition').length / 20));
});

test('it searches by token, string, date, reference, chain and _has', async () => {
  const women = ids('Patient', (each) => each.gender === 'female');
  const inpatients = ids('Encounter', (each) => each.class.code === 'IMP');
  const { family } = Object.values(resources.Patient)[0].name[0];
  const searches = [
    ['Patient?gender=female', women],
    [`Patient?family:exact=${encodeURIComponent(family)}`, ids('Patient', (each) => each.name.some((name) => name.family === family))],
    ['Patient?birthdate=ge1950-01-01&birthdate=lt1990-01-01', ids('Patient', ({ birthDate }) => birthDate >= '1950' && birthDate < '1990')],
    ['Encounter?class=IMP', inpatients],
    [`Encounter?subject=${subject}`, of('Encounter', subject)],
    ['Encounter?subject.gender=female', ids('Encounter', (each) => women.includes(each.subject.reference.split('/')[1]))],
    ['Patient?_has:Encounter:subject:class=IMP', [...new Set(inpatients.map((each) => resources.Encounter[each].subject.reference.split('/')[1]))].sort()],
  ];
  for (const [url, expected] of searches) {
    assert.ok(expected.length, url);
    assert.deepEqual(sorted(await client.request(`${url}&_count=4`, all)), expected, url);
  }
});

test('it asks within the patient that it was given', async () => {
  assert.equal(`Patient/${(await client.patient.read()).id}`, subject);
  assert.deepEqual(sorted(await client.patient.request('Encounter', all)), of('Encounter', subject));
  assert.deepEqual(sorted(await client.patient.request('Condition?_count=2', all)), of('Condition', subject));
});

test('it posts a search with a person number, which no URL may hold', async () => {
  const [id, one] = Object.entries(resources.Patient)[0];
  const { system, value } = one.identifier.find((each) => each.value.length === 11);
  const body = new URLSearchParams({ identifier: `${system}|${value}` }).toString();
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  assert.deepEqual(sorted(await client.request({ url: 'Patient/_search', method: 'POST', body, headers }, all)), [id]);
  await assert.rejects(client.request(`Patient?${body}`), ({ status }) => status === 400);
});

test('it puts resources in the place of references', async () => {
  const stays = await client.request({ url: 'Encounter?class=IMP&_count=5' }, { ...all, resolveReferences: ['subject', 'serviceProvider'] });
  for (const stay of stays) {
    const expected = resources.Encounter[stay.id];
    assert.equal(`Patient/${stay.subject.id}`, expected.subject.reference);
    assert.equal(stay.subject.gender, resources.Patient[stay.subject.id].gender);
    assert.equal(`Organization/${stay.serviceProvider.id}`, expected.serviceProvider.reference);
  }
});

test('it reads all of a patient', async () => {
  const bundle = await client.request(`${subject}/$everything?_count=200`);
  const found = bundle.entry.map((each) => each.resource);
  assert.deepEqual(sorted(found.filter((each) => each.resourceType === 'Encounter')), of('Encounter', subject));
});

test('it throws errors that tell what was wrong', async () => {
  await assert.rejects(client.request('Patient/nobody'), ({ status }) => status === 404);
  await assert.rejects(client.request('Patient?gendr=male'), ({ status, message }) => status === 400 && message.includes('gender'));
  await assert.rejects(client.create({ resourceType: 'Patient' }), ({ status }) => status === 422);
});
