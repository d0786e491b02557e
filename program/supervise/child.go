package supervise

import (
	"context"
	"io"
	"os"
	"os/exec"
)

// supervisedEnv marks a child of `etude up`: its standard input is a pipe, and the pipe's end means "stop".
// Unlike a signal, this works on every system, and even when the parent was killed.
const supervisedEnv = "ETUDE_SUPERVISED"

// UntilParentGoes returns a context that, in a child, is done when its parent tells it to stop or exits.
func UntilParentGoes(ctx context.Context) context.Context {
	if os.Getenv(supervisedEnv) == "" {
		return ctx
	}
	ctx, stop := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	return ctx
}

// PrepareChild turns a command with its environment set into such a child. The child exits when the caller
// closes stop. It runs in its own process group: a Ctrl-C in the terminal must reach only the parent, which
// stops its children in order.
func PrepareChild(cmd *exec.Cmd) (stop io.Closer, err error) {
	cmd.Env = append(cmd.Env, supervisedEnv+"=1")
	cmd.SysProcAttr = ownGroup()
	return cmd.StdinPipe()
}
