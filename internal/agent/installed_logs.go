// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/server"
	"github.com/skep-io/skep/internal/trace/journal"
)

// maxLogBatch bounds a message of a log, in bytes of its entries.
const maxLogBatch = 256 << 10

// Logs implements server.Installer.
func (i *installed) Logs(ctx context.Context, req *skepv1.TraceLogsRequest, send func(*skepv1.TraceLogsResponse) error) error {
	r := i.find(req.GetName())
	if r == nil || r.claimed.Load() {
		return server.ErrNotInstalled
	}
	r.readers.Add(1)
	defer r.readers.Add(-1)
	log := r.journal.Load()
	if log == nil {
		return fmt.Errorf("read the log of %s: it has none: %s", r.name, r.statusNow().GetReason())
	}
	from := uint64(1)
	if next, last := log.Next(), uint64(req.GetLast()); last > 0 && next > last {
		from = next - last
	}
	reader := log.Reader(from)
	for {
		changed := log.Changed()
		gone := r.isOver()
		if err := sendLog(ctx, reader, send); err != nil {
			return err
		}
		if !req.GetFollow() || gone {
			return nil
		}
		select {
		case <-changed:
		case <-r.ended:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// readersTake is how long the readers of a log have for the last of it when it is removed.
const readersTake = time.Second

// readOut waits until those who follow the log have read it to its end.
func (r *resident) readOut() {
	for end := time.Now().Add(readersTake); r.readers.Load() > 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
}

// isOver tells whether it will say no more.
func (r *resident) isOver() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}

// sendLog sends what has come since.
func sendLog(ctx context.Context, reader *journal.Reader, send func(*skepv1.TraceLogsResponse) error) error {
	batch, size := &skepv1.TraceLogsResponse{}, 0
	flush := func() error {
		if len(batch.Entries) == 0 && batch.Lost == 0 {
			return nil
		}
		err := send(batch)
		batch, size = &skepv1.TraceLogsResponse{}, 0
		return err
	}
	err := reader.Read(func(lost uint64, body []byte) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if lost > 0 || size > maxLogBatch { // what is lost is told in front of what follows
			if err := flush(); err != nil {
				return err
			}
		}
		batch.Lost += lost
		entry := &skepv1.TraceLogEntry{}
		if err := proto.Unmarshal(body, entry); err != nil {
			batch.Lost++ // whole by its checksum: of another version
			return nil
		}
		batch.Entries = append(batch.Entries, entry)
		size += len(body)
		return nil
	})
	return errors.Join(err, flush())
}
