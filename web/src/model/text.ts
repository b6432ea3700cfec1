// SPDX-License-Identifier: Apache-2.0

import { count } from './format';

// What processes, files and peers say is hostile. Markup is harmless, because
// the page only ever makes text nodes of it; what is left are characters that
// a reader cannot see or that reorder what he sees.

// Controls (C0, DEL, C1), soft hyphen, Arabic letter mark, Mongolian vowel
// separator, zero-width and direction marks, line and paragraph separators,
// embeddings and overrides, invisible operators and isolates, variation
// selectors, byte order mark, interlinear marks, tags, lone surrogates, noncharacters.
const invisible =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202f\u205f-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]|\p{Surrogate}/u;

const short: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\x1b': '\\e', '\0': '\\0' };

/** How a character that must not act is written. */
export function escapeChar(c: string): string {
  const code = c.codePointAt(0)!;
  if (short[c]) return short[c];
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
}

/** Whether a character acts without being seen. */
export function hidden(c: string): boolean {
  return invisible.test(c);
}

export interface Piece {
  text: string;
  escaped: boolean;
}

/** Splits a string into what can be shown as it is and what is shown escaped. */
export function pieces(s: string): Piece[] {
  if (!invisible.test(s)) return [{ text: s, escaped: false }];
  const out: Piece[] = [];
  for (const c of s) {
    const escaped = invisible.test(c);
    const last = out.at(-1);
    const text = escaped ? escapeChar(c) : c;
    if (last && last.escaped === escaped) last.text += text;
    else out.push({ text, escaped });
  }
  return out;
}

/** The same in one string, for attributes and titles. */
export function plain(s: string): string {
  return pieces(s)
    .map((p) => p.text)
    .join('');
}

/** Joins arguments so that their borders can be seen. */
export function commandLine(args: string[]): string {
  return args.map((a) => (a === '' || /[\s'"\\$`;&|<>()*?#~]/.test(a) ? `'${a.replaceAll("'", "'\\''")}'` : a)).join(' ');
}

export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1) || path;
}

/** The first of a list, and how many more there are. */
export function someOf(list: string[], most: number): string {
  const rest = list.length - most;
  return list.slice(0, most).join(', ') + (rest > 0 ? ` and ${count(rest)} more` : '');
}

/** At most so many characters of a string: its beginning and more of its end, which tells paths apart. */
export function middle(s: string, most: number): string {
  if (s.length <= most) return s;
  const head = Math.floor(most * 0.3);
  // Not half of a character.
  return `${s.slice(0, head).replace(/[\ud800-\udbff]$/, '')}…${s.slice(s.length - (most - head - 1)).replace(/^[\udc00-\udfff]/, '')}`;
}
