// SPDX-License-Identifier: Apache-2.0

// Package syntax reads scripts of the tracing language: text to tree and back.
//
// Problem: what a user writes comes from anywhere, is often wrong, and is read inside an
// agent that runs as root.
//
// Mechanism: [Parse] is a recursive-descent parser with one token of lookahead over a
// scanner that the parser asks for what it needs: the language has no lexical grammar of
// its own for attach points (uprobe:/bin/sh:main), C definitions and predicates, whose
// slashes are divisions elsewhere. An error is noted with what was found and what was
// expected, and parsing goes on behind the statement or the probe. [Print] writes a tree
// in one canonical form.
//
// Invariants: Parse(Print(tree)) is the tree, positions apart. Text, depth and number of
// errors are bounded, and time is linear in the text. Nothing is looked up on the host.
package syntax
