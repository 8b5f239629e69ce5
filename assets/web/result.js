// The result of a finished run: what it came to, on what it stands, and its files.

import { get } from './api.js';
import { $, chip, counted, duration, el, fixed, gradeOf, number, pValue, row, signed, whole } from './dom.js';

const FIRST_ROWS = 10;
/** Links to files work for an hour; a little less to be sure. */
const LINKS_LAST_MS = 55 * 60 * 1000;

export function showResult(result, run) {
  $('result').hidden = false;
  // The baseline beside itself says nothing.
  const ownBaseline = result.predictor.method === 'mean-shift';
  if (result.simulated) $('run-facts').prepend(el('span', { class: 'term simulated' }, 'SIMULATED'));
  $('result-notices').replaceChildren(...result.notices.map(({ title, text }) => el('p', {}, el('strong', {}, `${title}.`), ` ${text}`)));
  $('result-notices').hidden = result.notices.length === 0;
  showFigures(result, ownBaseline);
  showLinks(result);
  showComponents(result, ownBaseline);
  showMeasured(result.measured, ownBaseline, result.simulated);
  showGenes(result);
  showSets(result.enriched_pathways);
  showFactors(result.activated_tfs);
  showPrompts(result, ownBaseline);
  $('made').textContent = [
    `Seed ${Number.isSafeInteger(run.random_seed) ? run.random_seed : 'as in the log'}`,
    `at most ${counted(run.max_iterations, 'iteration')}`,
    `stop at score ${run.score_threshold}`,
    `measured cells of this combination ${run.measured === 'use' ? 'may be prompts' : 'kept out of the prompt'}`,
  ].join(' · ');
}

const WORDS = { good: 'stands well on what is known', fair: 'stands partly on what is known', poor: 'hardly stands on what is known' };

function showFigures(result, ownBaseline) {
  const score = result.grounding_score;
  const ten = (value) => (value === null ? ['–'] : [String(value), el('small', {}, ' / 10')]);
  const figure = (title, value, note, style = '') =>
    el('div', { class: `figure ${style}` }, el('dt', {}, title), el('dd', {}, ...value), el('dd', { class: 'note' }, note));
  const figures = [figure('Score', ten(score), score === null ? 'could not be measured' : WORDS[gradeOf(score)], `main ${gradeOf(score)}`)];
  if (!ownBaseline) {
    figures.push(figure('Baseline', ten(result.baseline.grounding_score), 'mean shift on the same cells'));
  }
  figures.push(figure('Changed genes', [whole(result.num_de_genes)], ownBaseline
    ? 'predicted up or down' : `predicted up or down; baseline ${whole(result.baseline.num_de_genes)}`));
  if (result.measured) {
    const { answer, baseline, n_measured_cells: cells } = result.measured;
    const what = `correlation with ${counted(cells, 'measured cell')}`;
    figures.push(figure('Agreement', [fixed(answer.pearson)], ownBaseline ? what : `${what}; baseline ${fixed(baseline.pearson)}`));
  }
  $('figures').replaceChildren(...figures);
  $('summary').textContent = result.summary;
}

function showLinks(result) {
  const made = Date.now();
  const links = [
    ['Open the report', 'report_html_url', 'primary'],
    ['Predicted cells (.h5ad)', 'anndata_url', ''],
    ['Report (.md)', 'report_url', ''],
    ['Log (.json)', 'log_url', ''],
  ];
  $('downloads').replaceChildren(...links.map(([text, name, style]) => {
    const link = el('a', { href: result[name], class: `button ${style}`, rel: 'noopener' }, text);
    if (name === 'report_html_url') link.target = '_blank';
    link.addEventListener('click', async (event) => {
      if (Date.now() - made < LINKS_LAST_MS) return;
      event.preventDefault();
      const fresh = await get(`/runs/${encodeURIComponent(result.run_id)}/result`);
      showLinks(fresh);
      location.assign(fresh[name]);
    });
    return link;
  }));
}

function showComponents(result, ownBaseline) {
  const baseline = Object.fromEntries(result.baseline.components.map((c) => [c.name, c]));
  const measured = result.components.filter((c) => c.value !== null);
  table('components', ['Component', 'Score', ownBaseline ? null : 'Baseline', 'Against chance'], measured.map((c) => [
    c.title,
    number(bar(c.value / 10, 'track'), el('strong', {}, fixed(c.value))),
    ownBaseline ? null : number(fixed(baseline[c.name]?.value)),
    againstChance(c),
  ]));
  $('components').hidden = measured.length === 0;
  const left = result.components.filter((c) => c.value === null);
  $('left-out').replaceChildren(...left.map((c) => el('p', {}, el('strong', {}, `${c.title} is left out.`), ` ${c.why}`)));
}

function againstChance({ percentile, draws }) {
  const share = percentile === 1 ? 'all' : percentile === 0 ? 'none' : `${(100 * percentile).toFixed(0)} %`;
  return `above ${share} of ${counted(draws, 'random draw')}`;
}

function showMeasured(measured, ownBaseline, simulated) {
  $('measured-block').hidden = !measured;
  if (!measured) return;
  const { answer, baseline, n_top: top } = measured;
  const cells = counted(measured.n_measured_cells, 'cell');
  $('measured-text').textContent = (simulated ? `The simulated atlas holds ${cells} in this state. `
    : `The atlas holds ${cells} that were really measured in this state. `)
    + `They were kept out of the prompt, and the prediction is compared with them over ${counted(measured.n_genes, 'gene')}.`;
  const rows = [
    ['Correlation of changes, all genes', fixed(answer.pearson), fixed(baseline.pearson)],
    [`Correlation, the ${top} largest measured changes`, fixed(answer.pearson_top), fixed(baseline.pearson_top)],
    [`Right direction, of those ${top}`, `${(100 * answer.direction_top).toFixed(0)} %`, `${(100 * baseline.direction_top).toFixed(0)} %`],
    [`Also among the ${top} largest predicted`, String(answer.overlap_top), String(baseline.overlap_top)],
  ];
  table('measured-table', ['', 'Answer', ownBaseline ? null : 'Baseline'],
    rows.map(([title, a, b]) => [title, number(a), ownBaseline ? null : number(b)]));
}

function showGenes(result) {
  const lists = [['up', result.top_upregulated], ['down', result.top_downregulated]];
  const size = (g) => Math.min(MOST_FOLDS, Math.abs(g.log2_fold_change));
  const largest = Math.max(1, ...lists.flatMap(([, genes]) => genes.map(size)));
  for (const [id, genes] of lists) {
    table(id, ['Gene', 'log2 fold change', 'Adjusted p'], genes.map((g) => [
      el('strong', { title: g.gene }, g.symbol),
      number(bar(size(g) / largest, id), folds(g.log2_fold_change)),
      number(pValue(g.adjusted_p_value)),
    ]), 'None.');
  }
}

/** Beyond ±10 a gene is hardly seen on one side, and the number tells more of the pseudo-count than of the gene. */
const MOST_FOLDS = 10;
const folds = (value) => (Math.abs(value) <= MOST_FOLDS ? signed(value) : value > 0 ? '> +10' : '< −10');

function showSets(sets) {
  table('pathways', ['Gene set', 'Genes', 'Overlap', 'Adjusted p'], sets.map((s) => [
    el('span', {}, s.name, el('small', { class: 'soft' }, ` ${s.collection}`)),
    el('span', { class: `arrow ${s.direction}` }, s.direction === 'up' ? '↑ rise' : '↓ fall'),
    number(s.overlap),
    number(pValue(s.adjusted_p_value)),
  ]), 'No gene set holds more of the changed genes than chance would put there.');
}

function showFactors(factors) {
  $('factors').replaceChildren(...factors.slice(0, FIRST_ROWS).map((f) =>
    el('li', { title: `adjusted p ${pValue(f.adjusted_p_value)}` }, el('strong', {}, f.factor), el('small', {}, ` ${f.overlap}`))));
  $('factors-block').hidden = factors.length === 0;
}

function showPrompts(result, ownBaseline) {
  $('prompts').replaceChildren(...result.iterations.map((i) => {
    const title = el('h3', {}, `Iteration ${i.number} `, chip(i.grounding_score));
    if (i.number === result.best_iteration && result.iterations.length > 1) title.append(el('span', { class: 'tag' }, 'delivered'));
    const facts = [
      ['Prompt', `${counted(i.n_prompt_cells, 'cell')}: ${i.prompt}`],
      ['Why', i.rationale],
      ['Compared with', i.control],
      ['Predicted for', counted(i.n_query_cells, 'query cell')],
      ['Took', duration(1000 * i.seconds)],
    ];
    if (!ownBaseline) facts.splice(4, 0, ['Baseline', i.baseline_score === null ? 'no score' : `score ${i.baseline_score}`]);
    return el('article', { class: 'card' }, title, el('dl', {}, ...facts.flatMap(([k, v]) => [el('dt', {}, k), el('dd', {}, v)])));
  }));
}

/** Fills a table; beyond the first rows it asks before it goes on. */
function table(id, titles, rows, none = '') {
  const kept = (cells) => cells.filter((cell) => cell !== null);
  const numeric = (i) => rows.length > 0 && kept(rows[0])[i]?.className === 'n';
  const head = el('thead', {}, el('tr', {}, ...kept(titles).map((title, i) => el('th', numeric(i) ? { class: 'n', scope: 'col' } : { scope: 'col' }, title))));
  const body = el('tbody', {}, ...rows.slice(0, FIRST_ROWS).map((cells) => row(kept(cells))));
  const caption = $(id).querySelector('caption');
  $(id).replaceChildren(...[caption, rows.length ? head : null, body].filter(Boolean));
  if (rows.length === 0 && none) body.append(row([el('td', { class: 'soft' }, none)]));
  if (rows.length <= FIRST_ROWS) return;
  const more = el('button', { type: 'button', class: 'link' }, `Show all ${rows.length}`);
  const place = el('td', { colspan: String(kept(titles).length) }, more);
  const last = el('tr', { class: 'more' }, place);
  more.addEventListener('click', () => {
    last.remove();
    body.append(...rows.slice(FIRST_ROWS).map((cells) => row(kept(cells))));
  });
  body.append(last);
}

function bar(share, style) {
  const fill = el('i', { class: style });
  fill.style.width = `${(100 * Math.min(1, share)).toFixed(1)}%`;
  return el('span', { class: 'bar', 'aria-hidden': 'true' }, fill);
}
