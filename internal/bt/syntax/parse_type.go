// SPDX-License-Identifier: Apache-2.0

package syntax

// typeNames are the types that the language has names for. Any other name is looked up on
// the host.
var typeNames = map[string]bool{
	"void": true, "bool": true, "int8": true, "int16": true, "int32": true, "int64": true,
	"uint8": true, "uint16": true, "uint32": true, "uint64": true,
	"string": true, "inet": true, "buffer": true, "timestamp": true, "macaddr_t": true,
	"cgroup_path_t": true, "strerror_t": true, "ksym_t": true, "usym_t": true, "username": true,
	"kstack_t": true, "ustack_t": true, "hist_t": true, "lhist_t": true, "probe_t": true,
	"min_t": true, "max_t": true, "sum_t": true, "count_t": true, "avg_t": true, "stats_t": true,
	"umin_t": true, "umax_t": true, "usum_t": true, "ucount_t": true, "uavg_t": true, "ustats_t": true,
}

// builtins are words that are values, so that (pid) - 1 is no cast.
var builtins = map[string]bool{
	"args": true, "cgroup": true, "comm": true, "cpid": true, "cpu": true, "ctx": true,
	"curtask": true, "elapsed": true, "func": true, "gid": true, "jiffies": true, "kstack": true,
	"ncpus": true, "nsecs": true, "numaid": true, "pid": true, "ppid": true, "probe": true,
	"rand": true, "retval": true, "tid": true, "uid": true, "usermode": true, "ustack": true,
	"container": true, "pod": true, "exe": true, "ancestors": true, "exec_id": true,
	"true": true, "false": true,
}

// isBuiltin tells whether a word is a value of the language itself: also arg0, sarg0.
func isBuiltin(word string) bool {
	if builtins[word] {
		return true
	}
	for _, prefix := range []string{"arg", "sarg"} {
		if len(word) == len(prefix)+1 && word[:len(prefix)] == prefix && isDigit(word[len(prefix)]) {
			return true
		}
	}
	return false
}

func isTag(word string) bool { return word == "struct" || word == "union" || word == "enum" }

// typ reads a type.
func (p *parser) typ() *Type {
	p.enter()
	defer p.leave()
	t := &Type{At: p.here()}
	if p.tok.is("typeof") && p.peek().is("(") {
		return p.suffixes(p.typeof(t))
	}
	if p.tok.kind == tokWord && isTag(p.tok.text) {
		t.Tag = p.next().text
	}
	t.Name = p.word("a type").text
	if p.tok.is("[") && isSized(t) && !p.peek().is("]") {
		t.Length = p.length()
	}
	return p.suffixes(t)
}

// isSized tells whether [n] behind a name is the size of the value in bytes, and not the
// length of an array of them.
func isSized(t *Type) bool {
	return t.Tag == "" && (t.Name == "string" || t.Name == "buffer" || t.Name == "inet")
}

// typeof reads typeof(expression) and typeof(type).
func (p *parser) typeof(t *Type) *Type {
	t.Kind = TypeOf
	p.next()
	p.expect("(")
	if p.isType(p.tok.start, ")") {
		t.Elem = p.typ()
	} else {
		t.Of = p.expr()
	}
	p.expect(")")
	return t
}

// suffixes reads * and [n] behind a type.
func (p *parser) suffixes(t *Type) *Type {
	for {
		at := p.here()
		switch {
		case p.tok.is("*"):
			p.next()
			t = &Type{At: at, Kind: PointerTo, Elem: t}
		case p.tok.is("["):
			t = &Type{At: at, Kind: ArrayOf, Elem: t, Length: p.length()}
		default:
			return t
		}
		p.operator()
	}
}

// length reads [n] or [].
func (p *parser) length() uint64 {
	p.next()
	if p.accept("]") {
		return 0
	}
	if p.tok.kind != tokInteger {
		p.expected("the length of an array")
	}
	n := p.integer().Value
	p.expect("]")
	return n
}

// isType tells whether the text from an offset to a closing token is a type and cannot be
// an expression. A single name that is no type of the language can be both: it is none.
func (p *parser) isType(offset int, closing string) bool {
	if len(p.queue) > 0 {
		return false
	}
	name, suffixed, after := p.scanType(offset)
	return after.is(closing) && (suffixed || typeNames[name] || isTag(name)) && !isBuiltin(name)
}

// scanType looks over what may be a type: its first word, whether * or [n] follows, and
// what is behind it.
func (p *parser) scanType(offset int) (name string, suffixed bool, after token) {
	t := p.scan.next(offset)
	if t.kind != tokWord {
		return "", false, token{}
	}
	name = t.text
	if t = p.scan.next(t.end); isTag(name) {
		if t.kind != tokWord {
			return "", false, token{}
		}
		t = p.scan.next(t.end)
	}
	for t.is("*") || t.is("[") {
		suffixed = true
		if t.is("[") {
			if t = p.scan.next(t.end); t.kind == tokInteger {
				t = p.scan.next(t.end)
			}
			if !t.is("]") {
				return "", false, token{}
			}
		}
		t = p.scan.next(t.end)
	}
	return name, suffixed, t
}

// isCast tells (type)x from (x): a word that is no value, and suffixes, in parentheses,
// with an operand behind them.
func (p *parser) isCast() bool {
	if len(p.queue) > 0 {
		return false
	}
	open := p.tok.end
	first := p.scan.next(open)
	if first.is("typeof") {
		return p.scan.next(first.end).is("(")
	}
	name, _, after := p.scanType(open)
	if name == "" || !after.is(")") || isBuiltin(name) {
		return false
	}
	if typeNames[name] || isTag(name) {
		return true
	}
	return p.startsOperand(p.scan.next(after.end))
}

// startsOperand tells whether an operand can begin with a token. A slash cannot: that is
// the end of a predicate or a division.
func (p *parser) startsOperand(t token) bool {
	switch t.kind {
	case tokWord, tokInteger, tokString, tokVariable, tokPositional, tokMap:
		return true
	case tokPunct:
		_, prefix := prefixes[t.text]
		return prefix || t.text == "("
	}
	return false
}

// sizeof reads sizeof(type) and sizeof(expression).
func (p *parser) sizeof(at At) Expr {
	p.next()
	p.expect("(")
	s := &Sizeof{At: at}
	s.Type, s.X = p.typeOrExpr(")")
	p.expect(")")
	return s
}

// offsetof reads offsetof(type, a.b) and offsetof(expression, a.b).
func (p *parser) offsetof(at At) Expr {
	p.next()
	p.expect("(")
	o := &Offsetof{At: at}
	o.Type, o.X = p.typeOrExpr(",")
	p.expect(",")
	for {
		o.Path = append(o.Path, p.word("the name of a field").text)
		if !p.accept(".") {
			break
		}
	}
	p.expect(")")
	return o
}

func (p *parser) typeOrExpr(closing string) (*Type, Expr) {
	if p.tok.is("typeof") || p.isType(p.tok.start, closing) {
		return p.typ(), nil
	}
	return nil, p.expr()
}
