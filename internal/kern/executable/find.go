// SPDX-License-Identifier: Apache-2.0

package executable

import (
	"bufio"
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
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
			path = within(root, name)
		}
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("find executable: %w", err)
		}
		return path, nil
	}
	for _, dir := range programs {
		if path := within(root, dir+"/"+name); isProgram(path) {
			return path, nil
		}
	}
	if path := library(name, root); path != "" {
		return path, nil
	}
	return "", fmt.Errorf("find executable or library %s: %w; give its path", name, os.ErrNotExist)
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// within is a path as seen from another root. Symbolic links that start at "/" mean that
// root: they are followed here, because the kernel would follow them to its own.
func within(root, path string) string {
	if root == "" {
		return path
	}
	for range 20 {
		target, err := os.Readlink(root + path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return root + path
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

// mapped looks a library up among those that a process has mapped.
func mapped(name string, pid int) string {
	if strings.Contains(name, "/") {
		return ""
	}
	for _, path := range Mapped(pid) {
		if matches(filepath.Base(path), name) {
			if whole := fmt.Sprintf("/proc/%d/root%s", pid, path); isFile(whole) {
				return whole
			}
		}
	}
	return ""
}

// Mapped are the files that a process may execute code of, as it sees their paths, in the
// order of their addresses. There are none of a process that is gone.
func Mapped(pid int) []string {
	file, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil
	}
	defer file.Close()
	var paths []string
	scanner := bufio.NewScanner(file)
	for scanner.Scan() { // start-end rwxp offset device inode path
		before, path, ok := strings.Cut(scanner.Text(), "/")
		fields := strings.Fields(before)
		if ok && len(fields) > 1 && strings.Contains(fields[1], "x") && !slices.Contains(paths, "/"+path) {
			paths = append(paths, "/"+path)
		}
	}
	return paths
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// library looks one up in the directories of the dynamic linker, and takes only one for this
// machine.
func library(name, root string) string {
	for _, dir := range libraryDirs(root) {
		entries, err := os.ReadDir(within(root, dir))
		if err != nil {
			continue
		}
		var found []string
		for _, e := range entries {
			if matches(e.Name(), name) {
				found = append(found, e.Name())
			}
		}
		slices.SortFunc(found, func(a, b string) int { return len(a) - len(b) })
		for _, file := range found {
			if path := within(root, dir+"/"+file); ours(path) {
				return path
			}
		}
	}
	return ""
}

var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// ours tells a library from a linker script of the same name, and from one for another machine.
func ours(path string) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return f.Machine == machines[runtime.GOARCH]
}

// libraryDirs are those of ld.so.conf and the usual ones.
func libraryDirs(root string) []string {
	var dirs []string
	files, _ := filepath.Glob(root + "/etc/ld.so.conf.d/*.conf")
	for _, path := range append([]string{root + "/etc/ld.so.conf"}, files...) {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "/") {
				dirs = append(dirs, line)
			}
		}
	}
	return append(dirs, "/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib",
		"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu")
}
