// SPDX-License-Identifier: Apache-2.0

// Times of views, in ms since 1970, as this browser's clock on the wall shows them.

const two = (n: number) => String(n).padStart(2, '0');
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

const day = (d: Date) => `${d.getDate()} ${months[d.getMonth()]}`;

function time(d: Date, step: number): string {
  const minutes = `${two(d.getHours())}:${two(d.getMinutes())}`;
  if (step >= 60e3) return minutes;
  const seconds = `${minutes}:${two(d.getSeconds())}`;
  return step >= 1000 ? seconds : `${seconds}.${String(d.getMilliseconds()).padStart(3, '0')}`;
}

/** A time on an axis: no finer than its steps are; of midnight, the day. */
export function axisTime(ms: number, step: number): string {
  const d = new Date(ms);
  const midnight = d.getHours() + d.getMinutes() + d.getSeconds() + d.getMilliseconds() === 0;
  return midnight || step >= 86400e3 ? day(d) : time(d, step);
}

/** Day and time of day, with milliseconds if there are any. */
export function dayTime(ms: number): string {
  const d = new Date(ms);
  return `${day(d)} ${time(d, Math.floor(ms) % 1000 ? 1 : 1000)}`;
}

/** Whether a window is not of today alone. */
export function manyDays(from: number, now: number): boolean {
  return new Date(from).toDateString() !== new Date(now).toDateString();
}

/** A step in words: 20 s, 5 min. */
export function stepWords(ms: number): string {
  for (const [unit, size] of [['d', 86400e3], ['h', 3600e3], ['min', 60e3], ['s', 1000]] as const) {
    if (ms >= size) return `${ms / size} ${unit}`;
  }
  return `${ms} ms`;
}

/** The value of a datetime-local input. */
export function inputValue(ms: number): string {
  const d = new Date(ms);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}T${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}
