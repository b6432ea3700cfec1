// SPDX-License-Identifier: Apache-2.0

/// <reference types="vitest/config" />
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

// Where `go run ./test/e2e/web/demo` (or skep serve) listens, for `npm run dev`.
const server = 'http://127.0.0.1:7537';

export default defineConfig({
  // Relative, so that the page works under any path.
  base: './',
  plugins: [
    svelte({
      // A hash of the style, not of the file's path: the build must be the
      // same byte for byte in every checkout.
      compilerOptions: { cssHash: ({ hash, css }) => `s-${hash(css)}` },
    }),
  ],
  build: {
    target: 'es2023',
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
    // Inlined scripts and data URLs have no place under our policy.
    assetsInlineLimit: 0,
    modulePreload: false,
  },
  // Tests look into the style as it is written.
  test: { css: true },
  server: {
    host: '127.0.0.1',
    proxy: { '/skep.v1.AgentService': { target: server, changeOrigin: true, headers: { origin: server } } },
  },
});
