// SPDX-License-Identifier: Apache-2.0

package syntax

import (
	"fmt"
	"strings"
	"testing"
)

// lisp writes a tree with all parentheses, in another way than Print, so that a mistake
// in precedence cannot hide in the printer.
func lisp(x Expr) string {
	switch x := x.(type) {
	case nil:
		return "none"
	case *Integer:
		return fmt.Sprint(x.Value)
	case *String:
		return fmt.Sprintf("%q", x.Value)
	case *Name:
		return x.Name
	case *Variable:
		return x.Name
	case *Positional:
		return fmt.Sprintf("<%d %v %q %v %d>", x.Number, x.Given, x.Text, x.Numeric, int64(x.Value))
	case *Map:
		if x.Key == nil {
			return x.Name
		}
		return "(map " + x.Name + " " + lisp(x.Key) + ")"
	case *Tuple:
		return "(tuple" + lisps(x.Elems) + ")"
	case *Record:
		text := "(record"
		for _, f := range x.Fields {
			text += " " + f.Name + ":" + lisp(f.Value)
		}
		return text + ")"
	case *Call:
		return "(call " + x.Name + lisps(x.Args) + ")"
	case *Field:
		return fmt.Sprintf("(field %s %s %v)", lisp(x.Base), x.Name, x.Arrow)
	case *TupleIndex:
		return fmt.Sprintf("(elem %s %d)", lisp(x.Base), x.Index)
	case *Index:
		return "(index " + lisp(x.Base) + " " + lisp(x.Index) + ")"
	case *Unary:
		return "(" + x.Op.String() + " " + lisp(x.X) + ")"
	case *Step:
		return fmt.Sprintf("(step down=%v prefix=%v %s)", x.Down, x.Prefix, lisp(x.X))
	case *Binary:
		return "(" + x.Op.String() + " " + lisp(x.Left) + " " + lisp(x.Right) + ")"
	case *Ternary:
		return "(if " + lisp(x.Cond) + " " + lisp(x.Then) + " " + lisp(x.Else) + ")"
	case *Cast:
		return "(cast <" + lispType(x.Type) + "> " + lisp(x.X) + ")"
	case *Sizeof:
		if x.Type != nil {
			return "(sizeof <" + lispType(x.Type) + ">)"
		}
		return "(sizeof " + lisp(x.X) + ")"
	case *Offsetof:
		if x.Type != nil {
			return "(offsetof <" + lispType(x.Type) + "> " + strings.Join(x.Path, "/") + ")"
		}
		return "(offsetof " + lisp(x.X) + " " + strings.Join(x.Path, "/") + ")"
	case *BlockExpr:
		return fmt.Sprintf("(block %d %s)", len(x.Stmts), lisp(x.Value))
	}
	return fmt.Sprintf("?%T", x)
}

func lisps(list []Expr) string {
	text := ""
	for _, x := range list {
		text += " " + lisp(x)
	}
	return text
}

func lispType(t *Type) string {
	switch t.Kind {
	case PointerTo:
		return "pointer " + lispType(t.Elem)
	case ArrayOf:
		return fmt.Sprintf("array %d %s", t.Length, lispType(t.Elem))
	case TypeOf:
		return "typeof " + lisp(t.Of)
	}
	text := strings.TrimSpace(t.Tag + " " + t.Name)
	if t.Length > 0 {
		text += fmt.Sprintf(":%d", t.Length)
	}
	return text
}

// value reads one expression, as what is given to $x.
func value(t *testing.T, text string) Expr {
	t.Helper()
	program := parse(t, "begin { $x = "+text+"; }")
	if len(program.Probes) != 1 || len(program.Probes[0].Body.Stmts) != 1 {
		t.Fatalf("%s is not one statement", text)
	}
	assign, ok := program.Probes[0].Body.Stmts[0].(*Assign)
	if !ok {
		t.Fatalf("%s is a %T", text, program.Probes[0].Body.Stmts[0])
	}
	return assign.Value
}

func TestExpressions(t *testing.T) {
	for text, want := range map[string]string{
		"1 + 2 * 3 - 4":                "(- (+ 1 (* 2 3)) 4)",
		"1 - 2 - 3":                    "(- (- 1 2) 3)",
		"1 | 2 ^ 3 & 4":                "(| 1 (^ 2 (& 3 4)))",
		"1 & 2 == 3":                   "(& 1 (== 2 3))",
		"1 == 2 < 3":                   "(== 1 (< 2 3))",
		"1 < 2 << 3 + 4":               "(< 1 (<< 2 (+ 3 4)))",
		"1 || 2 && 3 | 4":              "(|| 1 (&& 2 (| 3 4)))",
		"8 / 4 / 2 % 3":                "(% (/ (/ 8 4) 2) 3)",
		"-1 + ~2 * !3":                 "(+ (- 1) (* (~ 2) (! 3)))",
		"- -1":                         "(- (- 1))",
		"1 ? 2 : 3 ? 4 : 5":            "(if 1 2 (if 3 4 5))",
		"1 ? 2 ? 3 : 4 : 5":            "(if 1 (if 2 3 4) 5)",
		"$a ?: 7":                      "(if $a none 7)",
		"(1 + 2) * 3":                  "(* (+ 1 2) 3)",
		"*$p.f":                        "(* (field $p f false))",
		"(*$p).f->g":                   "(field (field (* $p) f false) g true)",
		"-$p->f[1].2":                  "(- (elem (index (field $p f true) 1) 2))",
		"$t.0.1":                       "(elem (elem $t 0) 1)",
		"args.if.config":               "(field (field args if false) config false)",
		"&$y":                          "(& $y)",
		"$y++ + ++$z":                  "(+ (step down=false prefix=false $y) (step down=false prefix=true $z))",
		"@m[1]-- - --@":                "(- (step down=true prefix=false (map @m 1)) (step down=true prefix=true @))",
		"@m[1, comm]":                  "(map @m (tuple 1 comm))",
		"@m[(1, comm)]":                "(map @m (tuple 1 comm))",
		"@m[@n[1]]":                    "(map @m (map @n 1))",
		"()":                           "(tuple)",
		"(1,)":                         "(tuple 1)",
		"(1, (2, 3))":                  "(tuple 1 (tuple 2 3))",
		"(a=1, b=(c=2))":               "(record a:1 b:(record c:2))",
		"f()":                          "(call f)",
		"f(1, g(2))":                   "(call f 1 (call g 2))",
		"kstack(perf, 3)":              "(call kstack perf 3)",
		"(int8)1 + 2":                  "(+ (cast <int8> 1) 2)",
		"(int8)-1":                     "(cast <int8> (- 1))",
		"(uint64 *)$p":                 "(cast <pointer uint64> $p)",
		"*(int8 **)arg0":               "(* (cast <pointer pointer int8> arg0))",
		"(struct a *)$p->b":            "(cast <pointer struct a> (field $p b true))",
		"((struct a *)$p)->b":          "(field (cast <pointer struct a> $p) b true)",
		"(size_t)-1":                   "(cast <size_t> (- 1))",
		"(size_t *)arg1":               "(cast <pointer size_t> arg1)",
		"(uint8[8])1":                  "(cast <array 8 uint8> 1)",
		"(int32[])$x":                  "(cast <array 0 int32> $x)",
		"(string[16])$x":               "(cast <string:16> $x)",
		"(pid) - 1":                    "(- pid 1)",
		"(arg0) * 2":                   "(* arg0 2)",
		"(AF_INET) / 2":                "(/ AF_INET 2)",
		"(nsecs - @s[tid])":            "(- nsecs (map @s tid))",
		"sizeof(struct a)":             "(sizeof <struct a>)",
		"sizeof(int64)":                "(sizeof <int64>)",
		"sizeof($x + 1)":               "(sizeof (+ $x 1))",
		"sizeof(a_t)":                  "(sizeof a_t)",
		"sizeof(a_t *)":                "(sizeof <pointer a_t>)",
		"offsetof(struct a, b.c)":      "(offsetof <struct a> b/c)",
		"offsetof(*curtask, comm)":     "(offsetof (* curtask) comm)",
		"{ let $y = 1; $y }":           "(block 1 $y)",
		"if $a { 1 } else { 2 }":       "(if $a (block 0 1) (block 0 2))",
		`"a\n\t\"\\\x41\101\0"`:        `"a\n\t\"\\AA\x00"`,
		"$1":                           `<1 true "vfs_read" false 0>`,
		"$2":                           `<2 true "42" true 42>`,
		"$3":                           `<3 true "-7" true -7>`,
		"$9":                           `<9 false "" false 0>`,
		"$#":                           `<0 true "" true 4>`,
		"str($4)":                      `(call str <4 true "/bin/sh" false 0>)`,
		"'a' + '\\n' + '\\x7f'":        "(+ (+ 97 10) 127)",
		"true || false":                "(|| 1 0)",
		"1/* comment */+// another\n2": "(+ 1 2)",
	} {
		if got := lisp(value(t, text)); got != want {
			t.Errorf("%s is read as\n%s, expected\n%s", text, got, want)
		}
	}
}

func TestIntegers(t *testing.T) {
	for text, want := range map[string]Integer{
		"0":                    {},
		"1_000_000":            {Value: 1_000_000},
		"0x1F":                 {Value: 31},
		"0xffff_ffff":          {Value: 1<<32 - 1},
		"0b101":                {Value: 5},
		"0755":                 {Value: 0o755},
		"1e6":                  {Value: 1e6},
		"9e18":                 {Value: 9e18},
		"10U":                  {Value: 10, Unsigned: true},
		"10ull":                {Value: 10, Unsigned: true},
		"10LL":                 {Value: 10},
		"0x10UL":               {Value: 16, Unsigned: true},
		"9223372036854775807":  {Value: 1<<63 - 1},
		"9223372036854775808":  {Value: 1 << 63, Unsigned: true},
		"18446744073709551615": {Value: 1<<64 - 1, Unsigned: true},
		"5ns":                  {Value: 5, Duration: true},
		"1us":                  {Value: 1e3, Duration: true},
		"10ms":                 {Value: 10e6, Duration: true},
		"5s":                   {Value: 5e9, Duration: true},
		"2m":                   {Value: 120e9, Duration: true},
		"1h":                   {Value: 3600e9, Duration: true},
		"1d":                   {Value: 86400e9, Duration: true},
	} {
		got, err := parseInteger(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if want.Text = text; *got != want {
			t.Errorf("%s is read as %+v, expected %+v", text, *got, want)
		}
	}
	for _, text := range []string{"1x", "0xg", "1_", "18446744073709551616", "1e20", "2e19", "08", "0x", "1uu", "1lll", "999999999999d", "1e", "1_e3_"} {
		if n, err := parseInteger(text); err == nil {
			t.Errorf("%s is read as %d, expected an error", text, n.Value)
		}
	}
}
