package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// describeMachine writes what the numbers depend on.
func describeMachine(out io.Writer, deno, dir string) error {
	fmt.Fprintf(out, "Millpond, %s, commit %s\n", time.Now().Format(time.RFC3339), firstLine("git", "describe", "--always", "--dirty"))
	fmt.Fprintf(out, "%s, %s, %s\n", runtime.Version(), firstLine(deno, "--version"), firstLine("uname", "-srm"))
	fmt.Fprintf(out, "%d cores, %s, %s\n", runtime.NumCPU(), cpuModel(), memory())
	fmt.Fprintf(out, "data on %s; the log is synced to disk before a commit is answered; Deno's database has Deno's settings\n",
		strings.Join(strings.Fields(lastLine("df", "-PT", dir)), " "))
	took, err := syncTime(dir)
	if err == nil {
		fmt.Fprintf(out, "one append of 4 KiB and its sync take %v (median of 200)\n", took)
	}
	return err
}

func firstLine(name string, args ...string) string {
	line, _, _ := strings.Cut(output(name, args...), "\n")
	return line
}

func lastLine(name string, args ...string) string {
	all := output(name, args...)
	return all[strings.LastIndexByte(all, '\n')+1:]
}

// output returns what a command printed, or that it is not there: no fact is worth failing for.
func output(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return "unknown (" + filepath.Base(name) + ": " + err.Error() + ")"
	}
	return strings.TrimSpace(string(out))
}

func cpuModel() string { return procField("/proc/cpuinfo", "model name") }

func memory() string { return "memory " + procField("/proc/meminfo", "MemTotal") }

// procField returns the value of the first line "name : value" of a file of Linux's /proc.
func procField(path, name string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return name + " unknown"
	}
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return name + " unknown"
}

// syncTime returns how long the disk below dir takes to make an append durable.
func syncTime(dir string) (time.Duration, error) {
	f, err := os.Create(filepath.Join(dir, "sync"))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	times := make([]time.Duration, 200)
	page := make([]byte, 4096)
	for i := range times {
		began := time.Now()
		if _, err := f.Write(page); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		times[i] = time.Since(began)
	}
	slices.Sort(times)
	return times[len(times)/2].Round(time.Microsecond), nil
}
