// SPDX-License-Identifier: Apache-2.0

// Package systemd tests the service as systemd runs it, in a guest of the kernel matrix that
// was booted with skep installed: what comes before what, the sandbox of the unit, reload,
// restart, and what is left after all. On a host whose process 1 is not such a systemd it has
// nothing to do: test/e2e/install tests there what needs none.
package systemd
