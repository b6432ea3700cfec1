// SPDX-License-Identifier: Apache-2.0

import { type Past, past } from '../agent/past.svelte';
import { type FilterField, filterOf } from '../model/filter';
import { type Period, periodOf } from '../model/period';
import { router } from './route.svelte';

/** What a page shows of the past, as its link says it. */
export interface View {
  readonly fields: FilterField[];
  readonly period: Period;
  /** Why the filters are none. */
  readonly problem: string;
  readonly shown: Past;
}

/** The view of a component, for as long as it lives. Of one kind, or of those that the link names. */
export function view(fields: () => FilterField[], kind = ''): View {
  const has = (name: string) => fields().some((f) => f.name === name);
  const value = (name: string) => (name === 'kinds' ? kind || router.get(name) : has(name) ? router.get(name) : '');
  const period = $derived(periodOf((name) => router.get(name)));
  const asked = $derived(filterOf(value));
  const shown = past(() => (asked.problem ? undefined : { period, filter: asked.filter }));
  return {
    get fields() {
      return fields();
    },
    get period() {
      return period;
    },
    get problem() {
      return asked.problem;
    },
    shown,
  };
}
