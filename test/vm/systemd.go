// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"fmt"
	"os"
	"path/filepath"
)

// systemdPrograms are what a guest needs that systemd starts.
var systemdPrograms = []string{"/lib/systemd/systemd", "systemctl", "systemd-analyze"}

// executor is what newer versions start their services with.
const executor = "/lib/systemd/systemd-executor"

// AddSystemd puts the host's systemd into files, with the targets and slices that it needs to come up, and no service.
func AddSystemd(files map[string]string) error {
	programs := systemdPrograms
	if _, err := os.Stat(executor); err == nil {
		programs = append(programs[:len(programs):len(programs)], executor)
	}
	for _, name := range programs {
		if err := AddProgram(files, name); err != nil {
			return fmt.Errorf("%w; install systemd", err)
		}
	}
	for _, kind := range []string{"target", "slice"} {
		units, err := filepath.Glob("/lib/systemd/system/*." + kind)
		if err != nil || len(units) == 0 {
			return fmt.Errorf("add systemd: no %ss in /lib/systemd/system (%v)", kind, err)
		}
		for _, unit := range units {
			if file, err := filepath.EvalSymlinks(unit); err == nil { // default.target is the guest's own
				files[unit] = file
			}
		}
	}
	return nil
}
