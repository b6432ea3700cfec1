// SPDX-License-Identifier: Apache-2.0

/** A view of the page: everything that a link has to hold. */
export interface Route {
  page: string;
  id: string;
  query: URLSearchParams;
}

/** Reads #/page/id?query. What cannot be decoded is taken as it is. */
export function parse(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split(/\?(.*)/s);
  const [page = '', ...rest] = path.split('/');
  let id = rest.join('/');
  try {
    id = decodeURIComponent(id);
  } catch {
    // A hand-made link.
  }
  return { page, id, query: new URLSearchParams(query) };
}

type Query = Record<string, string | undefined>;

/** Writes the link to a view; empty values are left out. */
export function href(page: string, id = '', query: Query | URLSearchParams = {}): string {
  const pairs = query instanceof URLSearchParams ? [...query] : Object.entries(query);
  const q = new URLSearchParams(pairs.filter((p): p is [string, string] => !!p[1])).toString();
  return `#/${page}${id ? '/' + encodeURIComponent(id) : ''}${q ? '?' + q : ''}`;
}

class Router {
  now = $state.raw(parse(location.hash));

  constructor() {
    addEventListener('hashchange', () => (this.now = parse(location.hash)));
  }

  /** The link to this same view with some of its query changed. */
  with(change: Query): string {
    const query = new URLSearchParams(this.now.query);
    for (const [k, v] of Object.entries(change)) {
      if (v) query.set(k, v);
      else query.delete(k);
    }
    return href(this.now.page, this.now.id, query);
  }

  /** Changes the query without a step in the history, as for typing in a search box. */
  set(change: Query) {
    history.replaceState(null, '', this.with(change));
    this.now = parse(location.hash);
  }

  get(name: string): string {
    return this.now.query.get(name) ?? '';
  }
}

export const router = new Router();
