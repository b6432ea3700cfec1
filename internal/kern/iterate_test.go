// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"testing"
)

// An iterator runs when it is asked to, is never pinned, and is no reason to call a
// signal transient.
func TestIterate(t *testing.T) {
	needRoot(t)
	root := pinRoot(t)
	s := Sensor{Name: "process", Ladders: []Ladder{{Signal: "scan", Intent: See, Rungs: []Rung{{Name: "iter", Programs: []string{"existing"}}}}}}
	for _, end := range []func(*Kernel) error{(*Kernel).Close, (*Kernel).Remove} { // the second takes over what the first has pinned: maps, and no link
		k := openPinned(t, root, s)
		signals, err := k.Attach(s)
		if err != nil || signals[0].Rung == nil || signals[0].Transient {
			t.Fatalf("attached %+v, error %v", signals, err)
		}
		out, err := k.Iterate("existing")
		if pid := binary.NativeEndian.AppendUint32(nil, uint32(os.Getpid())); err != nil || !bytes.Contains(out, pid) {
			t.Errorf("%d bytes without this process, error %v", len(out), err)
		}
		if _, err := k.Iterate("nonsense"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a program that is not attached: %v", err)
		}
		if links, err := os.ReadDir(k.dir + "/links"); err != nil || len(links) != 0 {
			t.Errorf("pinned links %v, error %v", links, err)
		}
		if err := end(k); err != nil {
			t.Fatal(err)
		}
	}
}
