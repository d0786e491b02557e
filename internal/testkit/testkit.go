// Package testkit helps tests of several packages: it has polling instead of sleeping, tests that run only on
// request, and certificates. Only tests import it.
package testkit

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// Patience is the maximum time to wait on a busy machine. A passing test never waits that long.
const Patience = 30 * time.Second

// Eventually polls until f succeeds. After [Patience] it fails the test with f's last error.
func Eventually(t testing.TB, what string, f func() error) {
	t.Helper()
	EventuallyWithin(t, Patience, what, f)
}

// Until polls until ok returns true. After [Patience] it fails the test.
func Until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	Eventually(t, what, func() error {
		if !ok() {
			return errNotYet
		}
		return nil
	})
}

var errNotYet = errors.New("not yet")

// EventuallyWithin is Eventually with another patience, for operations that are known to take long.
func EventuallyWithin(t testing.TB, patience time.Duration, what string, f func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s: %v", patience, what, err)
		}
		<-tick.C
	}
}

// Hostile skips a test that takes minutes or gigabytes, unless ETUDE_HOSTILE=1, which `make hostile` sets. The
// name of the test must begin with TestHostile, because make selects by it.
func Hostile(t testing.TB) {
	t.Helper()
	if !strings.HasPrefix(t.Name(), "TestHostile") {
		t.Fatal("make hostile runs tests whose name begins with TestHostile")
	}
	if os.Getenv("ETUDE_HOSTILE") == "" {
		t.Skip("takes long: run by `make hostile`, or with ETUDE_HOSTILE=1")
	}
}
