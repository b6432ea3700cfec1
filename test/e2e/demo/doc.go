// SPDX-License-Identifier: Apache-2.0

// Package demo plays skep demo against a real agent, and looks for what it leaves behind.
package demo
