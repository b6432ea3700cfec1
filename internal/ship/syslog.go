// SPDX-License-Identifier: Apache-2.0

package ship

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/event/filters"
)

const (
	severityWarning = 4
	severityInfo    = 6
)

// sendTimeout bounds one write, and one dial.
const sendTimeout = 10 * time.Second

// SyslogOptions say where to: Network "unixgram", "udp" (RFC 5426) or "tcp" (RFC 6587, octet
// counting), Facility as the number in RFC 5424, section 6.2.1.
type SyslogOptions struct {
	Network, Address string
	Facility         int
}

// NewSyslog makes a spec that writes RFC 5424 messages. It does no I/O.
func NewSyslog(o SyslogOptions, node Node, filter *filters.Filter) *Spec {
	s := &syslog{SyslogOptions: o, host: headerText(node.Name, 255), pid: strconv.Itoa(os.Getpid())}
	return &Spec{Type: "syslog", Target: o.Network + " " + o.Address, Filter: filter, Linger: 100 * time.Millisecond, receiver: s}
}

// syslog connects when it has something to say, and again after a failure.
type syslog struct {
	SyslogOptions
	host, pid string
	conn      net.Conn
}

func (s *syslog) send(ctx context.Context, records []*skepv1.Record, refused refuse) (int, error) {
	if s.conn == nil {
		conn, err := (&net.Dialer{Timeout: sendTimeout}).DialContext(ctx, s.Network, s.Address)
		if err != nil {
			return 0, fmt.Errorf("connect to syslog: %w", err)
		}
		s.conn = conn
	}
	conn := s.conn
	defer context.AfterFunc(ctx, func() { conn.Close() })() // a receiver that does not read must not hold the stop up
	var text []byte
	for i, r := range records {
		text = s.message(text[:0], r)
		err := s.write(text)
		if errors.Is(err, unix.EMSGSIZE) {
			refused(r.GetKind(), 1, fmt.Errorf("a message of %d bytes does not fit into a datagram", len(text)))
			continue
		}
		if err != nil {
			s.close()
			return i, fmt.Errorf("write to syslog: %w", err)
		}
	}
	return len(records), nil
}

func (s *syslog) write(text []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	if s.Network == "tcp" {
		text = append(append(strconv.AppendInt(nil, int64(len(text)), 10), ' '), text...)
	}
	_, err := s.conn.Write(text)
	return err
}

func (s *syslog) close() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

// message appends "<PRI>1 TIME HOST skepd PID KIND - JSON" (RFC 5424, section 6).
func (s *syslog) message(dst []byte, r *skepv1.Record) []byte {
	dst = append(dst, '<')
	dst = strconv.AppendInt(dst, int64(s.Facility*8+severity(r)), 10)
	dst = append(dst, ">1 "...)
	dst = r.GetTime().AsTime().AppendFormat(dst, "2006-01-02T15:04:05.000000Z07:00")
	dst = append(dst, ' ')
	dst = append(dst, s.host...)
	dst = append(dst, " skepd "...)
	dst = append(dst, s.pid...)
	dst = append(dst, ' ')
	dst = append(dst, headerText(r.GetKind(), 32)...)
	dst = append(dst, " - "...)
	return event.AppendJSON(dst, r)
}

// severity is informational but for what somebody should look at.
func severity(r *skepv1.Record) int {
	if kind, ok := event.KindOf(r); ok && (kind == event.Loss || kind == event.Oom) {
		return severityWarning
	}
	return severityInfo
}

// headerText keeps what a header field may hold: printable ASCII without blanks.
func headerText(s string, most int) string {
	clean := strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	if clean == "" {
		return "-"
	}
	return clean[:min(len(clean), most)]
}
