// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// timerSlack is how late the kernel may end a wait of this process. The clock of the Go
// runtime (sysmon) sleeps 20 µs at a time while anything runs: with the kernel's default of
// 50 µs it wakes some fifty times in each burst of records, a tenth of the agent's CPU.
// Nothing here waits for less than the ticks of the rings, which are 50 ms.
const timerSlack = 500 * time.Microsecond

// relaxTimers gives all threads the slack; those to come inherit it. Without CAP_SYS_NICE
// they keep the default, which costs only the CPU.
func relaxTimers() {
	threads, _ := filepath.Glob("/proc/self/task/*")
	for _, t := range threads {
		_ = os.WriteFile(filepath.Join("/proc", filepath.Base(t), "timerslack_ns"), strconv.AppendInt(nil, timerSlack.Nanoseconds(), 10), 0)
	}
}
