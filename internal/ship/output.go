// SPDX-License-Identifier: Apache-2.0

package ship

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/event/filters"
)

const (
	maxBatch = 512
	// Between attempts, doubled each time, with up to a quarter more by chance.
	firstPause, lastPause = 100 * time.Millisecond, 30 * time.Second
)

// receiver is the other end. Its methods are called by one goroutine.
type receiver interface {
	// send delivers records in order. n of them are done with; err is why no more are, and
	// that another attempt may help. What never will be taken is done with, and refused.
	send(ctx context.Context, records []*skepv1.Record, refuse refuse) (n int, err error)
	close()
}

// refuse counts records that a receiver will never take. Where it is not known which of
// them those are, kind is "" for them.
type refuse func(kind string, n uint64, why error)

// Spec is what an output does; it can be exchanged while the output runs.
type Spec struct {
	Type, Target string
	Filter       *filters.Filter
	// Linger is how long a batch waits to become larger.
	Linger   time.Duration
	receiver receiver
	// pushMetrics sends the metrics, every interval; nil for receivers of records only.
	pushMetrics func(context.Context) error
	interval    time.Duration
}

// Deps are what every output works with.
type Deps struct {
	Log    *event.Log
	Node   Node
	Logger *slog.Logger
}

// Node is where the records come from.
type Node struct{ ID, BootID, Name, Version string }

// Output is one destination. Run is called once; the other methods from any goroutine.
type Output struct {
	name   string
	deps   Deps
	hand   []*skepv1.Record // the batch that is not delivered yet
	marked bool             // the mark is behind what is in hand
	caught chan struct{}    // closed once all before the mark is delivered
	ended  chan struct{}    // closed when Run is over

	mutex   sync.Mutex
	cursor  *event.Cursor // exchanged by Run, which reads it without the lock
	spec    *Spec
	replace context.CancelCauseFunc // of the spec that is in use
	stats   Stats
	told    map[string]uint64
}

// Stats say how an output does.
type Stats struct {
	Name, Type, Target  string
	Delivered, Failures uint64
	Lost                map[string]uint64 // by kind; "unknown" where it is not known
	LastError           string            // "" while it delivers
}

var errReplaced = errors.New("the output has new settings")

// New makes an output that starts at the end of the log, as it is now.
func New(name string, spec *Spec, deps Deps) *Output {
	o := &Output{name: name, deps: deps, spec: spec, told: map[string]uint64{}, caught: make(chan struct{}), ended: make(chan struct{})}
	o.stats = Stats{Name: name, Lost: map[string]uint64{}}
	o.cursor = deps.Log.Subscribe(o.subscription(spec))
	return o
}

func (o *Output) subscription(spec *Spec) event.SubscribeOptions {
	return event.SubscribeOptions{Who: "ship:" + o.name, Filter: spec.Target, Kinds: spec.Filter.CursorKinds(), Match: spec.Filter.Match}
}

// Replace gives the output other settings. Nothing is lost by it.
func (o *Output) Replace(spec *Spec) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.spec = spec
	if o.replace != nil {
		o.replace(errReplaced)
	}
}

// Settle tells whether all that is in the log now has been delivered, or counted as lost,
// before ctx ends. It is called once, while Run runs, which goes on.
func (o *Output) Settle(ctx context.Context) bool {
	o.mutex.Lock()
	o.cursor.Mark()
	o.mutex.Unlock()
	select {
	case <-o.caught:
		return true
	case <-o.ended:
		return true
	case <-ctx.Done():
		return false
	}
}

// Ended is closed when Run has returned.
func (o *Output) Ended() <-chan struct{} { return o.ended }

// Run delivers until the log ends, or ctx does; what is not delivered then is lost, and counted.
func (o *Output) Run(ctx context.Context) {
	defer close(o.ended)
	defer func() { o.cursor.Close() }()
	for {
		o.mutex.Lock()
		using, stop := context.WithCancelCause(ctx)
		spec := o.spec
		o.replace = stop
		o.cursor = o.cursor.Succeed(o.subscription(spec))
		o.mutex.Unlock()
		err := o.use(using, spec)
		replaced := errors.Is(context.Cause(using), errReplaced) && ctx.Err() == nil && !errors.Is(err, io.EOF)
		stop(nil)
		if !replaced {
			break
		}
	}
	o.abandon()
}

// abandon counts what is in hand, and what is still in the log.
func (o *Output) abandon() {
	why := errors.New("the output ended before it was delivered")
	for _, r := range o.hand {
		o.lose(r.GetKind(), 1, why)
	}
	for kind, n := range o.cursor.Skip() {
		if n > 0 {
			o.lose(event.Kind(kind).String(), n, why)
		}
	}
}

// use delivers by one spec. It returns io.EOF at the end of the log.
func (o *Output) use(ctx context.Context, spec *Spec) error {
	var pushing sync.WaitGroup
	defer spec.receiver.close()
	defer pushing.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if spec.pushMetrics != nil {
		pushing.Go(func() { o.push(ctx, spec) })
	}
	buf := make([]*skepv1.Record, maxBatch)
	for {
		if err := o.deliver(ctx, spec); err != nil {
			return err
		}
		if o.marked {
			o.marked = false
			close(o.caught)
		}
		if err := o.gather(ctx, spec, buf); err != nil {
			return err
		}
	}
}

// gather takes the next batch in hand.
func (o *Output) gather(ctx context.Context, spec *Spec, buf []*skepv1.Record) error {
	if err := o.next(ctx, buf); err != nil {
		return err
	}
	window, cancel := context.WithTimeout(ctx, spec.Linger)
	defer cancel()
	for len(o.hand) < maxBatch && !o.marked {
		err := o.next(window, buf[:maxBatch-len(o.hand)])
		if err != nil { // the end of the window, or that of the log, which comes again
			return ctx.Err()
		}
	}
	return nil
}

// next appends to the batch in hand; what was lost before comes first, as a record.
func (o *Output) next(ctx context.Context, buf []*skepv1.Record) error {
	n, lost, err := o.cursor.Next(ctx, buf)
	if errors.Is(err, event.ErrMarked) {
		o.marked = true
		return nil
	}
	if err != nil {
		return err
	}
	for kind, count := range lost {
		if count > 0 {
			o.lose(event.Kind(kind).String(), count, errors.New("the receiver was too slow, or away, for longer than history.max_bytes lasts"))
			o.hand = append(o.hand, o.lossRecord(event.Kind(kind), count))
		}
	}
	o.hand = append(o.hand, buf[:n]...)
	return nil
}

// deliver tries until nothing is in hand.
func (o *Output) deliver(ctx context.Context, spec *Spec) error {
	pause := firstPause
	for len(o.hand) > 0 {
		refused := uint64(0)
		n, err := spec.receiver.send(ctx, o.hand, func(kind string, n uint64, why error) {
			refused += n
			o.lose(kind, n, why)
		})
		o.hand = o.hand[n:]
		o.delivered(uint64(n)-refused, refused == 0)
		if err == nil {
			continue
		}
		if n > 0 {
			pause = firstPause
		}
		o.failed(err)
		if err := sleep(ctx, later(err, pause)); err != nil {
			return err
		}
		pause = min(2*pause, lastPause)
	}
	o.hand = nil
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d + rand.N(d/4+1))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// push sends the metrics every interval. What fails is sent the next time: they count up.
func (o *Output) push(ctx context.Context, spec *Spec) {
	ticker := time.NewTicker(spec.interval)
	defer ticker.Stop()
	for {
		if err := spec.pushMetrics(ctx); err != nil && ctx.Err() == nil {
			o.failed(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
