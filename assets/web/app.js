// The page: asking at `/`, a run at `/runs/ID`. The address says what is shown.

import { $ } from './dom.js';
import * as ask from './ask.js';
import * as recent from './recent.js';
import * as run from './run.js';

function route() {
  const match = location.pathname.match(/^\/runs\/([\w-]+)$/);
  // What holds for all cells here is said where one asks; a run says what holds for it.
  document.body.classList.toggle('at-run', Boolean(match));
  $('ask').hidden = Boolean(match);
  $('run').hidden = !match;
  run.stop();
  if (match) {
    run.follow(match[1]);
  } else {
    document.title = 'HAYSTACK';
    ask.open(new URLSearchParams(location.search).get('question'));
    recent.load();
  }
}

function go(address) {
  history.pushState(null, '', address);
  route();
  scrollTo(0, 0);
  // Keyboard and screen reader go on where the new content begins.
  $($('run').hidden ? 'question' : 'run-title').focus();
}

// Links within the page do not load it again.
document.addEventListener('click', (event) => {
  const link = event.target.closest('a[data-within]');
  if (!link || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  go(link.getAttribute('href'));
});
addEventListener('popstate', route);
ask.setUp(go);
recent.setUp();
route();
