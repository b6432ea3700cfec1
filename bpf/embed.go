// SPDX-License-Identifier: Apache-2.0

// Package bpf holds all kernel C of skep and embeds the objects compiled from it.
//
// The objects are compiled once, at development time, by bpf/gen and committed:
// a user needs no C compiler. CI proves that they match the sources.
package bpf

import "embed"

//go:embed obj/*.o
var objects embed.FS

// Object returns the compiled object of a capability, such as "process".
func Object(name string) []byte {
	object, err := objects.ReadFile("obj/" + name + ".o")
	if err != nil {
		panic("bpf: no object " + name) // a name is a constant of the calling package
	}
	return object
}
