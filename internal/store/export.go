// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/protobuf/proto"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event/filters"
)

// exportRows is the size of an export's row groups: it bounds the memory that one takes.
const exportRows = 16 << 10

// Export writes the records that match as one Parquet file, which has the columns of
// every kind. progress is told how many records there are so far.
func (p *Past) Export(ctx context.Context, from, until time.Time, filter *filters.Filter, out io.Writer, progress func(records uint64)) ([]Missing, error) {
	w, err := newRowWriter(out, "all", bodyNames...)
	if err != nil {
		return nil, err
	}
	e := exporter{rowWriter: w, progress: progress}
	missing, err := p.Read(ctx, from, until, filter, e.add)
	if err != nil {
		return missing, err
	}
	return missing, e.close()
}

type exporter struct {
	*rowWriter
	progress func(uint64)
	records  uint64
	wires    []byte
}

func (e *exporter) add(r *skepv1.Record) error {
	start := len(e.wires)
	wires, err := proto.MarshalOptions{}.MarshalAppend(e.wires, r)
	if err != nil {
		return err
	}
	e.wires = wires
	if err := e.shredder.add(wires[start:]); err != nil {
		return err
	}
	e.records++
	if e.shredder.rows < batchRows {
		return nil
	}
	err = e.flush()
	e.wires = e.wires[:0]
	if e.records%exportRows == 0 {
		err = errors.Join(err, e.file.Flush())
	}
	e.progress(e.records)
	return err
}

func (e *exporter) close() error {
	err := e.rowWriter.close()
	e.progress(e.records)
	return err
}
