// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// set stores a scalar or a list.
func set(n ast.Node, into any) error {
	switch list := into.(type) {
	case *[]string:
		return setStrings(n, list)
	case *[]int:
		return setInts(n, list)
	}
	switch n.Type() {
	case ast.SequenceType:
		return errors.New("must be a single value, not a list")
	case ast.MappingType, ast.MappingValueType:
		return errors.New("must be a single value, not a mapping")
	}
	switch into := into.(type) {
	case *string:
		return setString(n, into)
	case *bool:
		return setBool(n, into)
	case *int:
		return setInt(n, into)
	case *Size:
		return setSize(n, into)
	case *Share:
		return setShare(n, into)
	case *time.Duration:
		return setDuration(n, into)
	}
	return fmt.Errorf("has a type that skep.yaml does not know: %T", into)
}

// text is a scalar as it is written, without quotes.
func text(n ast.Node) string {
	if s, ok := n.(*ast.StringNode); ok {
		return s.Value
	}
	return n.GetToken().Value
}

func setString(n ast.Node, into *string) error {
	switch n := n.(type) {
	case *ast.StringNode:
		*into = n.Value
	case *ast.LiteralNode:
		*into = n.Value.Value
	default:
		return fmt.Errorf("must be a string: put %s in quotes", text(n))
	}
	return nil
}

func setStrings(n ast.Node, into *[]string) error {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		return errors.New("must be a list such as [a, b]")
	}
	list := make([]string, len(seq.Values))
	for i, item := range seq.Values {
		if setString(item, &list[i]) != nil {
			return fmt.Errorf("must be a list of strings; item %d (line %d) is not one", i+1, where(item).line)
		}
	}
	*into = list
	return nil
}

func setBool(n ast.Node, into *bool) error {
	b, ok := n.(*ast.BoolNode)
	if !ok {
		return fmt.Errorf("must be true or false, not %q", text(n))
	}
	*into = b.Value
	return nil
}

func setInt(n ast.Node, into *int) error {
	i, err := strconv.Atoi(text(n))
	if err != nil || n.Type() != ast.IntegerType {
		return fmt.Errorf("must be a whole number, not %q", text(n))
	}
	*into = i
	return nil
}

func setInts(n ast.Node, into *[]int) error {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		return errors.New("must be a list such as [53]")
	}
	list := make([]int, len(seq.Values))
	for i, item := range seq.Values {
		if setInt(item, &list[i]) != nil {
			return fmt.Errorf("must be a list of whole numbers; item %d (line %d) is not one", i+1, where(item).line)
		}
	}
	*into = list
	return nil
}

func setDuration(n ast.Node, into *time.Duration) error {
	value, unit := text(n), time.Duration(1)
	if days, ok := strings.CutSuffix(value, "d"); ok {
		value, unit = days+"h", 24 // a day is 24 hours
	}
	t, err := time.ParseDuration(value)
	if err != nil || t > math.MaxInt64/unit || t < math.MinInt64/unit {
		return fmt.Errorf("must be a duration such as 500ms, 5s, 2h or 7d, not %q", text(n))
	}
	t *= unit
	*into = t
	return nil
}

func setSize(n ast.Node, into *Size) error {
	s, err := ParseSize(text(n))
	if err != nil {
		return fmt.Errorf("must be %w, not %q", err, text(n))
	}
	*into = s
	return nil
}

func setShare(n ast.Node, into *Share) error {
	s, err := ParseShare(text(n))
	if err != nil {
		return fmt.Errorf("must be %w, not %q", err, text(n))
	}
	*into = s
	return nil
}
