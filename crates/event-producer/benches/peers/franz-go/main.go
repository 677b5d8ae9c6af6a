// Sends finished records into Kafka with franz-go and tells the CPU time, as the example send-records of this crate does with our
// clients, and with the same usage but for the name of the client. Used by scripts/benchmark-producer.sh --peers.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const partitions = 4

// topics has the names of the topics by the kind of an event, the lower four bits of its first byte.
var topics = map[byte]string{1: "personEvents", 2: "itemEvents", 3: "auctionEvents", 4: "bidEvents"}

type event struct {
	topic     string
	timestamp time.Time
	value     []byte
}

// read returns the records of a file: each preceded by its length, 4 bytes, little-endian.
func read(file, prefix string) ([]event, error) {
	bytes, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var events []event
	for len(bytes) > 0 {
		length := binary.LittleEndian.Uint32(bytes)
		value := bytes[4 : 4+length : 4+length]
		topic, ok := topics[value[0]&0xf]
		if !ok {
			return nil, fmt.Errorf("%s: no event of NexMark", file)
		}
		timestamp := time.UnixMilli(int64(binary.LittleEndian.Uint64(value[1:])))
		events = append(events, event{prefix + topic, timestamp, value})
		bytes = bytes[4+length:]
	}
	if len(events) == 0 || len(events)%partitions != 0 {
		return nil, fmt.Errorf("%s: the number of records is no multiple of %d", file, partitions)
	}
	return events, nil
}

// cpuTime returns the CPU time of all threads of this process so far.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// newClient returns an idempotent client that waits for all replicas, which are franz-go's defaults. It needs least CPU time when few
// records are buffered; 10,000 are its default too.
func newClient(brokers string) (*kgo.Client, error) {
	return kgo.NewClient(
		kgo.SeedBrokers(strings.Split(brokers, ",")...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()),
		kgo.ProducerLinger(5*time.Millisecond),
		kgo.MaxBufferedRecords(10_000),
	)
}

type sender struct {
	client  *kgo.Client
	events  []event
	next    int
	records sync.Pool
	failed  atomic.Int64
}

// acknowledged gives a record back for another use.
func (s *sender) acknowledged(record *kgo.Record, err error) {
	if err != nil {
		s.failed.Add(1)
	}
	s.records.Put(record)
}

// send sends the next records and waits for their acknowledgements.
func (s *sender) send(count int) error {
	ctx := context.Background()
	for range count {
		event := &s.events[s.next]
		record := s.records.Get().(*kgo.Record)
		*record = kgo.Record{Topic: event.topic, Partition: int32(s.next % partitions), Timestamp: event.timestamp, Value: event.value}
		s.client.Produce(ctx, record, s.acknowledged)
		if s.next++; s.next == len(s.events) {
			s.next = 0
		}
	}
	if err := s.client.Flush(ctx); err != nil {
		return err
	}
	if failed := s.failed.Load(); failed > 0 {
		return fmt.Errorf("%d records were not delivered", failed)
	}
	return nil
}

func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "github.com/twmb/franz-go" {
			return "franz-go " + module.Version + ", " + runtime.Version()
		}
	}
	return "franz-go"
}

func run() error {
	if len(os.Args) != 4 {
		return fmt.Errorf("usage: send-records BROKERS TOPIC_PREFIX FILE")
	}
	// Fewer garbage collections than by default; memory is not what is measured.
	debug.SetGCPercent(400)
	events, err := read(os.Args[3], os.Args[2])
	if err != nil {
		return err
	}
	client, err := newClient(os.Args[1])
	if err != nil {
		return err
	}
	defer client.Close()
	s := sender{client: client, events: events, records: sync.Pool{New: func() any { return new(kgo.Record) }}}
	fmt.Println("ready", version())
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		count, err := strconv.Atoi(strings.TrimSpace(lines.Text()))
		if err != nil {
			return err
		}
		cpu, begin := cpuTime(), time.Now()
		if err := s.send(count); err != nil {
			return err
		}
		fmt.Println((cpuTime() - cpu).Seconds(), time.Since(begin).Seconds())
	}
	return lines.Err()
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
