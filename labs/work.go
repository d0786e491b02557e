package labs

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"etude/services"
)

// A working copy is a separate Go module: the source of services, and the files below work/ of the lab's
// folder, whose names end in .txt so that Go does not compile them in this module. It has the same dependencies
// as this module, in the same versions. So a machine that built etude has them, and the build needs no network.

// copyWork makes the working copy of a lab. It keeps existing files, which are the learner's work.
func (e *Engine) copyWork(l *Lab) error {
	for _, service := range l.Start.Copy {
		err := fs.WalkDir(services.Files, service, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := services.Files.ReadFile(name)
			if err != nil {
				return err
			}
			return writeNew(filepath.Join(e.workDir(l), filepath.FromSlash(name)), data)
		})
		if err != nil {
			return err
		}
	}
	if !l.Start.Files {
		return nil
	}
	return e.copyFiles(l, "work", writeNew)
}

// copyFiles writes the files below a folder of the lab into the working copy.
func (e *Engine) copyFiles(l *Lab, folder string, write func(name string, data []byte) error) error {
	return fs.WalkDir(l.files, folder, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(l.files, name)
		if err != nil {
			return err
		}
		to := strings.TrimSuffix(strings.TrimPrefix(name, folder+"/"), ".txt")
		return write(filepath.Join(e.workDir(l), filepath.FromSlash(path.Clean(to))), data)
	})
}

func writeNew(name string, data []byte) error {
	if _, err := os.Stat(name); err == nil {
		return nil
	}
	return writeOver(name, data)
}

func writeOver(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o600)
}

// Solve replaces the learner's work by the lab's solution: it runs the solution's processes and writes its
// working copy. It returns the right answer.
func (e *Engine) Solve(ctx context.Context, id string) (answer string, err error) {
	e.playing.Lock()
	defer e.playing.Unlock()
	l, err := e.find(id)
	if err != nil {
		return "", err
	}
	v, err := e.runOf(l)
	if err != nil {
		return "", err
	}
	for _, service := range l.Solution.Like {
		if err := e.copySolved(l, service); err != nil {
			return "", err
		}
	}
	if l.Solution.Files {
		if err := e.copyFiles(l, "solution", writeOver); err != nil {
			return "", err
		}
	}
	return v.fill(l.Solution.Answer), run(ctx, e.stage, "", l.Solution.Run, maps.Clone(v))
}

// copySolved writes an instrumented service over the service without instrumentation: 3 over 1, 4 over 2.
func (e *Engine) copySolved(l *Lab, service string) error {
	text, err := services.Files.ReadFile(service + "/" + service + ".go")
	if err != nil {
		return err
	}
	solved := strings.NewReplacer("uservice3", "uservice1", "uservice4", "uservice2", ":8083", ":8081", ":8084", ":8082").Replace(string(text))
	plain := strings.NewReplacer("3", "1", "4", "2").Replace(service)
	return writeOver(filepath.Join(e.workDir(l), plain, plain+".go"), []byte(solved))
}

// buildPatience is the maximum time of a build: the first one compiles the SDK.
const buildPatience = 3 * time.Minute

// runWork builds the working copy and runs it. says describes its mistakes to the learner, "" when it ran.
func (e *Engine) runWork(ctx context.Context, l *Lab, v vars) (says string, err error) {
	dir := e.workDir(l)
	if _, err := os.Stat(dir); err != nil {
		return "The working copy is gone: start the lab again.", nil //nolint:nilerr // told to the learner
	}
	goCommand, err := exec.LookPath("go")
	if err != nil {
		return "This lab compiles Go: install Go (https://go.dev/dl/), then check again.", nil //nolint:nilerr // told to the learner
	}
	program := filepath.Join(dir, "lab")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	ctx, cancel := context.WithTimeout(ctx, buildPatience)
	defer cancel()
	build := exec.CommandContext(ctx, goCommand, "build", "-ldflags=-s -w", "-o", program, ".")
	build.Dir = dir
	// etude's dependencies are in the module cache, so the build downloads nothing.
	build.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOSUMDB=off", "GOWORK=off", "GOTOOLCHAIN=local", "CGO_ENABLED=0")
	switch output, err := build.CombinedOutput(); {
	case err == nil:
	case bytes.Contains(output, []byte("GOPROXY=off")):
		return "The OpenTelemetry SDK is not in this machine's module cache. With a network, run once: cd " + dir + " && go mod download\n" + string(bytes.TrimSpace(output)), nil
	default:
		return "It does not compile:\n" + string(bytes.TrimSpace(output)), nil //nolint:nilerr // told to the learner
	}
	if err := run(ctx, e.stage, program, l.Check.Program.Run, v); err != nil {
		return fmt.Sprintf("It compiles, but it does not run: %v", err), nil //nolint:nilerr // told to the learner
	}
	return "", nil
}
