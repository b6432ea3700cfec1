// SPDX-License-Identifier: Apache-2.0

package bt

import "strings"

// userSpace tells whether an address that a probe gives without a type is one of the
// process.
func (c *checker) userSpace() bool { return c.unit.userSpace() }

func (u *unit) userSpace() bool {
	switch u.asked() {
	case Uprobe, Uretprobe, USDT:
		return true
	case Tracepoint:
		return len(u.targets) > 0 && u.targets[0].Category == "syscalls"
	}
	return false
}

// anySpace tells whether nothing is known of such an address.
func (u *unit) anySpace() bool {
	switch u.kind {
	case Begin, End, Self, Interval, Profile, Software, Hardware, Watchpoint, AsyncWatchpoint:
		return true
	}
	return u.fn != nil
}

// arguments are the members of args, which depend on the target.
func (c *checker) arguments() []Member {
	u := c.unit
	u.particular = true
	if u.argsGot || len(u.targets) == 0 {
		return u.args
	}
	u.argsGot = true
	target := u.targets[0]
	if u.row() != nil {
		c.standArguments()
		return u.args
	}
	if u.kind == Tracepoint {
		u.args, u.argsOK = c.host.Tracepoint(target.Category, target.Event)
		u.args = fieldsOfRecord(u.args, target.Category == "syscalls", c.limits.MaxStrlen)
		return u.args
	}
	signature, ok := c.host.Signature(u.kind, target)
	u.args, u.argsOK, u.result = signature.Params, ok, signature.Result
	return u.args
}

// fieldsOfRecord turns a tracepoint's fields into members of args: texts of a length that
// the record says become strings, and pointers of a system call are the process's.
func fieldsOfRecord(fields []Member, syscall bool, longest int) []Member {
	out := make([]Member, len(fields))
	for i, f := range fields {
		if syscall && f.Type.Kind == Pointer {
			f.Type.User = true
		}
		if f.Dynamic {
			f.Type = dynamicType(f.Type, longest)
		}
		out[i] = f
	}
	return out
}

func dynamicType(t Type, longest int) Type {
	if t.Kind == ArrayOf && t.Elem != nil {
		if t.Elem.Size == 1 && (t.Elem.Name == "char" || t.Elem.Name == "") {
			return stringType(longest)
		}
		return pointerTo(*t.Elem)
	}
	return stringType(longest)
}

// words is how many words the arguments of a function take: a structure may take two.
func words(args []Member) int {
	if len(args) == 0 {
		return 0
	}
	last := args[len(args)-1]
	return last.Offset + max(1, align(last.Type.Size)/word)
}

// returned is the type of retval.
func (c *checker) returned() Type {
	if c.unit.row() != nil {
		return c.standIn(c.unit.pos, "retval")
	}
	if c.unit.kind == Fexit {
		c.arguments()
		if c.unit.argsOK && c.unit.result.Kind != None {
			return c.unit.result
		}
	}
	return Type{Kind: Integer, Size: word, Signed: true, User: c.userSpace()}
}

// isArgument tells whether a name is arg0, arg1 ... or sarg0 ..., and which.
func isArgument(name string) (prefix string, number int, ok bool) {
	for _, p := range []string{"sarg", "arg"} {
		digits, found := strings.CutPrefix(name, p)
		if !found || digits == "" || len(digits) > 2 || strings.Trim(digits, "0123456789") != "" {
			continue
		}
		for _, d := range digits {
			number = number*10 + int(d-'0')
		}
		return p, number, true
	}
	return "", 0, false
}
