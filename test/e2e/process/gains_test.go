// SPDX-License-Identifier: Apache-2.0

package process

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

const nobody = 65534

// gain is one way to run a privileged program, and what the record must say.
type gain struct {
	program                  string
	uid, gid                 uint32
	through                  []string // verb that runs the program, default: none
	setuid, setgid, fileCaps bool
	nosuid                   bool
	userNamespace            bool
}

func testGains(t *testing.T, s *scene) {
	dir := filepath.Join(s.dir, "gains")
	privileged(t, s.self, dir)
	nosuid := filepath.Join(s.dir, "nosuid")
	must(t, os.MkdirAll(nosuid, 0o755))
	mount(t, dir, nosuid)
	must(t, unix.Mount("", nosuid, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_NOSUID, ""))
	for name, g := range map[string]gain{
		"plain":                      {program: "plain", uid: nobody, gid: nobody},
		"plain by root":              {program: "plain"},
		"setuid":                     {program: "setuid", uid: nobody, gid: nobody, setuid: true},
		"setuid by root":             {program: "setuid"},
		"setuid to nobody by root":   {program: "setuid-nobody", setuid: true},
		"setgid":                     {program: "setgid", uid: nobody, gid: nobody, setgid: true},
		"setgid without execution":   {program: "setgid-locking", uid: nobody, gid: nobody},
		"file capabilities":          {program: "caps", uid: nobody, gid: nobody, fileCaps: true},
		"file capabilities, by root": {program: "caps"},
		"setuid on nosuid":           {program: "setuid", uid: nobody, gid: nobody, nosuid: true},
		"capabilities on nosuid":     {program: "caps", uid: nobody, gid: nobody, nosuid: true},
		"setuid, no new privileges":  {program: "setuid", uid: nobody, gid: nobody, through: []string{"nonewprivs"}},
		"root of a user namespace":   {program: "plain", uid: nobody, gid: nobody, userNamespace: true},
	} {
		t.Run(name, func(t *testing.T) {
			place := dir
			if g.nosuid {
				place = nosuid
			}
			c := g.command(s, filepath.Join(place, g.program))
			said, r := s.tell(t, c)
			said.check(t, r)
			e := r.GetExec()
			equal(t, "setuid", e.Setuid, g.setuid)
			equal(t, "setgid", e.Setgid, g.setgid)
			equal(t, "file_caps", e.FileCaps, g.fileCaps)
			g.checkTruth(t, e)
			e.File.Inode = 0
			s.keep(t, "exec", r)
		})
	}
}

// checkTruth guards the test itself: the credentials must be those that the flags mean.
func (g gain) checkTruth(t *testing.T, e *skepv1.Exec) {
	t.Helper()
	c := e.Credentials
	equal(t, "euid differs from uid", c.Euid != c.Uid, g.setuid)
	equal(t, "egid differs from gid", c.Egid != c.Gid, g.setgid)
	if g.fileCaps {
		equal(t, "permitted", e.Capabilities.Permitted, "0000000000002000")
	}
	if g.userNamespace && e.Capabilities.Permitted == "0000000000000000" {
		t.Error("root of a user namespace has no capabilities there")
	}
}

func (g gain) command(s *scene, program string) *exec.Cmd {
	c := s.helper("truth")
	if g.through != nil {
		c = s.helper(append(g.through, program, "truth")...)
	} else {
		c.Path, c.Args = program, []string{program}
	}
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: g.uid, Gid: g.gid}}
	if g.userNamespace {
		c.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags: syscall.CLONE_NEWUSER, Credential: &syscall.Credential{NoSetGroups: true},
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: nobody, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: nobody, Size: 1}},
		}
	}
	return c
}

// privileged makes the programs in dir.
func privileged(t *testing.T, self, dir string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o755))
	t.Cleanup(func() { os.RemoveAll(dir) })
	for name, p := range map[string]struct {
		uid, gid int
		mode     uint32
	}{
		"plain": {0, 0, 0o755}, "setuid": {0, 0, 0o4755}, "setuid-nobody": {nobody, 0, 0o4755},
		"setgid": {0, 0, 0o2755}, "setgid-locking": {0, 0, 0o2745}, "caps": {0, 0, 0o755},
	} {
		file := filepath.Join(dir, name)
		copyFile(t, self, file)
		must(t, os.Chown(file, p.uid, p.gid))
		must(t, unix.Chmod(file, p.mode))
	}
	must(t, unix.Setxattr(filepath.Join(dir, "caps"), "security.capability", netRaw(), 0))
}

// netRaw is a vfs_cap_data of revision 2 with cap_net_raw=ep (include/uapi/linux/capability.h).
func netRaw() []byte {
	data := make([]byte, 20)
	binary.LittleEndian.PutUint32(data, 0x02000001) // VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE
	binary.LittleEndian.PutUint32(data[4:], 1<<unix.CAP_NET_RAW)
	return data
}
