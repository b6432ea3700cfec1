// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
	"golang.org/x/sys/unix"
)

const (
	// batchRows is how many rows are taken apart before they are given to the columns.
	batchRows = 256
	// pageBytes is the size of a column's pages: small, because a query that wants one row
	// must decode one page of each column.
	pageBytes = 64 << 10
	// bloomBits per distinct value: about one wrong guess in a hundred.
	bloomBits = 10
	// Keys of a segment's metadata. The body is that of its records, which may have no
	// columns (fork).
	kindKey = "skep.kind"
	bodyKey = "skep.body"
)

// Blooms are the fields, as paths, that get a bloom filter: what one looks for by its
// exact value, and what is in few segments.
var Blooms = []string{
	"process.process_id", "process.exec_id", "process.parent_exec_id", "process.comm", "process.exe",
	"process.container.id", "process.container.name", "process.container.pod",
	"exec.filename", "file.path", "file.new_path", "connection.community_id", "connection.local.address", "connection.remote.address",
	"dns.community_id", "dns.name", "dns.client.address", "dns.server.address",
}

// rows are records of one kind on their way from the log into a segment. There are many,
// so they are not moved again: the index is sorted.
type rows struct {
	chunks [][]stored
	index  []row
}

type row struct {
	time int64
	seq  uint64
	at   int // in chunks
}

const rowChunk = 4096

func (r *rows) add(h head, record stored) {
	if len(r.index)%rowChunk == 0 {
		r.chunks = append(r.chunks, make([]stored, 0, rowChunk))
	}
	last := len(r.chunks) - 1
	r.chunks[last] = append(r.chunks[last], record)
	r.index = append(r.index, row{h.time, h.seq, len(r.index)})
}

func (r *rows) sort() {
	slices.SortStableFunc(r.index, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.seq, b.seq))
	})
}

func (r *rows) record(i int) *stored {
	at := r.index[i].at
	return &r.chunks[at/rowChunk][at%rowChunk]
}

func (r *rows) span() span { return span{r.index[0].time, r.index[len(r.index)-1].time} }

// CloseLog makes the segments of a period from its log, which stays: removing it is up to
// the caller and makes the segments count. A file that is no log has none. It needs about three times the log's size in
// memory and is meant for a process of its own. It returns what of the log was damaged.
func CloseLog(ctx context.Context, dir string, id uint64) (d Damage, err error) {
	whole, unmap, err := mapFile(filepath.Join(dir, logName(id)))
	if err != nil {
		return d, err
	}
	defer unmap()
	frames, err := newFrames(whole)
	if errors.Is(err, errNoLog) {
		return Damage{Bytes: uint64(len(whole))}, removeSegments(dir, id)
	}
	if err != nil {
		return d, fmt.Errorf("close %s: %w", logName(id), err)
	}
	kinds := map[string]*rows{}
	d, _, err = scanFrames(frames, func(r stored) error {
		h, err := r.head()
		if err != nil {
			return ctx.Err()
		}
		of := kinds[string(h.kind)]
		if of == nil && !segmentKind(h.kind) {
			return ctx.Err()
		}
		if of == nil {
			of = &rows{}
			kinds[string(h.kind)] = of
		}
		of.add(h, r)
		return nil
	})
	if err != nil {
		return d, err
	}
	if err := removeSegments(dir, id); err != nil {
		return d, err
	}
	for kind, of := range kinds {
		of.sort()
		skipped, err := writeSegment(ctx, dir, kind, id, of)
		d.Records += skipped
		if err != nil {
			return d, fmt.Errorf("close %s: write %s records: %w", logName(id), kind, err)
		}
		delete(kinds, kind)
	}
	return d, syncDir(dir)
}

// mapFile maps a file that nobody writes any more into memory.
func mapFile(path string) (whole []byte, unmap func() error, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return nil, func() error { return nil }, err
	}
	whole, err = unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_POPULATE)
	if err != nil {
		return nil, nil, fmt.Errorf("map %s: %w", path, err)
	}
	return whole, func() error { return unix.Munmap(whole) }, nil
}

// segmentKind: a name that is fit for a file's.
func segmentKind(kind []byte) bool {
	return len(kind) > 0 && len(kind) <= 32 && len(bytes.Trim(kind, "abcdefghijklmnopqrstuvwxyz_")) == 0
}

// removeSegments removes what an attempt that did not come to its end has left.
func removeSegments(dir string, id uint64) error {
	names, err := filepath.Glob(filepath.Join(dir, fmt.Sprintf("*-%08d-*%s", id, segmentSuffix)))
	for _, name := range names {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// writeSegment writes the file under another name, which is changed once it is durable.
func writeSegment(ctx context.Context, dir, kind string, id uint64, of *rows) (skipped uint64, err error) {
	f, err := os.CreateTemp(dir, tempPrefix+kind)
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	skipped, err = writeRows(ctx, f, kind, of)
	if err == nil {
		err = addSums(f)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return skipped, err
	}
	name := segmentName(kind, id, of.span())
	return skipped, os.Rename(f.Name(), filepath.Join(dir, name))
}

func writeRows(ctx context.Context, out io.Writer, kind string, of *rows) (skipped uint64, err error) {
	first, err := of.record(0).head()
	if err != nil {
		return 0, err
	}
	w, err := newRowWriter(out, kind, first.body)
	if err != nil {
		return 0, err
	}
	w.shredder.remember() // the log is mapped
	for i := range of.index {
		r := of.record(i)
		if w.shredder.add(r.pieces[:r.n]...) != nil {
			skipped++
		}
		if w.shredder.rows == batchRows {
			if err := errors.Join(w.flush(), ctx.Err()); err != nil {
				return skipped, err
			}
		}
	}
	return skipped, w.close()
}

// rowWriter writes records into a Parquet file.
type rowWriter struct {
	shredder *shredder
	file     *parquet.GenericWriter[any]
}

func newRowWriter(out io.Writer, kind string, bodies ...string) (*rowWriter, error) {
	s, err := newSchema(bodies...)
	if err != nil {
		return nil, err
	}
	file := parquet.NewGenericWriter[any](out,
		s.parquet, parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest}), parquet.PageBufferSize(pageBytes),
		parquet.CreatedBy("skep", "1", ""), parquet.KeyValueMetadata(kindKey, kind), parquet.KeyValueMetadata(bodyKey, strings.Join(bodies, ",")),
		parquet.SortingWriterConfig(parquet.SortingColumns(parquet.Ascending("time"))),
		parquet.BloomFilters(s.blooms()...),
		// Each page's bounds are in the column index, where a reader has them before the page.
		parquet.DataPageStatistics(false), s.unbounded(),
	)
	return &rowWriter{newShredder(s), file}, nil
}

func (s *schema) blooms() (filters []parquet.BloomFilterColumn) {
	for _, name := range Blooms {
		path := strings.Split(name, ".")
		if _, ok := s.parquet.Lookup(path...); ok {
			filters = append(filters, parquet.SplitBlockFilter(bloomBits, path...))
		}
	}
	return filters
}

// unbounded are the columns without bounds: texts but boot_id, which tells whether a
// segment is of one boot. From the first to the last of a period's
// commands or names lies nearly every other, so that bounds rule nothing out, as blooms and
// dictionaries do; to find them takes a twentieth of the time of closing a log.
func (s *schema) unbounded() parquet.WriterOption {
	var skip parquet.WriterConfig
	for _, path := range s.parquet.Columns() {
		if leaf, ok := s.parquet.Lookup(path...); ok && leaf.Node.Type().Kind() == parquet.ByteArray && path[0] != bootColumn {
			skip.SkipPageBounds = append(skip.SkipPageBounds, path)
		}
	}
	return &skip
}

// flush gives the rows to the columns. After it the wire they were taken from may change.
func (w *rowWriter) flush() error {
	if w.shredder.rows == 0 {
		return nil
	}
	for i, column := range w.file.ColumnWriters() {
		if _, err := column.WriteRowValues(w.shredder.column(i)); err != nil {
			return err
		}
	}
	w.shredder.clear()
	return nil
}

func (w *rowWriter) close() error { return errors.Join(w.flush(), w.file.Close()) }
