// SPDX-License-Identifier: Apache-2.0

package executable

import (
	"bufio"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// programs is where executables without a path are looked for: an agent's own PATH says
// nothing about its users'.
var programs = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// Find turns what a user wrote into the path of a file: a path, the name of a program, or
// that of a library, with or without "lib" and ".so". With a process, all of that is in its
// eyes: what it has mapped, and then its root directory, which for a container's is another
// than this process's. The error wraps [os.ErrNotExist].
func Find(name string, pid int) (string, error) {
	root := ""
	if pid > 0 {
		root = fmt.Sprintf("/proc/%d/root", pid)
		if path := mapped(name, pid); path != "" {
			return path, nil
		}
	}
	if strings.Contains(name, "/") {
		path := name
		if !strings.HasPrefix(name, "/proc/") {
			path = root + name
		}
		pinned, _, err := pin(path)
		if err != nil {
			return "", err
		}
		return path, pinned.Close()
	}
	for _, dir := range programs {
		if path := root + dir + "/" + name; isProgram(path) {
			return path, nil
		}
	}
	if path := library(name, root); path != "" {
		return path, nil
	}
	return "", fmt.Errorf("find executable or library %s: %w; give its path", name, os.ErrNotExist)
}

func isProgram(path string) bool {
	pinned, stat, err := pin(path)
	if err != nil {
		return false
	}
	pinned.Close()
	return stat.Mode&unix.S_IFMT == unix.S_IFREG && stat.Mode&0o111 != 0
}

// matches tells whether a library's file name is what the user means by a name: libc means
// libc.so.6 and libc-2.31.so, ssl means libssl.so.3.
func matches(file, name string) bool {
	if file == name {
		return true
	}
	for _, stem := range []string{name, "lib" + name} {
		if rest, ok := strings.CutPrefix(file, strings.TrimSuffix(stem, ".so")); ok && (strings.HasPrefix(rest, ".so") ||
			strings.HasPrefix(rest, "-") && strings.HasSuffix(rest, ".so")) {
			return true
		}
	}
	return false
}

// mapped looks a library up among those that a process has mapped, or a file by its path as
// the kernel tells it. One that was deleted or replaced since is found where the kernel still
// has it.
func mapped(name string, pid int) string {
	file, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return ""
	}
	defer file.Close()
	scanner := bufio.NewScanner(file)
	for scanner.Scan() {
		before, path, found := strings.Cut(scanner.Text(), "/")
		path, deleted := strings.CutSuffix("/"+path, " (deleted)")
		if !found || path != name && !matches(filepath.Base(path), name) {
			continue
		}
		if whole := fmt.Sprintf("/proc/%d/root%s", pid, path); !deleted && isFile(whole) {
			return whole
		}
		between, _, _ := strings.Cut(before, " ")
		from, to, _ := strings.Cut(between, "-") // with zeros in front, which map_files has not
		if held := fmt.Sprintf("/proc/%d/map_files/%s-%s", pid, strings.TrimLeft(from, "0"), strings.TrimLeft(to, "0")); isFile(held) {
			return held
		}
	}
	return ""
}

// Mapped are the files that a process may execute code of, in the order of their addresses, by
// paths that Find finds with that process, also if they were deleted since. There are none of
// a process that is gone.
func Mapped(pid int) []string {
	file, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil
	}
	defer file.Close()
	var paths []string
	scanner := bufio.NewScanner(file)
	for scanner.Scan() { // start-end rwxp offset device inode path
		before, path, ok := strings.Cut(strings.TrimSuffix(scanner.Text(), " (deleted)"), "/")
		fields := strings.Fields(before)
		if ok && len(fields) > 1 && strings.Contains(fields[1], "x") && !slices.Contains(paths, "/"+path) {
			paths = append(paths, "/"+path)
		}
	}
	return paths
}

// library looks one up in the directories of the dynamic linker, and takes only one for this
// machine.
func library(name, root string) string {
	for _, dir := range libraryDirs(root) {
		found := slices.DeleteFunc(namesIn(root+dir), func(file string) bool { return !matches(file, name) })
		slices.SortFunc(found, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
		for _, file := range found {
			if path := root + dir + "/" + file; ours(path) {
				return path
			}
		}
	}
	return ""
}

var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// ours tells a library from a linker script of the same name, and from one for another machine.
func ours(path string) bool {
	pinned, _, err := Pin(path)
	if err != nil {
		return false
	}
	defer pinned.Close()
	file, err := reopen(pinned)
	if err != nil {
		return false
	}
	defer file.Close()
	header := make([]byte, 20) // e_ident, e_type, e_machine: the latter is little-endian on both
	if _, err := io.ReadFull(file, header); err != nil || string(header[:4]) != elf.ELFMAG {
		return false
	}
	return elf.Machine(binary.LittleEndian.Uint16(header[18:])) == machines[runtime.GOARCH]
}

// libraryDirs are those of ld.so.conf and the usual ones.
func libraryDirs(root string) []string {
	var dirs []string
	files := []string{"/etc/ld.so.conf"}
	for _, file := range namesIn(root + "/etc/ld.so.conf.d") {
		if strings.HasSuffix(file, ".conf") && len(files) < 64 {
			files = append(files, "/etc/ld.so.conf.d/"+file)
		}
	}
	slices.Sort(files)
	for _, path := range files {
		text, err := readSmall(root + path)
		if err != nil {
			continue
		}
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "/") {
				dirs = append(dirs, line)
			}
		}
	}
	return append(dirs, "/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib",
		"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu")
}
