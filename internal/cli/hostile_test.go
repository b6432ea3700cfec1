// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

// checkPrintable fails unless every line is safe on a terminal.
func checkPrintable(t *testing.T, what, out string) {
	t.Helper()
	for _, line := range strings.Split(out, "\n") {
		if event.Printable(line) != line {
			t.Fatalf("%s: %q is not safe on a terminal", what, line)
		}
	}
}

// Whatever is in a record, it is one line, and a safe one.
func FuzzRecord(f *testing.F) {
	for _, r := range sampleRecords() {
		data, err := proto.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var r skepv1.Record
		if proto.Unmarshal(data, &r) != nil {
			return
		}
		a := &app{err: io.Discard}
		for _, output := range []string{"compact", "table", "json"} {
			line := a.newPrinter(output).record(nil, &r)
			if bytes.Count(line, []byte{'\n'}) != 1 || line[len(line)-1] != '\n' {
				t.Fatalf("%s: %q is not one line", output, line)
			}
			checkPrintable(t, output, string(line))
		}
	})
}

// The pages that show tables, and one process.
func FuzzPages(f *testing.F) {
	all := sampleProcesses()
	data, err := proto.Marshal(&skepv1.GetProcessResponse{Process: all[2], Ancestors: all[:2], Children: all[3:], Connections: sampleConnections()})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		var got skepv1.GetProcessResponse
		if proto.Unmarshal(data, &got) != nil {
			return
		}
		a := &app{screen: screen{utf8: true}, err: io.Discard}
		v := sheet{screen: a.screen, users: userNames{}, now: time.Now()}
		v.process(got.GetProcess())
		v.relatives(&got)
		v.connections(a, got.GetConnections())
		checkPrintable(t, "ps ID", v.String())
		rows := inOrder(append(got.GetAncestors(), got.GetChildren()...))
		p := processView{app: a, exited: true, users: userNames{}, now: time.Now()}
		checkPrintable(t, "ps", p.render(flat(rows)))
		checkPrintable(t, "ps --tree", p.render(newForest(rows).lines(rows, a.screen)))
	})
}

func FuzzStatus(f *testing.F) {
	s, err := proto.Marshal(sampleStatus())
	if err != nil {
		f.Fatal(err)
	}
	d, err := proto.Marshal(sampleDoctor(false))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s, d)
	f.Fuzz(func(t *testing.T, status, doctor []byte) {
		var s skepv1.GetStatusResponse
		var d skepv1.GetDoctorResponse
		if proto.Unmarshal(status, &s) != nil || proto.Unmarshal(doctor, &d) != nil {
			return
		}
		a := &app{err: io.Discard}
		checkPrintable(t, "status", a.statusPage(&s))
		checkPrintable(t, "doctor", doctorPage(a.screen, &d, true))
		checkPrintable(t, "up", strings.Join(rateParts(nil, &s, time.Second), "  "))
	})
}
