// SPDX-License-Identifier: Apache-2.0

package cli

import (
	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

// file renders an operation and how it ended:
// rename /etc/passwd.new → /etc/passwd.
func (e essence) file(dst []byte, f *skepv1.FileOperation) []byte {
	dst = append(dst, event.Printable(f.GetOperation())...)
	dst = append(dst, ' ')
	if f.GetPathTruncated() {
		dst = append(dst, e.glyph("…/", ".../")...)
	}
	dst = e.append(dst, bold, event.Printable(f.GetPath()))
	for _, other := range []string{f.GetNewPath(), f.GetTarget()} {
		if other != "" {
			dst = append(append(dst, e.to...), event.Printable(other)...)
		}
	}
	for _, detail := range []string{f.GetMode(), f.GetOwner(), f.GetFlags()} {
		if detail != "" {
			dst = append(dst, ' ')
			dst = e.append(dst, dim, event.Printable(detail))
		}
	}
	switch {
	case f.GetErrorName() != "":
		dst = e.append(append(dst, ' '), red, event.Printable(f.GetErrorName()))
	case f.GetResultUnknown():
		dst = e.append(append(dst, ' '), yellow, "[result unknown]")
	}
	return dst
}
