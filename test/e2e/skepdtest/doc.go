// SPDX-License-Identifier: Apache-2.0

// Package skepdtest starts the real skepd as a child of a test and collects what it
// tells, for end-to-end tests.
//
// A test's TestMain hands over to [Main]. The programs are built once, or taken from
// SKEP_BIN_DIR where there is no Go toolchain (the guests of the kernel matrix). Each
// agent is private: it pins nothing, and its socket and data lie in a directory of its
// own, so that many tests may run beside each other and beside the host's own agent.
package skepdtest
