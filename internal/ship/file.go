// SPDX-License-Identifier: Apache-2.0

package ship

import (
	"context"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/durable"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/event/filters"
)

// FileOptions describe a file of JSON lines. When it has MaxBytes it becomes path.1, that
// path.2, and so on, of which Keep are kept.
type FileOptions struct {
	Path     string
	MaxBytes int64
	Keep     int
}

// NewFile makes a spec that appends to a file. It does no I/O.
func NewFile(o FileOptions, filter *filters.Filter) *Spec {
	return &Spec{Type: "file", Target: o.Path, Filter: filter, Linger: 100 * time.Millisecond,
		receiver: &file{durable.Append{Path: o.Path, MaxBytes: o.MaxBytes, Keep: o.Keep}}}
}

type file struct{ file durable.Append }

// send writes all records at once.
func (f *file) send(_ context.Context, records []*skepv1.Record, _ refuse) (int, error) {
	var text []byte
	for _, r := range records {
		text = append(event.AppendJSON(text, r), '\n')
	}
	if _, err := f.file.Write(text); err != nil {
		return 0, err
	}
	return len(records), nil
}

func (f *file) close() { _ = f.file.Close() } // what was written is the kernel's already
