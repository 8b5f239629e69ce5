// The API for people: every operation and every type of /openapi.json, drawn once.

import { $, el, row, show } from './dom.js';

const METHODS = ['get', 'post'];

async function draw() {
  const response = await fetch('/openapi.json');
  if (!response.ok) throw new Error(`The description of the API cannot be read: the server answered ${response.status}.`);
  const { info, tags, paths, components } = await response.json();
  $('about').textContent = `${info.description} Version ${info.version}.`;
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    METHODS.filter((method) => methods[method]).map((method) => ({ path, method, ...methods[method] })));
  $('operations').replaceChildren(...tags.flatMap(({ name, description }) =>
    [el('h2', {}, capital(name)), prose(description), ...operations.filter((o) => o.tags[0] === name).map(operation)]));
  $('schemas').replaceChildren(el('h2', {}, 'Types'), ...Object.entries(components.schemas).map(([name, schema]) =>
    el('details', { id: `type-${name}` }, el('summary', {}, name), prose(schema.description), fields(schema))));
  openAsked();
}

function operation({ path, method, summary, description, parameters = [], requestBody, responses }) {
  const answers = Object.entries(responses).map(([status, { description: what, content = {} }]) =>
    row([el('strong', {}, status), what, list(Object.entries(content).map(([type, { schema }]) => [...kind(schema), ` (${type})`]))]));
  const body = Object.entries(requestBody?.content ?? {});
  return el('details', { id: `${method} ${path}` },
    el('summary', {}, el('strong', {}, method.toUpperCase()), ' ', el('code', {}, path), ` ${summary ?? ''}`),
    prose(description),
    parameters.length ? table(['Parameter', 'Takes', ''], parameters.map((p) =>
      row([el('code', {}, p.name), el('span', {}, ...kind(p.schema), p.required ? ', required' : ''), p.description ?? '']))) : null,
    ...body.map(([type, { schema }]) => el('p', {}, 'Body: ', ...kind(schema), ` (${type})`)),
    table(['Status', 'When', 'Answer'], answers));
}

/** The fields of an object type; of any other type, what it is. */
function fields(schema) {
  if (!schema.properties) return el('p', {}, ...kind(schema));
  const required = schema.required ?? [];
  return table(['Field', 'Type', ''], Object.entries(schema.properties).map(([name, field]) => {
    const inner = choices(field).find((choice) => choice.properties);
    const what = [field.description ?? '', inner ? fields(inner) : null].filter(Boolean);
    return row([el('code', {}, name), el('span', {}, ...kind(field), required.includes(name) ? ', required' : ''), el('div', {}, ...what)]);
  }));
}

/** A type in words, with a link where it has a name. */
function kind(schema) {
  if (!schema) return [''];
  if (schema.$ref) {
    const name = schema.$ref.split('/').pop();
    return [el('a', { href: `#type-${name}` }, name)];
  }
  const others = choices(schema);
  if (others[0] !== schema) return others.flatMap((choice, index) => (index ? [' or ', ...kind(choice)] : kind(choice)));
  const types = [schema.type].flat().filter(Boolean);
  if (types.includes('array')) return ['list of ', ...kind(schema.items)];
  const { minimum: least, maximum: most, minLength, maxLength } = schema;
  const limits = minLength ? ` of ${minLength} to ${maxLength} characters`
    : least !== undefined && most !== undefined ? ` from ${least} to ${most}` : least !== undefined ? `, ${least} or more` : '';
  return [(types.join(' or ') || 'anything') + limits];
}

/** What a type may be; null goes last. */
function choices(schema) {
  return schema.oneOf ? schema.oneOf.toSorted((a, b) => (a.type === 'null') - (b.type === 'null')) : [schema];
}

const prose = (text) => (text ? el('p', {}, text) : null);
const list = (items) => el('div', {}, ...items.map((item) => el('div', {}, ...item)));
const capital = (word) => word[0].toUpperCase() + word.slice(1);

function table(titles, rows) {
  const head = el('tr', {}, ...titles.map((title) => el('th', { scope: 'col' }, title)));
  return el('div', { class: 'wide' }, el('table', {}, el('thead', {}, head), el('tbody', {}, ...rows)));
}

/** A link to a type opens it. */
function openAsked() {
  const asked = location.hash.startsWith('#type-') && document.getElementById(location.hash.slice(1));
  if (!asked) return;
  asked.open = true;
  asked.scrollIntoView();
}

addEventListener('hashchange', openAsked);
draw().catch((error) => show('docs-error', error.message));
