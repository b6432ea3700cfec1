// SPDX-License-Identifier: Apache-2.0

const order = ['auto', 'light', 'dark'] as const;
export type Choice = (typeof order)[number];

const key = 'skep.theme';

function stored(): Choice {
  try {
    return order.find((c) => c === localStorage.getItem(key)) ?? 'auto';
  } catch {
    return 'auto'; // Storage may be forbidden.
  }
}

class Theme {
  choice = $state<Choice>(stored());

  apply() {
    document.documentElement.dataset.theme = this.choice;
  }

  next() {
    this.choice = order[(order.indexOf(this.choice) + 1) % order.length]!;
    this.apply();
    try {
      localStorage.setItem(key, this.choice);
    } catch {
      // Then the choice lasts as long as the page.
    }
  }
}

export const theme = new Theme();
