// go-whisper's side of the benchmark fetch: as reference.py beside it, with a file that exists.
//
// Usage: fetch FILE NOW. Prints `ready` and versions; then for each line `POINTS REPETITIONS` the CPU time per fetch in nanoseconds.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"github.com/go-graphite/go-whisper"
)

// cpuTime returns the CPU time of all threads of this process so far.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// fetch opens the file, reads points and closes it.
func fetch(path string, from, until, points int) error {
	file, err := whisper.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	series, err := file.Fetch(from, until)
	if err != nil {
		return err
	}
	if values := series.Values(); len(values) != points || values[points-1] != 0 {
		return fmt.Errorf("%d points instead of %d, or not those that were written", len(values), points)
	}
	return nil
}

func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "github.com/go-graphite/go-whisper" {
			return module.Version + ", " + runtime.Version()
		}
	}
	return runtime.Version()
}

func run() error {
	path := os.Args[1]
	now, err := strconv.Atoi(os.Args[2])
	if err != nil {
		return err
	}
	whisper.Now = func() time.Time { return time.Unix(int64(now), 0) }
	fmt.Println("ready", version())
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var points, repetitions int
		if _, err := fmt.Sscan(lines.Text(), &points, &repetitions); err != nil {
			return err
		}
		before := cpuTime()
		for range repetitions {
			if err := fetch(path, now-10*points, now, points); err != nil {
				return err
			}
		}
		fmt.Println(float64((cpuTime() - before).Nanoseconds()) / float64(repetitions))
	}
	return lines.Err()
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
