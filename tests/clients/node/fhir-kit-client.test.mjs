// fhir-kit-client at work against a server: what it asks and how it reads answers is its own.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CapabilityTool, Client } from 'fhir-kit-client';
import { base, ids, of, resources, subject } from './served.mjs';

const client = new Client({ baseUrl: base });
const entries = (bundle) => (bundle.entry ?? []).map((each) => each.resource);
const found = (bundle) => entries(bundle).map((each) => each.id).sort();

async function walk(resourceType, searchParams) {
  const pages = [];
  let bundle = await client.search({ resourceType, searchParams });
  while (bundle) {
    pages.push(bundle);
    bundle = await client.nextPage({ bundle });
  }
  return pages;
}

test('it reads what the server can', async () => {
  const tool = new CapabilityTool(await client.capabilityStatement());
  assert.ok(tool.resourceCan('Patient', 'read'));
  assert.ok(tool.resourceCan('Patient', 'search-type'));
  assert.ok(tool.resourceSearch('Patient', 'birthdate'));
  assert.ok(tool.resourceCan('Patient', 'create'));
});

test('it reads every patient by id', async () => {
  for (const [id, expected] of Object.entries(resources.Patient)) {
    const patient = await client.read({ resourceType: 'Patient', id });
    assert.deepEqual([patient.id, patient.gender, patient.birthDate], [id, expected.gender, expected.birthDate]);
  }
});

for (const resourceType of Object.keys(resources)) {
  test(`it walks all pages of ${resourceType} to the end`, async () => {
    const pages = await walk(resourceType, { _count: 7 });
    assert.deepEqual(pages.flatMap(entries).map((each) => each.id).sort(), ids(resourceType));
    assert.equal(pages.length, Math.ceil(ids(resourceType).length / 7));
  });
}

test('it walks back again', async () => {
  const [first, second] = await walk('Patient', { _count: 10 });
  const back = await client.prevPage({ bundle: second });
  assert.deepEqual(found(back), found(first));
});

test('it searches by token, string, date, reference, chain and _has', async () => {
  const [id, one] = Object.entries(resources.Patient)[0];
  const family = one.name[0].family;
  const women = ids('Patient', (each) => each.gender === 'female');
  const inpatients = ids('Encounter', (each) => each.class.code === 'IMP');
  const searches = [
    ['Patient', { gender: 'female' }, women],
    ['Patient', { 'family:exact': family }, ids('Patient', (each) => each.name.some((name) => name.family === family))],
    ['Patient', { birthdate: ['ge1950-01-01', 'lt1990-01-01'] }, ids('Patient', ({ birthDate }) => birthDate >= '1950' && birthDate < '1990')],
    ['Patient', { _id: id }, [id]],
    ['Encounter', { class: 'http://terminology.hl7.org/CodeSystem/v3-ActCode|IMP' }, inpatients],
    ['Encounter', { subject }, of('Encounter', subject)],
    ['Encounter', { 'subject:Patient.gender': 'female' }, ids('Encounter', (each) => women.includes(each.subject.reference.split('/')[1]))],
    ['Patient', { '_has:Encounter:subject:class': 'IMP' }, [...new Set(inpatients.map((each) => resources.Encounter[each].subject.reference.split('/')[1]))].sort()],
  ];
  for (const [resourceType, searchParams, expected] of searches) {
    assert.ok(expected.length);
    for (const postSearch of [false, true]) {
      const bundle = await client.search({ resourceType, searchParams: { ...searchParams, _count: 200 }, options: { postSearch } });
      assert.deepEqual(found(bundle), expected, JSON.stringify(searchParams));
    }
  }
});

test('it posts a search with a person number, which no URL may hold', async () => {
  const [id, one] = Object.entries(resources.Patient)[0];
  const { system, value } = one.identifier.find((each) => each.value.length === 11);
  const search = { resourceType: 'Patient', searchParams: { identifier: `${system}|${value}` } };
  assert.deepEqual(found(await client.search({ ...search, options: { postSearch: true } })), [id]);
  await assert.rejects(client.search(search), ({ response }) => response.status === 400 && !JSON.stringify(response.data).includes(value));
});

test('it searches a compartment and several types at once', async () => {
  const [resourceType, id] = subject.split('/');
  const bundle = await client.search({ resourceType: 'Encounter', compartment: { resourceType, id } });
  assert.deepEqual(found(bundle), of('Encounter', subject));
  const both = await client.search({ searchParams: { _type: 'Encounter,Patient', _count: 200 } });
  assert.deepEqual(found(both), [...ids('Encounter'), ...ids('Patient')].sort());
});

test('it includes, and resolves references in the bundle and by a read', async () => {
  const bundle = await client.search({ resourceType: 'Encounter', searchParams: { class: 'IMP', _include: 'Encounter:subject', _count: 5 } });
  const included = bundle.entry.filter((each) => each.search.mode === 'include').map((each) => `Patient/${each.resource.id}`);
  const matches = bundle.entry.filter((each) => each.search.mode === 'match').map((each) => each.resource);
  assert.equal(matches.length, 5);
  for (const stay of matches) {
    const { reference } = stay.subject;
    assert.ok(included.includes(reference));
    assert.equal((await client.resolve({ reference, context: bundle })).id, reference.split('/')[1]);
    assert.equal((await client.resolve({ reference })).id, reference.split('/')[1]);
  }
});

test('it runs $everything and $validate', async () => {
  const [resourceType, id] = subject.split('/');
  const all = await client.operation({ name: 'everything', resourceType, id, method: 'GET', input: { _count: 200 } });
  assert.deepEqual(entries(all).filter((each) => each.resourceType === 'Encounter').map((each) => each.id).sort(), of('Encounter', subject));
  const input = await client.read({ resourceType, id });
  const outcome = await client.operation({ name: '$validate', resourceType, input });
  assert.equal(outcome.resourceType, 'OperationOutcome');
  assert.deepEqual(outcome.issue.filter((each) => each.severity === 'error'), []);
});

test('it throws errors that tell what was wrong', async () => {
  await assert.rejects(client.read({ resourceType: 'Patient', id: 'nobody' }), ({ response }) => {
    return response.status === 404 && response.data.issue[0].code === 'not-found';
  });
  await assert.rejects(client.search({ resourceType: 'Patient', searchParams: { gendr: 'male' } }), ({ response }) => {
    return response.status === 400 && response.data.resourceType === 'OperationOutcome' && response.data.issue[0].details.text.includes('gender');
  });
  await assert.rejects(client.create({ resourceType: 'Patient', body: { resourceType: 'Patient' } }), ({ response }) => response.status === 422);
  await assert.rejects(client.history({ resourceType: 'Patient', id: 'nobody' }), ({ response }) => response.status === 404);
});

test('it takes nothing when its copy is current', async () => {
  const patient = await client.read({ resourceType: 'Patient', id: ids('Patient')[0] });
  const { response } = Client.httpFor(patient);
  const headers = { 'If-None-Match': response.headers.get('etag') };
  await assert.rejects(client.read({ resourceType: 'Patient', id: patient.id, options: { headers } }), (fault) => fault.response.status === 304);
});
