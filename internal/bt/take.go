// SPDX-License-Identifier: Apache-2.0

package bt

import (
	"slices"

	"github.com/skep-io/skep/internal/bt/syntax"
)

// taking is what is known of maps that are printed and then cleared: whoever reads the ring
// does both at once, so that nothing is lost of what comes in between.
type taking struct {
	prints map[*syntax.Call]bool // print() that clears as well
	clears map[*syntax.Call]bool // clear() that has nothing left to do
	summed map[string]bool       // maps whose values the script adds to, shows and takes, and does nothing else with
}

// between are the functions that may stand between print() and clear(): nothing of them ends
// the program or changes the map.
var between = map[string]bool{"print": true, "clear": true, "time": true, "printf": true}

// findTaken finds them in all of a script, whose types are known.
func (s *script) findTaken() {
	s.taking = taking{map[*syntax.Call]bool{}, map[*syntax.Call]bool{}, map[string]bool{}}
	uses, plain := map[string]int{}, map[string]int{} // of each map: all, and those that do not read it
	note := func(x syntax.Expr) {
		if m, ok := x.(*syntax.Map); ok {
			plain[m.Name]++
		}
	}
	visit := func(n syntax.Node) {
		switch n := n.(type) {
		case *syntax.Block:
			s.pairs(n.Stmts)
		case *syntax.BlockExpr:
			s.pairs(n.Stmts)
		case *syntax.Map:
			uses[n.Name]++
		case *syntax.Assign:
			if n.Op == syntax.NoOp {
				note(n.Target)
			}
		case *syntax.Call:
			if m := wholeMap(n); m != nil && (n.Name == "print" || n.Name == "clear") {
				note(m)
			}
		}
	}
	walkProgram(s.program, visit)
	for print := range s.prints {
		name := print.Args[0].(*syntax.Map).Name
		s.summed[name] = uses[name] == plain[name] && s.maps[name] != nil && s.maps[name].adds()
	}
}

// pairs finds each print() of a whole map in a list that a clear() of it follows.
func (s *script) pairs(list []syntax.Stmt) {
	printed := map[string]*syntax.Call{}
	for _, stmt := range list {
		only, ok := stmt.(*syntax.ExprStmt)
		var call *syntax.Call
		if ok {
			call, ok = only.X.(*syntax.Call)
		}
		if !ok || !between[call.Name] || slices.ContainsFunc(call.Args, runs) {
			clear(printed)
			continue
		}
		m := wholeMap(call)
		switch {
		case m == nil:
		case call.Name == "print":
			printed[m.Name] = call
		case call.Name == "clear" && printed[m.Name] != nil:
			s.prints[printed[m.Name]], s.clears[call] = true, true
			delete(printed, m.Name)
		}
	}
}

// wholeMap is what a function is called with if that is a map without a key.
func wholeMap(call *syntax.Call) *syntax.Map {
	if len(call.Args) == 0 {
		return nil
	}
	if m, ok := call.Args[0].(*syntax.Map); ok && m.Key == nil {
		return m
	}
	return nil
}

// adds tells whether values of the map are sums, and stay until they are cleared.
func (m *mapInfo) adds() bool {
	switch m.value.Kind {
	case CountOf, SumOf, AvgOf, StatsOf, HistogramOf, LinearHistogramOf:
		return m.kind() == PerCPUHash || m.kind() == PerCPUArray
	}
	return false
}
