// Asking: the form, what is held, and whether the question can be read.

import { get, post } from './api.js';
import { $, el, predictorName, show, term, whole } from './dom.js';

const FEWEST = 10;
const CHECK_AFTER_MS = 400;
const LISTED = 60;

export function setUp(go) {
  $('form').addEventListener('submit', (event) => submit(event, go));
  // A field that is wrong must be seen.
  $('form').addEventListener('invalid', () => { $('settings').open = true; }, true);
  $('question').addEventListener('input', changed);
  $('question').addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && !$('submit').disabled) $('form').requestSubmit();
  });
  $('control').addEventListener('change', changed);
  for (const button of $('examples').querySelectorAll('button')) {
    button.addEventListener('click', () => {
      $('question').value = button.textContent;
      changed();
      $('question').focus();
    });
  }
  $('held').addEventListener('toggle', () => listHeld().catch((error) => show('held-error', error.message)));
  describe().catch((error) => show('notice', error.message));
}

/** Shows the form, with a question in it where the address brings one. */
export function open(question) {
  if (question) $('question').value = question;
  changed();
}

/** The predictors and defaults of the form, and what must be said of what is held. */
async function describe() {
  const [{ predictors }, { datasets }, defaults] =
    await Promise.all([get('/metadata/predictors'), get('/metadata/datasets'), get('/metadata/defaults')]);
  $('predictor').replaceChildren(...predictors.map((p) => {
    const option = el('option', { value: JSON.stringify({ method: p.method, model: p.model ?? undefined }) }, predictorName(p));
    option.selected = p.default;
    return option;
  }));
  $('control').value = defaults.control_strategy;
  $('measured').value = defaults.measured;
  $('iterations').value = defaults.max_iterations;
  $('threshold').value = defaults.score_threshold;

  const simulated = datasets.filter((d) => d.simulated);
  const names = simulated.map((d) => d.name).join(', ');
  const notes = [];
  if (datasets.length === 0) {
    notes.push([el('strong', {}, 'No cells yet.'), ' Bring some in with ', el('code', {}, 'haystack import starter'),
      ' or ', el('code', {}, 'haystack import atlas'), '.']);
  } else if (simulated.length > 0) {
    const which = simulated.length === datasets.length ? 'The cells here' : 'Some of the cells here';
    notes.push([el('strong', {}, 'Simulated cells.'), ` ${which} (${names}) are simulated, not measured: they show how `,
      'HAYSTACK works, not how cells respond. Bring in real ones with ', el('code', {}, 'haystack import atlas'), '.']);
  }
  if (!predictors.some((p) => p.method === 'stack')) {
    notes.push([el('strong', {}, 'No STACK model.'), ' Answers come from the mean-shift baseline until one is imported with ',
      el('code', {}, 'haystack import model'), '.']);
  }
  $('notice').replaceChildren(...notes.map((note) => el('p', {}, ...note)));
  $('notice').hidden = notes.length === 0;
}

/** What can be asked about, read when first wanted. */
async function listHeld() {
  if (!$('held').open || $('held-perturbations').childElementCount > 0) return;
  const [{ cell_types: types }, { perturbations }] =
    await Promise.all([get('/metadata/cell-types'), get('/metadata/perturbations')]);
  for (const [id, held] of [['held-cell-types', types], ['held-perturbations', perturbations]]) {
    const items = held.slice(0, LISTED).map((h) => el('li', { title: h.id ?? 'not resolved to a term' }, h.name,
      el('small', {}, ` ${whole(h.total_cells)}`)));
    if (held.length > LISTED) items.push(el('li', {}, `and ${whole(held.length - LISTED)} more`));
    $(id).replaceChildren(...items);
  }
}

let waiting = 0;

function changed() {
  const question = $('question').value.trim();
  const enough = [...question].length >= FEWEST;
  $('submit').disabled = !enough;
  show('form-error', '');
  clearTimeout(waiting);
  if (enough) {
    waiting = setTimeout(() => check(question), CHECK_AFTER_MS);
  } else {
    $('reading').replaceChildren(el('p', { class: 'soft' }, 'Name a cell type, and a cytokine, a drug or a gene change.'));
  }
}

/** Says what the question is taken for and whether controls are held. */
async function check(question) {
  let lines;
  try {
    const answer = await post('/runs/validate-control-strategy', { query: question, control_strategy: $('control').value });
    const { cell_type: type, perturbation, tissue, disease, donor, notes } = answer.understood;
    const names = [type, perturbation, tissue, disease].filter(Boolean).map(term);
    if (donor) names.push(el('span', { class: 'term' }, `donor ${donor}`));
    lines = [
      el('p', { class: 'understood' }, el('span', { class: 'soft' }, 'Read as '), ...names),
      notes.length ? el('p', { class: 'soft' }, `${notes.join('; ')}.`) : '',
      el('p', { class: answer.warning ? 'warn' : 'soft' }, [answer.recommendation, answer.warning].filter(Boolean).join(' ')),
    ];
  } catch (error) {
    lines = [el('p', { class: 'warn' }, error.message)];
  }
  if (question === $('question').value.trim()) $('reading').replaceChildren(...lines);
}

async function submit(event, go) {
  event.preventDefault();
  const body = {
    query: $('question').value.trim(),
    control_strategy: $('control').value,
    measured: $('measured').value,
    max_iterations: Number($('iterations').value),
    score_threshold: Number($('threshold').value),
  };
  if ($('predictor').value) body.predictor = JSON.parse($('predictor').value);
  if ($('seed').value !== '') body.random_seed = Number($('seed').value);
  $('submit').disabled = true;
  $('submit').textContent = 'Asking…';
  try {
    const run = await post('/runs/', body);
    go(`/runs/${run.run_id}`);
  } catch (error) {
    show('form-error', error.message);
  } finally {
    $('submit').textContent = 'Ask';
    $('submit').disabled = false;
  }
}
