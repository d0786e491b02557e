package labs

import (
	"regexp"
	"sync"
)

// expression compiles a constant expression when it is first needed: every process
// of `etude up` is this binary, and most never do.
func expression(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}
