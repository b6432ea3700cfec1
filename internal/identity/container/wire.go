// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// The messages that are needed of containerd and CRI have a handful of fields.
// Reading them off the wire keeps the generated packages, and grpc with them,
// out of skepd (4.4 MiB of it), and lets no field in that was not asked for.

var errWire = errors.New("malformed protobuf")

// message is an encoded protobuf message.
type message []byte

// each calls f for every length-delimited field, and skips all others.
func (m message) each(f func(number protowire.Number, value []byte) error) error {
	for b := []byte(m); len(b) > 0; {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("%w: %w", errWire, protowire.ParseError(n))
		}
		b = b[n:]
		var value []byte
		if kind == protowire.BytesType {
			value, n = protowire.ConsumeBytes(b)
		} else {
			n = protowire.ConsumeFieldValue(number, kind, b)
		}
		if n < 0 {
			return fmt.Errorf("%w: %w", errWire, protowire.ParseError(n))
		}
		b = b[n:]
		if kind == protowire.BytesType {
			if err := f(number, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// field returns the last value of a field, nil if there is none.
func (m message) field(number protowire.Number) (value message, err error) {
	err = m.each(func(n protowire.Number, v []byte) error {
		if n == number {
			value = v
		}
		return nil
	})
	return value, err
}

// path follows nested fields: m.path(1, 2) is field 2 of field 1.
func (m message) path(numbers ...protowire.Number) (message, error) {
	var err error
	for _, n := range numbers {
		if m, err = m.field(n); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// labels reads a map<string, string> field.
func (m message) labels(number protowire.Number) (map[string]string, error) {
	labels := make(map[string]string)
	err := m.each(func(n protowire.Number, entry []byte) error {
		if n != number || len(labels) >= maxLabels {
			return nil
		}
		key, err := message(entry).field(1)
		if err != nil {
			return err
		}
		value, err := message(entry).field(2)
		labels[string(key)] = string(value)
		return err
	})
	return labels, err
}

// with appends a string or message field; a request is built from nil.
func (m message) with(number protowire.Number, value string) message {
	return protowire.AppendString(protowire.AppendTag(m, number, protowire.BytesType), value)
}

type fieldNumber = protowire.Number

// text stores a nested string field.
func (m message) text(into *string, path ...fieldNumber) error {
	value, err := m.path(path...)
	*into = string(value)
	return err
}
