// SPDX-License-Identifier: Apache-2.0

package redact

import "sync/atomic"

// Redactor applies rules that may be replaced at any time, and counts. A nil one leaves
// everything as it is. Its methods may be called from any goroutine.
type Redactor struct {
	rules atomic.Pointer[Rules]
	count atomic.Uint64
}

// New makes a redactor with its first rules.
func New(rules *Rules) *Redactor {
	r := &Redactor{}
	r.Replace(rules)
	return r
}

// Replace makes other rules those for what comes from now on.
func (r *Redactor) Replace(rules *Rules) { r.rules.Store(rules) }

// Args is Rules.Args, counted.
func (r *Redactor) Args(args []byte) (clean []byte, n int) {
	if r == nil {
		return args, 0
	}
	clean, n = r.rules.Load().Args(args)
	if n > 0 {
		r.count.Add(uint64(n))
	}
	return clean, n
}

// Text is Rules.Text.
func (r *Redactor) Text(text []byte) []byte {
	if r == nil {
		return text
	}
	return r.rules.Load().Text(text)
}

// Word is Rules.Word.
func (r *Redactor) Word(text string) string {
	if r == nil {
		return text
	}
	return r.rules.Load().Word(text)
}

// Count is how many arguments have had a secret replaced.
func (r *Redactor) Count() uint64 { return r.count.Load() }
