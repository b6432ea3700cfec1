// SPDX-License-Identifier: Apache-2.0

import type { Duration, Timestamp } from '@bufbuild/protobuf/wkt';
import type { Endpoint } from '../api/skep/v1/record_pb';

const grouped = new Intl.NumberFormat('en');

export function count(n: number | bigint): string {
  return grouped.format(n);
}

/** A rate with three significant digits: 0.4, 12.5, 840, 12.3k. */
export function rate(n: number): string {
  if (n >= 1e6) return `${digits(n / 1e6)}M`;
  if (n >= 1e4) return `${digits(n / 1e3)}k`;
  return n >= 1e3 ? grouped.format(Math.round(n)) : digits(n);
}

function digits(n: number): string {
  if (n === 0) return '0';
  if (n >= 100) return n.toFixed(0);
  return n >= 10 ? n.toFixed(1).replace(/\.0$/, '') : n.toFixed(n >= 1 ? 1 : 2).replace(/\.?0+$/, '') || '0';
}

export function bytes(b: number | bigint): string {
  let n = Number(b);
  if (n < 1024) return `${n} B`;
  let unit = '';
  for (const u of ['KiB', 'MiB', 'GiB', 'TiB', 'PiB']) {
    n /= 1024;
    unit = u;
    if (n < 1024) break;
  }
  return `${digits(n)} ${unit}`;
}

/** A length of time given in nanoseconds, in its largest fitting unit. */
export function nanos(ns: number | bigint): string {
  const n = Number(ns);
  if (n < 1e3) return `${digits(n)} ns`;
  if (n < 1e6) return `${digits(n / 1e3)} µs`;
  if (n < 1e9) return `${digits(n / 1e6)} ms`;
  return n < 60e9 ? `${digits(n / 1e9)} s` : age(n / 1e6);
}

/** A length of time given in milliseconds, in two units at most: 3d 4h, 12m 5s. */
export function age(ms: number): string {
  let s = Math.max(0, Math.floor(ms / 1000));
  const parts: string[] = [];
  for (const [unit, size] of [['d', 86400], ['h', 3600], ['m', 60], ['s', 1]] as const) {
    if (s >= size || parts.length > 0 || unit === 's') parts.push(`${Math.floor(s / size)}${unit}`);
    s %= size;
    if (parts.length === 2) break;
  }
  return parts.join(' ');
}

/** How long ago a moment was, given both in milliseconds; '-' for 0, a moment that is not known. */
export function since(now: number, then: number): string {
  return then ? age(now - then) : '-';
}

export function percent(share: number): string {
  const p = share * 100;
  if (p > 0 && p < 0.01) return '<0.01 %';
  return `${p.toFixed(p < 10 ? 2 : 1)} %`;
}

export function millis(t: Timestamp | undefined): number {
  return t ? Number(t.seconds) * 1000 + t.nanos / 1e6 : 0;
}

export function seconds(d: Duration | undefined): number {
  return d ? Number(d.seconds) + d.nanos / 1e9 : 0;
}

const two = (n: number) => String(n).padStart(2, '0');

/** Local time of day with milliseconds. */
export function clock(t: Timestamp | undefined): string {
  if (!t) return '';
  const d = new Date(millis(t));
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}.${String(d.getMilliseconds()).padStart(3, '0')}`;
}

/** Local date and time, with seconds. */
export function moment(t: Timestamp | undefined): string {
  if (!t) return '';
  const d = new Date(millis(t));
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${clock(t).slice(0, 8)}`;
}

export function endpoint(e: Endpoint | undefined): string {
  if (!e) return '';
  const host = e.address.includes(':') ? `[${e.address}]` : e.address;
  return e.port ? `${host}:${e.port}` : host;
}
