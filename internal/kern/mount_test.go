// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAbortUnmounts: a BPF filesystem that a failed start has mounted goes with it.
func TestAbortUnmounts(t *testing.T) {
	needRoot(t)
	runtime.LockOSThread() // for good: the thread ends with the test, and its mounts with it
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	for isBPFFS(standardBPFFS) {
		if err := unix.Unmount(standardBPFFS, unix.MNT_DETACH); err != nil {
			t.Fatal(err)
		}
	}
	k := openPinned(t, standardBPFFS+"/skep-kern-mount-test", ladderOf(true, "good: fork_btf"))
	if !isBPFFS(standardBPFFS) {
		t.Error("no BPF filesystem was mounted")
	}
	if err := k.Abort(); err != nil {
		t.Error(err)
	}
	if isBPFFS(standardBPFFS) {
		t.Error("the BPF filesystem is still mounted")
	}
}
