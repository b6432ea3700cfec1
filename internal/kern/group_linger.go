// SPDX-License-Identifier: Apache-2.0

package kern

import "sync"

// lingering closes perf events of tracepoints that no program is attached to any more.
//
// For each the kernel waits until all CPUs have seen that it is gone, some 50 ms, and holds a
// lock of all tracepoints meanwhile: those of a script at every system call take half a minute.
// What is many is closed behind the back of who detaches, one after the other for all scripts,
// and not while one attaches, which would wait for that lock as often.
var lingering = &linger{most: 4096}

type linger struct {
	most    int // events that wait; who has more waits for them
	mutex   sync.Mutex
	room    sync.Cond
	waiting []descriptor
	running bool
	// attaching is held by those that attach, and by the closer for one event.
	attaching sync.RWMutex
}

// atOnce is how many events are closed while somebody waits for it.
const atOnce = 8

// hold keeps events from being closed until what it returns is called.
func (l *linger) hold() (release func()) {
	l.attaching.RLock()
	return l.attaching.RUnlock
}

// close closes events, at once if they are few, and soon in any case.
func (l *linger) close(events []descriptor) {
	if len(events) <= atOnce {
		for _, e := range events {
			e.Close()
		}
		return
	}
	l.later(events)
}

// later closes events soon.
func (l *linger) later(events []descriptor) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.room.L = &l.mutex
	for _, e := range events {
		for len(l.waiting) >= l.most {
			l.room.Wait()
		}
		l.waiting = append(l.waiting, e)
		if !l.running {
			l.running = true
			go l.run()
		}
	}
}

func (l *linger) run() {
	for {
		l.mutex.Lock()
		if len(l.waiting) == 0 {
			l.running = false
			l.mutex.Unlock()
			return
		}
		e := l.waiting[0]
		l.waiting = l.waiting[1:]
		l.room.Broadcast()
		l.mutex.Unlock()
		l.attaching.Lock()
		e.Close()
		l.attaching.Unlock()
	}
}
