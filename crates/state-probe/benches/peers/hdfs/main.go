// Measures the size of a folder in HDFS with a client in Go that speaks the NameNode's own protocol, for comparison with the state
// probe. Used by scripts/benchmark-state-probe.sh --peers.
//
// Usage: look ADDRESS PATH. Prints `ready` and versions; then for each line with a number of measurements it measures so often, at
// intervals as the probe that it is compared with, and prints the size and the CPU time of one of them, in seconds.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/colinmarc/hdfs/v2"
)

const interval = 100 * time.Millisecond

// cpuTime returns the CPU time of all threads of this process so far.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "github.com/colinmarc/hdfs/v2" {
			return module.Version + ", " + runtime.Version()
		}
	}
	return runtime.Version()
}

func run() error {
	if len(os.Args) != 3 {
		return fmt.Errorf("usage: look ADDRESS PATH")
	}
	client, err := hdfs.NewClient(hdfs.ClientOptions{Addresses: []string{os.Args[1]}, User: "root"})
	if err != nil {
		return err
	}
	defer client.Close()
	fmt.Println("ready", version())
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		count, err := strconv.Atoi(strings.TrimSpace(lines.Text()))
		if err != nil {
			return err
		}
		var size int64
		before := cpuTime()
		for number := range count {
			if number > 0 {
				time.Sleep(interval)
			}
			summary, err := client.GetContentSummary(os.Args[2])
			if err != nil {
				return err
			}
			size = summary.Size()
		}
		fmt.Println(size, (cpuTime()-before).Seconds()/float64(count))
	}
	return lines.Err()
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
