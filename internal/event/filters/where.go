// SPDX-License-Identifier: Apache-2.0

package filters

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

// Bounds of an expression: it comes from a user and runs for every record.
const (
	maxWhereLength = 4096  // code points
	maxWhereNodes  = 1000  // after macros are expanded
	maxWhereCost   = 20000 // CEL cost units per record; a comparison is about one
)

// matchWhere compiles a CEL expression over the fields of a record. The
// environment is made for each expression and dropped with it: it takes some
// milliseconds, and an agent without expressions does not pay its memory.
func matchWhere(source string, failures *failures) (predicate, error) {
	if source == "" {
		return nil, nil
	}
	fields, err := newRecordFields()
	if err != nil {
		return nil, err
	}
	program, err := compileWhere(source, fields)
	if err != nil {
		return nil, err
	}
	return func(r *skepv1.Record) bool {
		out, _, err := program.Eval(activation{fields, r})
		if err != nil {
			failures.add(err)
			return false
		}
		return out == types.True
	}, nil
}

// whereFailure says why an expression came to no result.
func whereFailure(err error) string {
	var limit interpreter.EvalCancelledError
	if errors.As(err, &limit) && limit.Cause == interpreter.CostLimitExceeded {
		return fmt.Sprintf("it takes more than the %d steps that it may for one record", maxWhereCost)
	}
	return event.Printable(err.Error())
}

func compileWhere(source string, fields *recordFields) (cel.Program, error) {
	env, err := newWhereEnv(fields)
	if err != nil {
		return nil, fmt.Errorf("make CEL environment: %w", err)
	}
	ast, issues := env.Compile(source)
	if issues.Err() != nil {
		return nil, whereError(issues, fields)
	}
	if ast.OutputType() != cel.BoolType {
		return nil, fmt.Errorf("the expression is of type %s; it must be a condition (bool)", ast.OutputType())
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxWhereCost))
	if err != nil {
		return nil, fmt.Errorf("plan expression: %w", err)
	}
	return program, nil
}

func newWhereEnv(fields *recordFields) (*cel.Env, error) {
	return cel.NewEnv(
		cel.CustomTypeAdapter(fields.registry),
		cel.CustomTypeProvider(fields),
		cel.VariableDecls(fields.variables()...),
		cel.CrossTypeNumericComparisons(true),
		cel.ParserExpressionSizeLimit(maxWhereLength),
		cel.ExpressionNodeLimit(maxWhereNodes),
		cel.ASTValidators(cel.ValidateRegexLiterals()),
		cel.RegexProgramSizeLimit(1000),
	)
}

// noOverload is how the checker says that types do not fit an operator or function.
var noOverload = regexp.MustCompile(`^found no matching overload for '_?([^']*?)_?' applied to '(?:[^'(]*)\(([^']*)\)'`)

// plainSyntax makes a sentence of what the parser says, without all that might have stood there.
func plainSyntax(message string) string {
	what, isSyntax := strings.CutPrefix(message, "Syntax error: ")
	if !isSyntax {
		return message
	}
	what, _, _ = strings.Cut(what, " expecting ")
	switch {
	case strings.HasSuffix(what, "'<EOF>'"):
		return "the expression ends too early"
	case strings.HasPrefix(what, "token recognition error at: '= "), strings.HasPrefix(what, "token recognition error at: '='"):
		return "a single = means nothing; equal is =="
	}
	return "syntax error: " + what
}

// whereError turns the first complaint of the CEL checker into one sentence
// with the column (from 1) and the nearest name.
func whereError(issues *cel.Issues, fields *recordFields) error {
	complaints := issues.Errors()
	if len(complaints) == 0 {
		return issues.Err()
	}
	first := complaints[0]
	at := fmt.Sprintf("column %d", first.Location.Column()+1)
	if first.Location.Line() > 1 {
		at = fmt.Sprintf("line %d, %s", first.Location.Line(), at)
	}
	message, _, _ := strings.Cut(event.Printable(first.Message), " (did you mean") // ours knows the fields
	message = noOverload.ReplaceAllString(message, "$1 does not take ($2)")
	message = plainSyntax(message)
	if hint := fields.hint(first.Message); hint != "" {
		message += "; " + hint
	}
	return errors.New(at + ": " + message)
}
