package syntax

import "fmt"

// Error is a mistake in the text of a query, with its position.
type Error struct {
	Pos  Pos
	Msg  string // the mistake, or the expected and the found token
	Hint string // the correct form, for common mistakes
}

func (e *Error) Error() string {
	if e.Hint != "" {
		return fmt.Sprintf("parse error at %s: %s (%s)", e.Pos, e.Msg, e.Hint)
	}
	return fmt.Sprintf("parse error at %s: %s", e.Pos, e.Msg)
}

// fail panics with an Error; Parse and the other public functions recover it.
func fail(pos Pos, hint, format string, args ...any) {
	panic(&Error{Pos: pos, Msg: fmt.Sprintf(format, args...), Hint: hint})
}

// catch recovers the panic of fail as an error. It panics again for any other value.
func catch(err *error) {
	switch e := recover().(type) {
	case nil:
	case *Error:
		*err = e
	default:
		panic(e)
	}
}
