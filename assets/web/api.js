// Calls of the API. An error carries the server's own words.

const ROOT = '/api/v1';

/** The server could not be reached at all, as while it restarts. */
export class Unreachable extends Error {}

export async function get(path) {
  return call(path, {});
}

export async function post(path, body) {
  const headers = { 'content-type': 'application/json' };
  return call(path, { method: 'POST', headers, body: JSON.stringify(body) });
}

async function call(path, options) {
  let response;
  try {
    response = await fetch(ROOT + path, options);
  } catch {
    throw new Unreachable('The server does not answer.');
  }
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  const error = new Error(body.detail || `The server answered ${response.status}.`);
  error.status = response.status;
  throw error;
}
