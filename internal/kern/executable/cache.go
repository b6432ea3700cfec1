// SPDX-License-Identifier: Apache-2.0

package executable

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

// Cache keeps what was read of files: reading the symbols of a large one takes a second. It
// is bounded by symbols, and forgets what nobody asked for during a time. It is for any
// number of goroutines.
type Cache struct {
	mutex   sync.Mutex
	entries map[identity]*cached
	symbols int
	timer   *time.Timer
}

// identity changes when a file does.
type identity struct {
	device, inode  uint64
	size           int64
	seconds, nanos int64
}

type cached struct {
	file *File
	used time.Time
}

const (
	cacheSymbols = 1 << 20 // of all files together
	cacheLinger  = 2 * time.Minute
)

// Open is the function [Open], unless the file has been read before.
func (c *Cache) Open(path string) (*File, error) {
	id, err := identify(path)
	if err != nil {
		return nil, err
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if e := c.entries[id]; e != nil {
		e.used = time.Now()
		return e.file, nil
	}
	file, err := Open(path)
	if err != nil {
		return nil, err
	}
	c.add(id, file)
	return file, nil
}

func identify(path string) (identity, error) {
	info, err := os.Stat(path)
	if err != nil {
		return identity{}, fmt.Errorf("open executable: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() {
		return identity{}, fmt.Errorf("open executable %s: %w", path, os.ErrInvalid)
	}
	return identity{stat.Dev, stat.Ino, stat.Size, int64(stat.Mtim.Sec), int64(stat.Mtim.Nsec)}, nil
}

func (c *Cache) add(id identity, file *File) {
	if c.entries == nil {
		c.entries = map[identity]*cached{}
	}
	c.entries[id] = &cached{file, time.Now()}
	c.symbols += len(file.symbols)
	for c.symbols > cacheSymbols && len(c.entries) > 1 {
		c.drop(c.oldest(id))
	}
	if c.timer == nil {
		c.timer = time.AfterFunc(cacheLinger, c.sweep)
	}
}

func (c *Cache) oldest(but identity) identity {
	var oldest identity
	var found *cached
	for id, e := range c.entries {
		if id != but && (found == nil || e.used.Before(found.used)) {
			oldest, found = id, e
		}
	}
	return oldest
}

func (c *Cache) drop(id identity) {
	if e := c.entries[id]; e != nil {
		c.symbols -= len(e.file.symbols)
		delete(c.entries, id)
	}
}

// sweep forgets what nobody asked for, and comes back while anything is left.
func (c *Cache) sweep() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for id, e := range c.entries {
		if time.Since(e.used) > cacheLinger {
			c.drop(id)
		}
	}
	c.timer = nil
	if len(c.entries) > 0 {
		c.timer = time.AfterFunc(cacheLinger, c.sweep)
	}
}
