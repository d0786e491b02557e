package testcmd

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"etude/program/proc"
)

// child is the command that `etude test` runs. It shares the standard streams of etude, and gets the signals
// that etude gets.
type child struct {
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // its exit error; valid once ended is closed
}

func startChild(command, env []string, p *proc.Proc) (*child, error) {
	c := &child{cmd: exec.Command(command[0], command[1:]...), ended: make(chan struct{})}
	c.cmd.Env, c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = env, os.Stdin, p.Stdout, p.Stderr
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the command: %w", err)
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	go func() {
		c.err = c.cmd.Wait()
		signal.Stop(signals)
		close(c.ended)
	}()
	go c.passOn(signals)
	return c, nil
}

// passOn forwards signals to the command. Ctrl-C in a terminal reaches the command directly, because it is in
// the same process group.
func (c *child) passOn(signals <-chan os.Signal) {
	terminal := proc.IsTerminal(os.Stdin)
	for {
		select {
		case <-c.ended:
			return
		case s := <-signals:
			if s != os.Interrupt || !terminal {
				_ = c.cmd.Process.Signal(s) // it may have exited
			}
		}
	}
}

func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	<-c.ended
}

// status is the exit status. For a command ended by a signal it is 128 plus the signal's number, as in a shell.
func (c *child) status() int {
	exit, ok := errors.AsType[*exec.ExitError](c.err)
	switch {
	case c.err == nil:
		return 0
	case !ok:
		return 1
	}
	if state, ok := exit.Sys().(syscall.WaitStatus); ok && state.Signaled() {
		return 128 + int(state.Signal())
	}
	return exit.ExitCode()
}
