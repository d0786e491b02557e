package supervise

import (
	"context"
	"io"
	"os"
	"os/exec"
)

// supervisedEnv marks a child of `etude up`: its standard input is a pipe whose
// end means "stop". Unlike a signal that works on every system, and also when
// the parent was killed.
const supervisedEnv = "ETUDE_SUPERVISED"

// UntilParentGoes returns a context that is done, in a child, when its parent wants
// it to stop or is gone.
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

// PrepareChild makes a command, whose environment is set, such a child. It ends when
// the caller closes stop. It has a process group of its own: a Ctrl-C in the terminal
// must reach the parent alone, which stops its children in order.
func PrepareChild(cmd *exec.Cmd) (stop io.Closer, err error) {
	cmd.Env = append(cmd.Env, supervisedEnv+"=1")
	cmd.SysProcAttr = ownGroup()
	return cmd.StdinPipe()
}
