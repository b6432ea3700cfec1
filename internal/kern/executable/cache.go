// SPDX-License-Identifier: Apache-2.0

package executable

import (
	"sync"
	"time"
)

// Cache keeps what was read of files: reading the symbols of a large one takes a second. It
// is bounded by bytes, and forgets what nobody asked for during a time. It is for any
// number of goroutines.
type Cache struct {
	mutex   sync.Mutex
	entries map[Identity]*cached
	bytes   int // that all files take
	timer   *time.Timer
}

// cached is a file, which is there once ready is closed: reading one may take long, or for
// ever where a filesystem does not answer, and that must be nobody else's trouble.
type cached struct {
	ready chan struct{}
	file  *File
	err   error
	done  bool // that it was read, by the cache's mutex
	used  time.Time
}

const (
	cacheBytes  = 128 << 20 // of all files together
	cacheLinger = 2 * time.Minute
)

// Open is the function [Open], unless the file has been read before.
func (c *Cache) Open(path string) (*File, error) {
	pinned, id, err := Pin(path)
	if err != nil {
		return nil, err
	}
	defer pinned.Close()
	c.mutex.Lock()
	e, known := c.entries[id]
	if !known {
		e = &cached{ready: make(chan struct{})}
		c.add(id, e)
	}
	e.used = time.Now()
	c.mutex.Unlock()
	if known {
		<-e.ready
		return e.file, e.err
	}
	e.file, e.err = openPinned(pinned, path, id)
	close(e.ready)
	c.settle(id, e)
	return e.file, e.err
}

func (c *Cache) add(id Identity, e *cached) {
	if c.entries == nil {
		c.entries = map[Identity]*cached{}
	}
	c.entries[id] = e
	if c.timer == nil {
		c.timer = time.AfterFunc(cacheLinger, c.sweep)
	}
}

// settle counts what was read, and forgets what was used longest ago if that is too much, and
// what could not be read.
func (c *Cache) settle(id Identity, e *cached) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if e.err != nil {
		delete(c.entries, id)
		return
	}
	e.done = true
	c.bytes += e.file.bytes()
	for c.bytes > cacheBytes && len(c.entries) > 1 {
		old, ok := c.oldest(id)
		if !ok {
			break
		}
		c.drop(old)
	}
}

// oldest is what was used longest ago of what has been read.
func (c *Cache) oldest(but Identity) (oldest Identity, ok bool) {
	var found *cached
	for id, e := range c.entries {
		if id != but && e.done && (found == nil || e.used.Before(found.used)) {
			oldest, found = id, e
		}
	}
	return oldest, found != nil
}

func (c *Cache) drop(id Identity) {
	if e := c.entries[id]; e != nil {
		c.bytes -= e.file.bytes()
		delete(c.entries, id)
	}
}

// sweep forgets what nobody asked for, and comes back while anything is left.
func (c *Cache) sweep() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for id, e := range c.entries {
		if e.done && time.Since(e.used) > cacheLinger {
			c.drop(id)
		}
	}
	c.timer = nil
	if len(c.entries) > 0 {
		c.timer = time.AfterFunc(cacheLinger, c.sweep)
	}
}
