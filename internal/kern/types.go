// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"sync"
	"time"

	"github.com/cilium/ebpf/btf"
)

// Types is the kernel's type information, read when it is first needed and forgotten when
// nobody has used it for a while: making its index takes tens of milliseconds, and holding
// it some megabytes. It is for any number of goroutines.
type Types struct {
	mutex sync.Mutex
	cache *btf.Cache
	used  time.Time
	timer *time.Timer
}

// typesLinger is how long the types stay: someone who writes a script tries it again soon.
const typesLinger = time.Minute

// use returns the cache, and lets it live on. A nil *Types shares nothing.
func (t *Types) use() *btf.Cache {
	if t == nil {
		return btf.NewCache()
	}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.used = time.Now()
	if t.cache == nil {
		t.cache = btf.NewCache()
		t.timer = time.AfterFunc(typesLinger, t.expire)
	}
	return t.cache
}

func (t *Types) expire() {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if left := typesLinger - time.Since(t.used); left > 0 {
		t.timer.Reset(left)
		return
	}
	t.cache, t.timer = nil, nil
}
