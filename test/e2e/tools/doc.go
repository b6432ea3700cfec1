// SPDX-License-Identifier: Apache-2.0

// Package tools tests each named tool beside events whose number and values are known.
//
// A trial has a generator, which runs in a process of its own, begins once the tool is
// attached, and tells what it did; and a check, which compares that, or what /proc says,
// with what "skep tool NAME -o json" said. All tools share one agent.
package tools
