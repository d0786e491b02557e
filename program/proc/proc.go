// Package proc is what every command of etude runs with, and how it ends.
package proc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
)

// Proc is what a command runs with.
type Proc struct {
	Ctx            context.Context // done when the process shall stop
	Stdout, Stderr io.Writer
	Log            *slog.Logger
	Build
}

// Build is what is known of this program.
type Build struct {
	Version  string
	Revision string // its commit, "" when it is not known
}

// ErrQuiet ends the program with status 1 when everything has been said already.
var ErrQuiet = errors.New("failed")

// ExitStatus ends the program with a status of its own, when everything has been
// said already.
type ExitStatus int

func (s ExitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// IsTerminal reports whether a person reads the output; NO_COLOR (no-color.org)
// says not to colour even then.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
