package quota

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// TestEveryOwnerHasItsPart: whatever owners take and give in whatever order, one
// after the other or mixed, each of the 100 finds room for its part.
func TestEveryOwnerHasItsPart(t *testing.T) {
	t.Parallel()
	const part = 10_000 / 2 / 100
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		p, owners, inTurn := New(10_000, 100), 1+rng.IntN(100), rng.IntN(2) == 0
		for i := range 10_000 {
			owner, n := fmt.Sprint(rng.IntN(owners)), 1+rng.IntN(30)
			if inTurn {
				owner = fmt.Sprint(i * owners / 10_000)
			}
			held := p.Held(owner)
			if ok := p.Take(owner, n, start.Add(time.Duration(i)*time.Hour)); !ok && held+n <= part {
				t.Fatalf("seed %d: %s has %d, and no room for %d more: %d are used", seed, owner, held, n, p.Used())
			}
			if rng.IntN(10) == 0 && !inTurn {
				p.Give(owner, p.Held(owner))
			}
			if h := p.Held(owner); h > 10_000/3+part {
				t.Fatalf("seed %d: an owner has %d", seed, h)
			}
		}
		sum := 0
		for i := range owners {
			sum += p.Held(fmt.Sprint(i))
		}
		if sum != p.Used() || sum > 10_000 {
			t.Errorf("seed %d: owners have %d, %d are used", seed, sum, p.Used())
		}
		for i := range owners {
			p.Give(fmt.Sprint(i), p.Held(fmt.Sprint(i)))
		}
		if p.Used() != 0 || p.parts != 0 || len(p.held) != 0 {
			t.Errorf("seed %d: %d used and %d in parts after all are given back", seed, p.Used(), p.parts)
		}
	}
}

// TestChurnIsBounded: a flood that gives back each minute what it has taken, and
// takes new things at once, makes at most twice the bound in the first hour and the
// bound in each further one. A new owner finds room all the while.
func TestChurnIsBounded(t *testing.T) {
	t.Parallel()
	p, made := New(10_000, 100), 0
	for minute := range 180 {
		now := start.Add(time.Duration(minute) * time.Minute)
		for p.Take("flood", 20, now) {
			made += 20
		}
		if newcomer := fmt.Sprint("new ", minute); !p.Take(newcomer, 20, now) {
			t.Fatalf("minute %d: a new owner finds no room", minute)
		} else {
			p.Give(newcomer, 20)
		}
		p.Give("flood", p.Held("flood"))
	}
	if made > 4*10_000 || made < 2*10_000 {
		t.Errorf("%d things were made in three hours", made)
	}
}

func TestUndoneThingsAreNotMade(t *testing.T) {
	t.Parallel()
	p := New(100, 1)
	for range 1000 {
		if !p.Take("a", 50, start) {
			t.Fatal("no room, though all was undone")
		}
		p.Undo("a", 50)
	}
}

// TestNoBound: neither a nil Pool nor one of 0 refuses anything.
func TestNoBound(t *testing.T) {
	t.Parallel()
	for _, p := range []*Pool{nil, New(0, 7)} {
		for range 1000 {
			if !p.Take("a", 1000, start) {
				t.Fatal("no room")
			}
		}
		p.Give("a", 1000)
	}
}
