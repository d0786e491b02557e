package assert

import (
	"regexp"
	"sync"
)

// expression compiles a constant expression at first use. Every process of `etude up` is this binary, and most
// never use it.
func expression(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}
