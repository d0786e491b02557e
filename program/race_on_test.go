//go:build race

package program

// raceEnabled says that the race detector slows everything down.
const raceEnabled = true
