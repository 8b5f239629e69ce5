// Following a run: where it is, how it ended, cancelling it.

import { Unreachable, get, post } from './api.js';
import { $, chip, counted, duration, el, moment, predictorName, show, term } from './dom.js';
import { showResult } from './result.js';

const PHASES = [
  ['query_analysis', 'Reading the question'],
  ['prompt_generation', 'Choosing prompt cells'],
  ['inference', 'Running inference'],
  ['evaluation', 'Scoring the prediction'],
  ['output_generation', 'Writing the outputs'],
];
const FINISHED = ['completed', 'failed', 'cancelled'];
const LOOK_MS = 1000;

let following = null;

export function stop() {
  following = null;
}

/** Shows a run and keeps looking until it is finished, also through a restart of the server. */
export async function follow(id) {
  const mine = { id };
  following = mine;
  const path = `/runs/${encodeURIComponent(id)}`;
  clear(id);
  while (following === mine) {
    try {
      const run = await get(path);
      if (following !== mine) return;
      showRun(run, path);
      if (run.status === 'completed') {
        const result = await get(`${path}/result`);
        if (following === mine) showResult(result, run);
      }
      if (FINISHED.includes(run.status)) return;
      show('run-trouble', '');
    } catch (error) {
      if (following !== mine) return;
      if (!(error instanceof Unreachable)) {
        showMissing(error);
        return;
      }
      show('run-trouble', `${error.message} Trying again…`);
    }
    await new Promise((done) => setTimeout(done, LOOK_MS));
  }
}

/** Nothing of the run shown before stays. */
function clear(id) {
  $('run-title').textContent = 'Run';
  $('run-id').textContent = id;
  for (const part of ['progress', 'failure', 'result', 'cancel', 'run-trouble', 'run-facts', 'run-notes']) $(part).hidden = true;
  $('run-status').textContent = '';
  $('run-status').className = 'badge';
}

function showMissing(error) {
  document.title = 'HAYSTACK';
  $('run-title').textContent = error.status === 404 ? 'No such run' : 'This run cannot be shown';
  $('failure').hidden = false;
  $('failure-text').textContent = error.message;
  $('again').href = '/';
  $('again').textContent = 'Ask a question';
}

function showRun(run, path) {
  const score = run.status === 'completed' && run.current_score !== null ? `${run.current_score}/10` : run.status;
  document.title = `${score} · ${run.query}`;
  $('run-title').textContent = run.query;
  $('run-id').textContent = run.run_id;
  $('run-status').textContent = run.status;
  $('run-status').className = `badge ${run.status}`;
  showFacts(run);

  const going = !FINISHED.includes(run.status);
  $('progress').hidden = !going;
  if (going) showProgress(run);
  $('cancel').hidden = !going;
  $('cancel').onclick = () => cancel(path);

  $('failure').hidden = run.status !== 'failed' && run.status !== 'cancelled';
  $('failure').className = `panel ${run.status}`;
  $('failure-text').textContent = run.status === 'failed'
    ? run.error_message || 'The reason was not stored.' : 'This run was cancelled before it was finished.';
  $('again').href = `/?question=${encodeURIComponent(run.query)}`;
  $('again').textContent = run.status === 'failed' ? 'Change the question' : 'Ask it again';
}

function showFacts(run) {
  const facts = [];
  if (run.understood) {
    const { cell_type: type, perturbation, tissue, disease, donor } = run.understood;
    facts.push(...[type, perturbation, tissue, disease].filter(Boolean).map(term));
    if (donor) facts.push(el('span', { class: 'term' }, `donor ${donor}`));
  }
  $('run-facts').replaceChildren(...facts);
  $('run-facts').hidden = facts.length === 0;
  // A result says it among its notices.
  const notes = run.status === 'completed' ? [] : run.understood?.notes ?? [];
  show('run-notes', notes.length ? `${notes.join('; ')}.` : '');
  const begin = Date.parse(run.started_at || run.created_at);
  const taken = run.finished_at ? duration(Date.parse(run.finished_at) - begin) : null;
  $('run-time').textContent = `${moment(run.created_at)}${taken ? `, took ${taken}` : ''} · ${predictorName(run.predictor)}`;
}

function showProgress(run) {
  const current = PHASES.findIndex(([phase]) => phase === run.current_phase);
  $('phases').replaceChildren(...PHASES.map(([, title], index) => {
    const step = el('li', { class: index < current ? 'done' : index === current ? 'now' : '' }, title);
    if (index === current) step.setAttribute('aria-current', 'step');
    return step;
  }));
  const parts = [current < 0 ? 'Waiting to start' : PHASES[current][1]];
  if (run.current_iteration > 0) parts.push(`iteration ${run.current_iteration} of at most ${run.max_iterations}`);
  const text = `${parts.join(', ')}.`;
  // Said aloud by screen readers, so only when it changes.
  if ($('progress-text').textContent !== text) $('progress-text').textContent = text;
  const n = run.grounding_scores.length;
  $('scores').replaceChildren(...(n ? [`Score after ${counted(n, 'iteration')} `, ...run.grounding_scores.map(chip)] : []));
  const fallback = run.control_strategy_effective && run.control_strategy_effective !== run.control_strategy;
  show('control-line', fallback
    ? 'No matching control cells were found, so the prediction is compared with the query cells themselves.' : '');
}

async function cancel(path) {
  $('cancel').disabled = true;
  try {
    await post(`${path}/cancel`, {});
  } catch (error) {
    show('run-trouble', error.message);
  } finally {
    $('cancel').disabled = false;
  }
}
