// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strconv"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

// shownAnswers is how many answers a line shows; -o json has them all.
const shownAnswers = 4

// dns renders a query and what came of it:
// AAAA example.org → 10.0.0.1:53 NOERROR 2001:db8::1 in 1.2ms.
func (e essence) dns(dst []byte, d *skepv1.Dns) []byte {
	dst = append(dst, event.Printable(d.GetType())...)
	dst = append(dst, ' ')
	dst = e.append(dst, bold, event.Printable(d.GetName()))
	dst = append(dst, e.to...)
	dst = appendEndpoint(dst, d.GetServer())
	if d.GetProtocol() == "tcp" {
		dst = append(dst, " tcp"...)
	}
	dst = append(dst, ' ')
	if d.GetRcode() == "" {
		dst = e.append(dst, red, event.Printable(d.GetOutcome()))
	} else {
		dst = e.answer(dst, d)
	}
	if d.GetLatencyNs() > 0 {
		dst = append(dst, waited(d)...)
		dst = appendDuration(dst, time.Duration(d.GetLatencyNs()))
	}
	if n := d.GetRetransmits(); n > 0 {
		dst = append(dst, ", "...)
		dst = e.append(dst, yellow, strconv.FormatUint(uint64(n), 10)+" retransmits")
	}
	return dst
}

func waited(d *skepv1.Dns) string {
	if d.GetRcode() == "" {
		return " after "
	}
	return " in "
}

func (e essence) answer(dst []byte, d *skepv1.Dns) []byte {
	dst = e.append(dst, rcodeColour(d.GetRcode()), event.Printable(d.GetRcode()))
	for i, a := range d.GetAnswers() {
		if i == shownAnswers {
			break
		}
		dst = append(dst, ' ')
		if a.GetType() != d.GetType() {
			dst = append(append(dst, event.Printable(a.GetType())...), '=')
		}
		dst = append(dst, event.Printable(a.GetData())...)
	}
	if more := max(0, len(d.GetAnswers())-shownAnswers) + int(d.GetAnswersOmitted()); more > 0 {
		dst = append(dst, " and "...)
		dst = strconv.AppendInt(dst, int64(more), 10)
		dst = append(dst, " more"...)
	}
	for _, flag := range []struct {
		set  bool
		name string
	}{{d.GetTruncated(), "truncated"}, {d.GetOutcome() == "unmatched", "unmatched"}, {d.GetUndecoded() != "", "undecoded"}} {
		if flag.set {
			dst = append(dst, ' ')
			dst = e.append(dst, yellow, "["+flag.name+"]")
		}
	}
	return dst
}

func rcodeColour(rcode string) colour {
	if rcode == "NOERROR" {
		return plain
	}
	return red
}
