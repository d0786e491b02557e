package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"etude/internal/door"
)

// CheckFree checks that a listener can listen on its addresses. Its error names the flag and, if an address is
// in use, the process that uses it.
func CheckFree(addrs, flag string) error {
	l, err := door.Listen(addrs, nil)
	if err == nil {
		return l.Close()
	}
	return Error(addrs, flag, err)
}

// Error describes why a listener cannot listen. It names the address' flag and, if the address is in use, the
// process that uses it.
func Error(addr, flag string, err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Addr != nil { // one of several addresses
		addr = op.Addr.String()
	}
	switch {
	case inUse(err):
		return fmt.Errorf("address %s (--%s) is in use by %s", addr, flag, holder(addr))
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("address %s (--%s) is not allowed for this user", addr, flag)
	}
	return fmt.Errorf("listen on %s (--%s): %w", addr, flag, err)
}

// Advise adds advice to the errors of listeners.
func Advise(errs ...error) error {
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w\nStop that program, choose another address, or move all ports with --port-offset (for example 20000)", err)
	}
	return nil
}

// CheckPorts checks that the backend can open every listener.
func (a *Backend) CheckPorts() error {
	var errs []error
	a.Each(func(flag string, _ int, addr *string) { errs = append(errs, CheckFree(*addr, flag)) })
	return errors.Join(errs...)
}

// wsaeAddrInUse is Windows' number for an address in use.
const wsaeAddrInUse = syscall.Errno(10048)

func inUse(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, wsaeAddrInUse)
}

// holder names the process that listens on a port, if this system reveals it.
func holder(addr string) string {
	_, portText, _ := net.SplitHostPort(addr)
	port, err := strconv.Atoi(portText)
	if err != nil {
		return "another program"
	}
	inode := listeningInode(port)
	if inode == "" {
		return "another program"
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil && target == "socket:["+inode+"]" {
			pid := strings.Split(fd, "/")[2]
			name, _ := os.ReadFile("/proc/" + pid + "/comm")
			return fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(name)), pid)
		}
	}
	return "a program of another user"
}

// listeningInode searches Linux's tables of TCP sockets; it returns "" on other systems.
func listeningInode(port int) string {
	const listening = "0A"
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, _ := os.ReadFile(table)
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) > 9 && f[3] == listening && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
				return f[9]
			}
		}
	}
	return ""
}

// Resolve replaces port 0 by a free port, because the parts need each other's ports before they start.
func Resolve(addrs *string) error {
	if _, err := door.Split(*addrs); err != nil || !strings.HasSuffix(*addrs, ":0") {
		return err
	}
	l, err := door.Listen(*addrs, nil)
	if err != nil {
		return err
	}
	*addrs = l.String()
	return l.Close()
}
