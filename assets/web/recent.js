// The list of runs, newest first.

import { get } from './api.js';
import { $, chip, el, moment, show } from './dom.js';

const PAGE = 10;
const MOST = 100;
let shown = PAGE;

export function setUp() {
  $('recent-more').addEventListener('click', () => {
    shown = Math.min(shown + PAGE, MOST);
    load();
  });
}

export async function load() {
  try {
    const page = await get(`/runs/?page_size=${shown}`);
    $('recent').replaceChildren(...page.runs.map(item));
    $('recent-more').hidden = page.total <= shown || shown >= MOST;
    show('recent-empty', page.total === 0 ? 'None yet.' : '');
  } catch (error) {
    show('recent-empty', error.message);
  }
}

function item(run) {
  const state = run.status === 'completed' ? chip(run.current_score) : el('span', { class: `badge ${run.status}` }, run.status);
  const when = el('time', { datetime: run.created_at, class: 'soft' }, moment(run.created_at));
  const link = el('a', { href: `/runs/${run.run_id}`, 'data-within': '' }, run.query);
  return el('li', {}, link, el('span', { class: 'state' }, state), when);
}
