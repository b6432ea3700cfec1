// SPDX-License-Identifier: Apache-2.0

// Package process tests the process sensor end to end: a real skepd watches programs
// that say themselves what they are (from their own /proc/self, wait4's rusage, stat),
// and its records must say the same, on every rung of the sensor's ladders.
//
// The programs are the test binary itself, started again with a verb in the
// environment, so that the tests also run where there is nothing but this binary.
package process
