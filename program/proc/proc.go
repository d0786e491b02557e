// Package proc has the environment of a command of etude, and the errors that determine its exit status.
package proc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
)

// Proc is a command's environment.
type Proc struct {
	Ctx            context.Context // done when the process should stop
	Stdout, Stderr io.Writer
	Log            *slog.Logger
	Build
}

// Build describes this program.
type Build struct {
	Version  string
	Revision string // its commit, or "" when unknown
}

// ErrQuiet ends the program with status 1 and prints nothing: the command has already printed the reason.
var ErrQuiet = errors.New("failed")

// ExitStatus ends the program with this status and prints nothing: the command has already printed the reason.
type ExitStatus int

func (s ExitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// IsTerminal reports whether w is a terminal that shows colours. NO_COLOR (no-color.org) turns colours off.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
