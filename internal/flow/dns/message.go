// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// Bounds of what is read of a message.
const (
	maxQuestions = 4 // more than one is against RFC 9619
	maxAnswers   = 64
	maxDataBytes = 1024
)

const headerBytes = 12

// Bits of the second word of a header (RFC 1035 4.1.1, RFC 2535 6.1).
const (
	bitResponse           = 1 << 15
	bitAuthoritative      = 1 << 10
	bitTruncated          = 1 << 9
	bitRecursionDesired   = 1 << 8
	bitRecursionAvailable = 1 << 7
	bitAuthenticData      = 1 << 5
)

// message is what is read of a DNS message: header, question, answers.
type message struct {
	id, bits uint16
	// The first question; name is "" where there is none.
	name         string
	folded       string // name in lower case: servers may change that
	qtype, class uint16
	answers      []*skepv1.DnsAnswer
	addresses    []address
	// omitted answers, and why.
	omitted uint32
	reason  string
}

// address is an answer that names may be remembered by.
type address struct {
	addr netip.Addr
	ttl  uint32
}

func (m *message) response() bool { return m.bits&bitResponse != 0 }

// parse reads a message of which the first bytes are in wire and which is length bytes
// long. It fails where not even the question can be read; what is wrong further on is
// said in reason.
func parse(wire []byte, length int) (message, error) {
	if len(wire) < headerBytes {
		return message{}, fmt.Errorf("%d bytes are no DNS message", len(wire))
	}
	m := message{id: binary.BigEndian.Uint16(wire), bits: binary.BigEndian.Uint16(wire[2:])}
	questions, answers := binary.BigEndian.Uint16(wire[4:]), binary.BigEndian.Uint16(wire[6:])
	at, err := m.questions(wire, int(questions))
	if err != nil {
		return message{}, err
	}
	if m.response() {
		m.answer(wire, at, int(answers))
		if m.omitted > 0 && len(wire) < length && m.reason != tooMany {
			m.reason = fmt.Sprintf("only %d of %d bytes were captured", len(wire), length)
		}
	}
	return m, nil
}

// questions reads the first question, skips others, and returns where they end.
func (m *message) questions(wire []byte, n int) (at int, err error) {
	if n > maxQuestions {
		return 0, fmt.Errorf("%d questions", n)
	}
	at = headerBytes
	for i := range n {
		name, next, err := dns.UnpackDomainName(wire, at)
		if err != nil {
			return 0, fmt.Errorf("question: %w", err)
		}
		if len(wire) < next+4 {
			return 0, errors.New("question: cut short")
		}
		if i == 0 {
			m.name, m.folded = name, strings.ToLower(name)
			m.qtype, m.class = binary.BigEndian.Uint16(wire[next:]), binary.BigEndian.Uint16(wire[next+2:])
		}
		at = next + 4
	}
	return at, nil
}

const tooMany = "there are more than 64"

func (m *message) answer(wire []byte, at, n int) {
	for i := range n {
		if i == maxAnswers {
			m.omit(n-i, tooMany)
			return
		}
		rr, next, err := dns.UnpackRR(wire, at)
		if err == nil && at >= len(wire) {
			err = errors.New("cut short") // the library takes this for an empty record
		}
		if err != nil {
			m.omit(n-i, err.Error())
			return
		}
		at = next
		m.keep(rr)
	}
}

func (m *message) omit(n int, reason string) { m.omitted, m.reason = uint32(n), reason }

func (m *message) keep(rr dns.RR) {
	h := rr.Header()
	a := &skepv1.DnsAnswer{Name: bare(h.Name), Type: typeName(h.Rrtype), Ttl: h.Ttl}
	switch rr := rr.(type) {
	case *dns.A:
		a.Data = m.address(rr.A, h.Ttl)
	case *dns.AAAA:
		a.Data = m.address(rr.AAAA, h.Ttl)
	case *dns.CNAME:
		a.Data = bare(rr.Target)
	case *dns.NS:
		a.Data = bare(rr.Ns)
	case *dns.PTR:
		a.Data = bare(rr.Ptr)
	case *dns.RFC3597:
		a.Data = fmt.Sprintf(`\# %d %s`, len(rr.Rdata)/2, rr.Rdata)
	default:
		if h.Rdlength > 0 {
			a.Data = strings.TrimPrefix(rr.String(), h.String())
		}
	}
	a.Data = strings.ToValidUTF8(a.Data[:min(len(a.Data), maxDataBytes)], "\uFFFD")
	m.answers = append(m.answers, a)
}

func (m *message) address(ip []byte, ttl uint32) string {
	a, ok := netip.AddrFromSlice(ip)
	if !ok {
		return ""
	}
	m.addresses = append(m.addresses, address{a.Unmap(), ttl})
	return a.String()
}

// bare is a name without its final dot, as people write it.
func bare(name string) string {
	if len(name) > 1 {
		return strings.TrimSuffix(name, ".")
	}
	return name
}

func typeName(t uint16) string {
	if name, ok := dns.TypeToString[t]; ok {
		return name
	}
	return dns.Type(t).String() // RFC 3597: TYPE65280
}

func className(c uint16) string {
	if c == dns.ClassINET {
		return ""
	}
	return dns.Class(c).String()
}

func (m *message) rcode() string {
	code := int(m.bits & 15)
	if name, ok := dns.RcodeToString[code]; ok {
		return name
	}
	return fmt.Sprintf("RCODE%d", code)
}

func (m *message) opcode() string {
	code := int(m.bits >> 11 & 15)
	if code == dns.OpcodeQuery {
		return ""
	}
	if name, ok := dns.OpcodeToString[code]; ok {
		return name
	}
	return fmt.Sprintf("OPCODE%d", code)
}
