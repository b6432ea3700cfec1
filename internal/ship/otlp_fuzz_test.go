// SPDX-License-Identifier: Apache-2.0

package ship

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"
	"time"
	"unicode"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	"google.golang.org/protobuf/proto"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// answerer is a receiver that gives one answer to everything.
type answerer struct {
	status int
	after  string
	body   []byte
}

func (a *answerer) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: a.status, Header: http.Header{"Retry-After": {a.after}}, Body: io.NopCloser(bytes.NewReader(a.body))}, nil
}

// FuzzOTLPAnswer: whatever a receiver answers, each record is delivered, refused or kept for
// another attempt, which is not put off for long, and what is said of it can be printed.
func FuzzOTLPAnswer(f *testing.F) {
	partial, err := proto.Marshal(&collector.ExportLogsServiceResponse{PartialSuccess: &collector.ExportLogsPartialSuccess{
		RejectedLogRecords: 1 << 60, ErrorMessage: "no\x1b[2J\n"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(200, "", partial)
	f.Add(200, "", []byte("\xff\xff"))
	f.Add(429, "99999999999999999999", []byte{})
	f.Add(503, "3600", []byte("x"))
	f.Add(413, "", bytes.Repeat([]byte("x"), 2*maxAnswer))
	f.Add(500, "-1", []byte{})
	f.Add(302, "", []byte{})
	f.Fuzz(func(t *testing.T, status int, after string, body []byte) {
		spec, err := NewOTLP(OTLPOptions{Endpoint: "http://receiver.test"}, Node{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		c := spec.receiver.(*otlp)
		c.client.Transport = &answerer{100 + status&0x1ff, after, body}
		records := []*skepv1.Record{{Kind: "exec"}, {Kind: "exit"}, {Kind: "exec"}}
		lost := uint64(0)
		n, err := c.send(context.Background(), records, func(_ string, count uint64, why error) {
			lost += count
			for _, r := range why.Error() {
				if !unicode.IsPrint(r) {
					t.Errorf("it says %q", why)
				}
			}
		})
		if n < 0 || n > len(records) || lost > uint64(n) || err != nil && n > 0 {
			t.Errorf("%d of %d are done, %d of them lost, %v", n, len(records), lost, err)
		}
		if pause := later(err, time.Second); pause < time.Second || pause > 5*time.Minute {
			t.Errorf("the next attempt is in %v", pause)
		}
	})
}
