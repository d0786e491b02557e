// Command etude is a distributed-tracing system in one binary: an edge proxy,
// four toy services, a trace backend that speaks Tempo's API, and a page to
// explore traces. See README.md.
package main

import (
	"os"

	"etude/program"
)

func main() {
	os.Exit(program.Main(os.Args[1:], os.Stdout, os.Stderr))
}
