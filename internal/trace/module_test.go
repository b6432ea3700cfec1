// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/skep-io/skep/internal/bt"
	"github.com/skep-io/skep/internal/bt/syntax"
)

// TestModules: functions of a module are attached to, by its name, by a pattern and without, and
// their arguments have the module's own types.
func TestModules(t *testing.T) {
	if _, err := os.Stat("/sys/kernel/btf/bridge"); err != nil {
		t.Skipf("needs the module bridge: %v", err)
	}
	got := run(t, `fentry:bridge:br_fdb_hash_init { @typed[args.br->dev->name] = count(); }
		fentry:br_fdb_hash_init { @plain[probe] = count(); }
		fentry:brid*:br_fdb_hash_in* { @wild[func] = count(); }
		kprobe:bridge:br_fdb_hash_init { @cast[((struct net_bridge *)arg0)->dev->name] = count(); }`, addBridge(t, "skep-test0"))
	for _, want := range []string{
		"@typed[skep-test0]: 1\n", "@plain[fentry:bridge:br_fdb_hash_init]: 1\n", "@wild[br_fdb_hash_init]: 1\n", "@cast[skep-test0]: 1\n",
	} {
		if !strings.Contains(got.text, want) {
			t.Errorf("no %q in %s", want, got.text)
		}
	}
	for _, script := range []string{"fentry:bridge:vfs_read { }", "kprobe:bridge:vfs_read { }", "fentry:vmlinux:br_fdb_hash_init { }"} {
		if compiled, _ := bt.Compile(parsed(t, script), theHost, bt.Options{}); compiled != nil {
			t.Errorf("%s is taken: the function is not there", script)
		}
	}
}

func parsed(t *testing.T, text string) *syntax.Program {
	t.Helper()
	program, errs := syntax.Parse(text, nil)
	if len(errs) > 0 {
		t.Fatal(errs.Err())
	}
	return program
}

// addBridge makes a bridge, and takes it away.
func addBridge(t *testing.T, name string) func() {
	return func() {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		text := append([]byte(name), 0)
		for _, request := range []uintptr{unix.SIOCBRADDBR, unix.SIOCBRDELBR} {
			if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(&text[0]))); errno != 0 {
				t.Error(errno)
			}
		}
	}
}

// TestPath: the kernel lets path() be called at some functions and not at others.
func TestPath(t *testing.T) {
	if err := theHost.Check(bt.Fentry); err != nil {
		t.Skipf("needs fentry: %v", err)
	}
	file := t.TempDir() + "/opened"
	got := run(t, fmt.Sprintf(`fentry:security_file_open /pid == %d/ { @[path(args.file->f_path)] = count(); }`, os.Getpid()), func() {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Error(err)
		}
	})
	if want := "@[" + file + "]: 1\n"; !strings.Contains(got.text, want) {
		t.Errorf("no %q in %s", want, got.text)
	}
	script, problems := bt.Compile(parsed(t, "BEGIN { }\nfentry:vfs_read { print(path(args.file->f_path)); }"), theHost, bt.Options{})
	if script == nil {
		t.Fatal(problems)
	}
	_, err := Start(theHost, script, Options{})
	if rejected := (*Rejected)(nil); !errors.As(err, &rejected) || !rejected.NotHere || rejected.Pos.Line != 2 {
		t.Errorf("path() at vfs_read: %v", err)
	}
}

// TestStructureArgument: behind a structure that is passed by value are the next argument and the result.
func TestStructureArgument(t *testing.T) {
	if err := theHost.Check(bt.Fexit); err != nil {
		t.Skipf("needs fexit: %v", err)
	}
	const command, size = 1111, 2222
	got := run(t, fmt.Sprintf(`fexit:__sys_bpf /pid == %d && args.cmd == %d/ { @[args.size, retval] = count(); }`, os.Getpid(), command), func() {
		var attributes [size]byte
		_, _, errno := unix.Syscall(unix.SYS_BPF, command, uintptr(unsafe.Pointer(&attributes)), size)
		if errno != unix.EINVAL {
			t.Errorf("bpf(%d): %v", command, errno)
		}
	})
	if want := fmt.Sprintf("@[%d, %d]: 1\n", size, -int(unix.EINVAL)); !strings.Contains(got.text, want) {
		t.Errorf("no %q in %s", want, got.text)
	}
}
