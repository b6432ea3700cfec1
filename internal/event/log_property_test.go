// SPDX-License-Identifier: Apache-2.0

package event

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// received + lost = produced, per kind, for every reader, however it stalls, also where
// records told of others that were lost before; and no record twice, none out of order. Run with -race.
func TestEveryReaderAccountsForEverything(t *testing.T) {
	for round := range 5 {
		seed := rand.Uint64()
		t.Run("", func(t *testing.T) {
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 0))
			l := NewLog(LogOptions{Bytes: 256 << 10 << (round % 3)})
			readers := make([]*tally, 6)
			var done sync.WaitGroup
			for i := range readers {
				readers[i] = newTally(l, rand.New(rand.NewPCG(seed, uint64(i+1))), i)
			}
			ended := make(chan struct{})
			readers[4].begin = ended // however slow the producer is, this one is overtaken
			for _, r := range readers {
				done.Go(r.run)
			}
			produced := produce(l, random, 60000)
			close(ended)
			l.Close()
			done.Wait()
			lost := uint64(0)
			for i, r := range readers {
				r.check(t, i, produced)
				for k := range r.lost {
					lost += r.lost[k]
				}
			}
			if lost == 0 {
				t.Error("nobody lost anything: the test did not test")
			}
		})
	}
}

// produce appends in batches of random length with random pauses.
func produce(l *Log, random *rand.Rand, n int) (produced Counts) {
	for n > 0 {
		for range min(n, 1+random.IntN(700)) {
			k := Kind(random.IntN(NumKinds))
			record := plain(k, produced[k])
			produced[k]++
			if of := Kind(random.IntN(NumKinds)); k == Loss && of != Loss {
				gap := 1 + random.Uint64N(50)
				first := produced[of]
				produced[of] += gap
				record.Body = &skepv1.Record_Loss{Loss: &skepv1.Loss{LostKind: of.String(), Count: gap, FirstSeq: first + 1, LastSeq: first + gap}} // from 1, as real ones
				switch random.IntN(3) {
				case 0: // not known which: no gap
					produced[of] -= gap
					record.GetLoss().FirstSeq, record.GetLoss().LastSeq = 0, 0
				case 1: // on disk, of an agent before this one: no gap either
					produced[of] -= gap
					record.GetLoss().Place = "store"
				}
			}
			l.Append(k, record)
			n--
		}
		l.Flush()
		if random.IntN(4) == 0 {
			time.Sleep(time.Duration(random.IntN(2000)) * time.Microsecond)
		}
	}
	return produced
}

// tally is a reader that counts.
type tally struct {
	cursor *Cursor
	random *rand.Rand
	stalls bool
	begin  <-chan struct{} // nil: at once
	kinds  KindSet

	received, lost Counts
	next           Counts // the sequence number that each kind must go on with
	wrong          int
}

func newTally(l *Log, random *rand.Rand, i int) *tally {
	r := &tally{random: random, stalls: i > 0, kinds: AllKinds}
	if i%2 == 1 {
		r.kinds = SetOf(Exec, Close, Loss)
	}
	r.cursor = l.Subscribe(SubscribeOptions{Kinds: r.kinds})
	return r
}

func (r *tally) run() {
	defer r.cursor.Close()
	if r.begin != nil {
		<-r.begin
	}
	for {
		buf := make([]*skepv1.Record, 1+r.random.IntN(600))
		n, lost, err := r.cursor.Next(context.Background(), buf)
		if errors.Is(err, io.EOF) {
			return
		}
		for k := range lost {
			r.lost[k] += lost[k]
			r.next[k] += lost[k]
		}
		for _, rec := range buf[:n] {
			k, _ := KindOf(rec)
			if rec.GetSeq() != r.next[k] {
				r.wrong++
			}
			r.received[k]++
			r.next[k]++
			if of, ok := LookupKind(rec.GetLoss().GetLostKind()); ok && rec.GetLoss().LastSeq > 0 && rec.GetLoss().Place != "store" && r.kinds.Has(of) {
				r.lost[of] += rec.GetLoss().Count
				r.next[of] += rec.GetLoss().Count
			}
		}
		if r.stalls && r.random.IntN(3) == 0 {
			time.Sleep(time.Duration(r.random.IntN(20)) * time.Millisecond)
		}
	}
}

func (r *tally) check(t *testing.T, i int, produced Counts) {
	t.Helper()
	if r.wrong > 0 {
		t.Errorf("reader %d: %d records at the wrong place", i, r.wrong)
	}
	for _, k := range Kinds() {
		want := produced[k]
		if !r.kinds.Has(k) {
			want = 0
		}
		if r.received[k]+r.lost[k] != want {
			t.Errorf("reader %d: %s: received %d + lost %d != produced %d", i, k, r.received[k], r.lost[k], want)
		}
	}
}
