// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"testing"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

// What a live stream costs for each record on both sides together: log, cursor,
// protobuf, HTTP/2 and socket.
func BenchmarkObserve(b *testing.B) {
	for _, streams := range []int{1, 4} {
		b.Run(fmt.Sprint("streams=", streams), func(b *testing.B) {
			a := startAgent(b)
			done := make(chan bool)
			for range streams {
				s := observe(b, a, &skepv1.ObserveRequest{Follow: true})
				awaitLive(b, s)
				go func() {
					for n := 0; n < 512 && s.Receive(); {
						if n += len(s.Msg().GetRecords()); n == 512 {
							n = 0
							done <- true
						}
					}
				}()
			}
			r := record(event.Exec, 1)
			r.Body = &skepv1.Record_Exec{Exec: &skepv1.Exec{Args: []string{"/usr/bin/true", "a", "b"}, Cwd: "/home/user", File: &skepv1.File{Path: "/usr/bin/true", Inode: 5}}}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				a.log.Append(event.Exec, r)
				if i%512 == 511 {
					a.log.Flush()
					for range streams {
						<-done
					}
				}
			}
		})
	}
}
