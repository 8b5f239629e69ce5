// Making elements and words. Text goes in as text, never as markup.

export const $ = (id) => document.getElementById(id);

/** An element with attributes and children; children that are no elements become text. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Puts a text into an element, which is hidden where there is none. */
export function show(id, text) {
  $(id).textContent = text || '';
  $(id).hidden = !text;
}

/** A table row. A number stands in a cell of its own kind, aligned to the right. */
export function row(cells) {
  return el('tr', {}, ...cells.map((cell) => (cell instanceof Node && cell.tagName === 'TD' ? cell : el('td', {}, cell))));
}

export const number = (...content) => el('td', { class: 'n' }, ...content);

export const fixed = (value, digits = 2) =>
  value === null || value === undefined ? '–' : value.toFixed(digits).replace('-', '−');

export const signed = (value) => (value > 0 ? '+' : '') + fixed(value);

export const whole = (value) => String(value).replace(/\B(?=(\d{3})+$)/g, '\u202f');

export const counted = (n, noun) => `${whole(n)} ${noun}${n === 1 ? '' : 's'}`;

export function pValue(p) {
  if (p < 1e-300) return '< 1e−300';
  if (p >= 0.001) return p.toFixed(p < 0.0995 ? 3 : 2);
  return p.toExponential(1).replace('-', '−');
}

export const moment = (iso) => new Date(iso).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });

export function duration(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

const grade = (score) => (score >= 7 ? 'good' : score >= 5 ? 'fair' : 'poor');

/** A score as a small coloured label; the number says it without the colour. */
export function chip(score) {
  if (score === null || score === undefined) return el('span', { class: 'chip' }, 'no score');
  return el('span', { class: `chip ${grade(score)}`, title: 'of 10' }, String(score));
}

export const gradeOf = (score) => (score === null ? '' : grade(score));

/** What a term was taken for: its name and, softly, its id. */
export function term(named) {
  return el('span', { class: 'term' }, named.name, named.id ? el('small', {}, ` ${named.id}`) : null);
}

export const predictorName = (p) => (p.method === 'stack' ? `STACK model ${p.model}` : 'mean-shift baseline');
