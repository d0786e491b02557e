// Package testkit holds what tests of several packages need: waiting without
// sleeping, tests that only run when asked for, and certificates. Nothing but tests
// imports it.
package testkit

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// Patience is how long something may take on a busy machine. A test that passes
// never waits so long.
const Patience = 30 * time.Second

// Eventually polls until f succeeds, and fails the test with f's last error when
// it does not within [Patience].
func Eventually(t testing.TB, what string, f func() error) {
	t.Helper()
	EventuallyWithin(t, Patience, what, f)
}

// Until polls until ok says so, and fails the test when it does not within
// [Patience].
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

// EventuallyWithin is Eventually with a patience of its own, for what is known to
// take long.
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

// Hostile skips a test that takes minutes or gigabytes, unless ETUDE_HOSTILE=1 asks
// for it, as `make hostile` does. The name of the test says so: it begins with
// TestHostile, which is how make selects it.
func Hostile(t testing.TB) {
	t.Helper()
	if !strings.HasPrefix(t.Name(), "TestHostile") {
		t.Fatal("make hostile runs tests whose name begins with TestHostile")
	}
	if os.Getenv("ETUDE_HOSTILE") == "" {
		t.Skip("takes long: run by `make hostile`, or with ETUDE_HOSTILE=1")
	}
}
