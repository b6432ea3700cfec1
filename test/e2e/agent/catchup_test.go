// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"os/exec"
	"testing"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// TestCatchUp: who asks at once for what has just happened is told of it.
func TestCatchUp(t *testing.T) {
	a := newPrivateHouse(t).start()
	for i := range 50 {
		c := exec.Command("sh", "-c", "exit 0", fmt.Sprint("round-", i))
		if err := c.Run(); err != nil {
			t.Fatal(err)
		}
		stream, err := a.Observe(t.Context(), &skepv1.ObserveRequest{Last: 1, Filter: &skepv1.Filter{Kinds: []string{"exit"}, Pids: []uint32{uint32(c.Process.Pid)}}})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for stream.Receive() {
			n += len(stream.Msg().GetRecords())
		}
		if err := stream.Err(); err != nil || n != 1 {
			t.Fatalf("round %d: %d records of the exit, %v", i, n, err)
		}
		live := exec.Command("sleep", "100")
		start(t, live)
		_, err = a.GetProcess(t.Context(), &skepv1.GetProcessRequest{Pid: uint32(live.Process.Pid)})
		live.Process.Kill()
		live.Wait()
		if err != nil {
			t.Fatalf("round %d: a process that has just begun: %v", i, err)
		}
	}
	a.stop()
}
