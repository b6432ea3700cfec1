// SPDX-License-Identifier: Apache-2.0

// Package house holds the tests of the repository itself: licence headers, file
// sizes, doc comments, what a file or a commit may not say, and the commands that
// the documentation shows, which are run. See README.md.
package house
