// SPDX-License-Identifier: Apache-2.0

package files

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// testNames: what is done to names tells the object that has them, and not its directory's.
func (s *scene) testNames(t *testing.T) {
	made := s.run(t,
		step{"open $/watched/a " + create, "create $/watched/a"},
		step{"link $/watched/a $/watched/b", "link $/watched/a -> $/watched/b"},
		step{"rename $/watched/a $/watched/c", "rename $/watched/a -> $/watched/c"},
		step{"mkdir $/watched/d", "mkdir $/watched/d"},
		step{"symlink to/nowhere $/watched/s", "symlink $/watched/s -> to/nowhere"},
	)
	objects := map[string]string{}
	for name, at := range map[string]string{"a": "c", "b": "b", "c": "c", "d": "d", "s": "s"} {
		var stat unix.Statx_t
		must(t, unix.Statx(unix.AT_FDCWD, s.path("$/watched/"+at), unix.AT_SYMLINK_NOFOLLOW, unix.STATX_INO, &stat))
		objects[s.path("$/watched/"+name)] = fmt.Sprintf("%d:%d %d", stat.Dev_major, stat.Dev_minor, stat.Ino)
	}
	gone := s.run(t,
		step{"unlink $/watched/b", "unlink $/watched/b"},
		step{"unlink $/watched/c", "unlink $/watched/c"},
		step{"rmdir $/watched/d", "rmdir $/watched/d"},
		step{"unlink $/watched/s", "unlink $/watched/s"},
	)
	made = append(made, gone...)
	lacks := map[string]string{"tracepoint": "mkdir rmdir symlink", "tp_btf": "mkdir rmdir symlink", "sys_exit": "link rename mkdir symlink unlink rmdir"}[s.agent.Rung(t, "file")]
	for _, r := range made {
		f := r.GetFile()
		if f.Inode == 0 && strings.Contains(lacks, f.Operation) {
			continue // skep doctor says so
		}
		if got := fmt.Sprintf("%s %d", f.Device, f.Inode); got != objects[f.Path] {
			t.Errorf("%s %s is of object %s, want %s", f.Operation, f.Path, got, objects[f.Path])
		}
	}
}
