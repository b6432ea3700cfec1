// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// checkOutput applies the rules of one output.
func (d *decoder) checkOutput(path string, o Output) {
	rules := []struct {
		key string
		err error
	}{
		{"", o.oneTarget()},
		{"", d.filterErr(&o)},
		{".file.path", optional(o.File.Path, absolute)},
		{".file.max_bytes", between(o.File.MaxBytes, 64<<10, 1<<40)},
		{".file.keep", between(o.File.Keep, 0, 1000)},
		{".syslog", o.syslogErr()},
		{".otlp.endpoint", optional(o.OTLP.Endpoint, endpoint)},
		{".otlp.headers", headersErr(o.OTLP.Headers)},
		{".otlp.metrics", pushErr(o.OTLP.Metrics)},
	}
	for _, r := range rules {
		if r.err != nil && d.whole(path+r.key) {
			d.fault(d.nearest(path+r.key), "%s %s", path+r.key, r.err)
		}
	}
}

func (o *Output) oneTarget() error {
	n := 0
	for _, target := range []string{o.File.Path, o.Syslog.Address, o.OTLP.Endpoint} {
		if target != "" {
			n++
		}
	}
	if n != 1 {
		return errors.New("must have one of file.path, syslog.address and otlp.endpoint")
	}
	return nil
}

func (d *decoder) filterErr(o *Output) error {
	if d.filter == nil {
		return nil
	}
	return d.filter(o.Filter())
}

func (o *Output) syslogErr() error {
	if o.Syslog.Address == "" {
		return nil
	}
	_, _, addressErr := o.Syslog.Dial()
	_, facilityErr := o.Syslog.FacilityNumber()
	return errors.Join(addressErr, facilityErr)
}

func headersErr(headers map[string]string) error {
	for name, value := range headers {
		if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			return fmt.Errorf("must have values without control characters; that of %s has one", name)
		}
	}
	return nil
}

func pushErr(every time.Duration) error {
	if every == 0 {
		return nil
	}
	return between(every, time.Second, 24*time.Hour)
}

// nearest is where a value is or, if it was not set, the thing that it belongs to.
func (d *decoder) nearest(path string) position {
	for {
		if p, ok := d.at[path]; ok || path == "" {
			return p
		}
		path = path[:max(0, strings.LastIndexByte(path, '.'))]
	}
}

func endpoint(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("must be a URL such as http://collector:4318 or https://host/otlp")
	}
	return nil
}

var errSyslogAddress = errors.New("must have an address such as unix:///dev/log, udp://host:514 or tcp://host:601")

// Dial turns the address into what net.Dial takes.
func (s ShipSyslog) Dial() (network, address string, err error) {
	u, err := url.Parse(s.Address)
	switch {
	case err != nil:
	case u.Scheme == "unix" && u.Host == "" && u.Path != "":
		return "unixgram", u.Path, socketPath(u.Path)
	case (u.Scheme == "udp" || u.Scheme == "tcp") && u.Port() != "" && u.Hostname() != "" && strings.Trim(u.Path, "/") == "":
		return u.Scheme, u.Host, nil
	}
	return "", "", errSyslogAddress
}

// facilities are those of RFC 5424, section 6.2.1, by their usual names, in order.
var facilities = []string{
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
	"ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
}

// FacilityNumber is the code of the facility.
func (s ShipSyslog) FacilityNumber() (int, error) {
	code := slices.Index(facilities, s.Facility)
	if code < 0 {
		return 0, fmt.Errorf("has no facility %q; there are %s", s.Facility, strings.Join(facilities, ", "))
	}
	return code, nil
}
