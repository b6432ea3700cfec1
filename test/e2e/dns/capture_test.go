// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"encoding/xml"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// field is an element of tshark's PDML: a protocol, a field, or a group of them.
type field struct {
	Name   string  `xml:"name,attr"`
	Show   string  `xml:"show,attr"`
	Fields []field `xml:"field"`
}

// values are fields by their names; several of one name are joined by "|".
type values map[string]string

func (v values) add(f *field) {
	if old, twice := v[f.Name]; twice {
		v[f.Name] = old + "|" + f.Show
	} else {
		v[f.Name] = f.Show
	}
	for i := range f.Fields {
		v.add(&f.Fields[i])
	}
}

func (v values) number(t *testing.T, name string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(v[name], 0, 64)
	if err != nil {
		t.Fatalf("tshark says %q for %s", v[name], name)
	}
	return n
}

func (v values) flag(name string) bool { return v[name] == "1" || v[name] == "True" }

// message is a DNS message as tshark decodes it: its frame's fields and its own, without
// those of its records, and the records of its answer section.
type message struct {
	values
	answers []values
}

// decode has tshark read a capture. A frame may hold several messages.
func decode(t *testing.T, file string) []*message {
	t.Helper()
	out, err := exec.Command("tshark", "-r", file, "-n", "-Y", "dns", "-T", "pdml", "-J", "frame ip ipv6 udp tcp dns").Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	var capture struct {
		Packets []struct {
			Protocols []field `xml:"proto"`
		} `xml:"packet"`
	}
	if err := xml.Unmarshal(out, &capture); err != nil {
		t.Fatalf("read what tshark says: %v", err)
	}
	var all []*message
	for _, p := range capture.Packets {
		for _, protocol := range p.Protocols {
			if protocol.Name == "dns" {
				all = append(all, newMessage(p.Protocols, protocol))
			}
		}
	}
	return all
}

func newMessage(frame []field, dns field) *message {
	m := &message{values: values{}}
	for i := range frame {
		if frame[i].Name != "dns" {
			m.add(&frame[i])
		}
	}
	for i := range dns.Fields {
		switch f := &dns.Fields[i]; f.Show {
		case "Answers":
			for j := range f.Fields {
				record := values{}
				record.add(&f.Fields[j])
				m.answers = append(m.answers, record)
			}
		case "Authoritative nameservers", "Additional records":
		default:
			m.add(f)
		}
	}
	return m
}

func (m *message) response() bool { return m.flag("dns.flags.response") }

// nanos is when the frame was captured.
func (m *message) nanos(t *testing.T) int64 {
	t.Helper()
	s, ns, _ := strings.Cut(m.values["frame.time_epoch"], ".")
	whole, err1 := strconv.ParseInt(s, 10, 64)
	part, err2 := strconv.ParseInt((ns + "000000000")[:9], 10, 64)
	if err1 != nil || err2 != nil {
		t.Fatalf("tshark says %q for a time", m.values["frame.time_epoch"])
	}
	return whole*1e9 + part
}

// size is the message's length on the wire.
func (m *message) size(t *testing.T) int64 {
	if m.values["udp.srcport"] != "" {
		return m.number(t, "udp.length") - 8
	}
	return m.number(t, "dns.length")
}

// transaction names the query that a message is or answers: both ends, protocol, id and question.
func (m *message) transaction(t *testing.T) string {
	v := m.values
	client := v["ip.src"] + v["ipv6.src"] + " " + v["udp.srcport"] + v["tcp.srcport"]
	server := v["ip.dst"] + v["ipv6.dst"] + " " + v["udp.dstport"] + v["tcp.dstport"]
	if m.response() {
		client, server = server, client
	}
	protocol := "udp"
	if v["tcp.srcport"] != "" {
		protocol = "tcp"
	}
	return fmt.Sprintf("%s %s %s %d %s %s", client, server, protocol, m.number(t, "dns.id"), v["dns.qry.name"], v["dns.qry.type"])
}

// owner is the name that a record is about; tshark takes that of a service apart.
func (v values) owner() string {
	if v["dns.srv.name"] != "" {
		return v["dns.srv.service"] + "." + v["dns.srv.proto"] + "." + v["dns.srv.name"]
	}
	return v["dns.resp.name"]
}

// data is what a record says, in presentation format.
func (v values) data(t *testing.T) string {
	t.Helper()
	switch v["dns.resp.type"] {
	case "1":
		return v["dns.a"]
	case "5":
		return v["dns.cname"]
	case "12":
		return v["dns.ptr.domain_name"]
	case "15":
		return v["dns.mx.preference"] + " " + v["dns.mx.mail_exchange"] + "."
	case "16":
		var quoted []string
		for _, text := range strings.Split(v["dns.txt"], "|") {
			quoted = append(quoted, `"`+strings.ReplaceAll(text, `"`, `\"`)+`"`)
		}
		return strings.Join(quoted, " ")
	case "28":
		return v["dns.aaaa"]
	case "33":
		return fmt.Sprintf("%s %s %s %s.", v["dns.srv.priority"], v["dns.srv.weight"], v["dns.srv.port"], v["dns.srv.target"])
	case "257":
		return fmt.Sprintf("%d %s %q", v.number(t, "dns.caa.flags"), v["dns.caa.tag"], v["dns.caa.value"])
	}
	t.Fatalf("tshark tells of a record of type %s", v["dns.resp.type"])
	return ""
}
